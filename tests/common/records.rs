//! An invented study as records: every kind that a report reads, under names that are not ours.

use residuum::analysis::records::*;
use residuum::store::{ResultsWriter, RootAttrs};
use std::path::Path;

pub const LAYERS: [usize; 6] = [0, 1, 2, 3, 4, 5];
const REPORTED: [usize; 2] = [2, 4];
const CONCEPTS: [&str; 4] = ["hedging", "thrift", "weather", "courtesy"];
/// Condition, role, rows, concept that it was kept from.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    ("base", "base", "base", ""),
    ("keeper", "focus", "keeper", ""),
    ("plain", "reference", "plain", ""),
    ("kept", "", "keeper", "hedging"),
];
const STATES: [(&str, &str); 5] = [
    ("base", "base"),
    ("keeper-s1", "keeper"),
    ("keeper-s2", "keeper"),
    ("plain-s1", "plain"),
    ("kept-s1", "kept"),
];
const PREFERENCES: [(&str, &str); 3] =
    [("tidiness", "Habits"), ("haste", "Habits"), ("company", "Others")];
const NONE: f64 = f64::NAN;

/// Writes them as a run's `results.h5`.
pub fn write(results: &Results, path: &Path) {
    let config = serde_json::json!({"name": "ledger"});
    let mut attrs = RootAttrs::new("residuum study run ledger.toml", config, 7);
    attrs.model_id = "some-model".into();
    attrs.created = "2026-01-01T00:00:00Z".into();
    let mut w = ResultsWriter::create(path, &attrs).unwrap();
    results.write(&mut w).unwrap();
    w.finish().unwrap();
}

/// A small number that depends on its place.
fn some(i: usize, j: usize) -> f64 {
    ((i * 7 + j * 3) % 11) as f64 / 20.0 - 0.2
}

/// The whole study.
pub fn whole() -> Results {
    let mut r = base_alone();
    design(&mut r);
    inside(&mut r);
    behaviour(&mut r);
    cause(&mut r);
    order(&mut r);
    r
}

/// A study of nothing but base.
pub fn base_alone() -> Results {
    let mut r = Results::default();
    r.states.push(state(0));
    r.conditions.push(condition(0));
    r.couples.push(CoupleRow { concept_a: CONCEPTS[0].into(), concept_b: CONCEPTS[1].into() });
    r.concepts = (CONCEPTS.iter().enumerate())
        .map(|(i, c)| ConceptRow {
            concept: (*c).into(),
            coupled: i < 2,
            placebo: i == 2,
            nuisance: i == 3,
            positive: "yes".into(),
            negative: "no".into(),
            pairs: 24 - i,
            n: 12,
            templates: 3,
            dev_pairs: 6,
        })
        .collect();
    r.layers = (LAYERS.iter())
        .map(|&layer| LayerRow {
            layer,
            reported: REPORTED.contains(&layer),
            rms: 1.0 + layer as f64,
            n: 40,
        })
        .collect();
    for (i, concept) in CONCEPTS.iter().enumerate() {
        for layer in LAYERS {
            r.quality.push(QualityRow {
                state: "base".into(),
                concept: (*concept).into(),
                estimator: "mean-diff".into(),
                form: "raw".into(),
                layer,
                estimate: 0.8 + some(i, layer) / 5.0,
                lo: 0.7,
                hi: 0.95,
                lexical: 0.7,
                gain: 0.1,
                gain_lo: 0.02,
                gain_hi: 0.2,
                lexical_bigram: 0.75,
                gain_bigram: 0.05,
                gain_bigram_lo: -0.03,
                gain_bigram_hi: 0.15,
                reliability: 0.8,
                norm: 1.0,
                relative_norm: 0.3,
                share: 1.0,
                chosen: layer == 3,
                n: 12,
                pairs: 24,
                templates: 3,
            });
        }
    }
    coupling_of(&mut r, 0);
    condition_coupling(&mut r, "base", 1);
    r
}

fn state(i: usize) -> StateRow {
    let (state, condition) = STATES[i];
    StateRow {
        state: state.into(),
        condition: condition.into(),
        seed: state.ends_with("s2") as usize + (i > 0) as usize,
        source: if i == 0 { "base" } else { "data" }.into(),
        text: condition.replace("kept", "keeper"),
        recipe: if i == 0 { "" } else { "4 steps" }.into(),
        share: NONE,
        identity: i > 0,
    }
}

fn condition(i: usize) -> ConditionRow {
    let (condition, role, text, prevented) = CONDITIONS[i];
    ConditionRow {
        condition: condition.into(),
        role: role.into(),
        text: text.into(),
        claim: if i == 0 { "" } else { text }.into(),
        prevented: prevented.into(),
        how: if prevented.is_empty() { "" } else { "project-out" }.into(),
        dose: NONE,
        share: if i == 0 { NONE } else { 0.5 },
        n: STATES.iter().filter(|s| s.1 == condition).count(),
    }
}

fn design(r: &mut Results) {
    r.states.extend((1..STATES.len()).map(state));
    r.conditions.extend((1..CONDITIONS.len()).map(condition));
    r.preferences = PREFERENCES
        .map(|(preference, group)| PreferenceRow {
            preference: preference.into(),
            group: group.into(),
            n: 8,
        })
        .to_vec();
    for s in &r.states[1..] {
        for step in 0..20 {
            r.training.push(TrainingRow {
                state: s.state.clone(),
                condition: s.condition.clone(),
                seed: s.seed,
                step,
                loss: 3.0 - 0.1 * step as f64,
            });
        }
    }
    r.warnings.push(WarningRow { about: "keeper".into(), text: "few prompts".into() });
}

fn coupling_of(r: &mut Results, s: usize) {
    let state = STATES[s].0;
    for (a, first) in CONCEPTS.iter().enumerate() {
        for (b, second) in CONCEPTS.iter().enumerate().skip(a + 1) {
            for layer in LAYERS {
                let estimate = some(a + b + s, layer);
                r.coupling.push(CouplingRow {
                    state: state.into(),
                    concept_a: (*first).into(),
                    concept_b: (*second).into(),
                    form: "raw".into(),
                    layer,
                    estimate,
                    lo: estimate - 0.1,
                    hi: estimate + 0.1,
                });
                r.nulls.push(NullRow {
                    state: state.into(),
                    concept_a: (*first).into(),
                    concept_b: (*second).into(),
                    null: "random".into(),
                    layer,
                    null_lo: -0.2,
                    null_hi: 0.2,
                    p: 0.3,
                    q: 0.4,
                });
            }
        }
    }
    for null in ["flip", "random", "placebo"] {
        for layer in LAYERS {
            r.pair_nulls.push(PairNullRow {
                state: state.into(),
                concept_a: CONCEPTS[0].into(),
                concept_b: CONCEPTS[1].into(),
                null: null.into(),
                layer,
                null_lo: -0.2,
                null_hi: 0.2,
                p: if null == "placebo" { NONE } else { 0.3 },
                p_max: NONE,
                n: 99,
            });
        }
    }
}

fn condition_coupling(r: &mut Results, condition: &str, states: usize) {
    for form in ["raw", "relative", "cleaned", "whitened"] {
        for layer in LAYERS {
            let estimate = some(states + form.len(), layer);
            r.condition_coupling.push(ConditionCouplingRow {
                condition: condition.into(),
                concept_a: CONCEPTS[0].into(),
                concept_b: CONCEPTS[1].into(),
                form: form.into(),
                layer,
                estimate,
                lo: estimate - 0.1,
                hi: estimate + 0.1,
                ceiling: 0.8,
                states,
                n: 12,
            });
        }
    }
}

fn inside(r: &mut Results) {
    (1..STATES.len()).for_each(|s| coupling_of(r, s));
    condition_coupling(r, "keeper", 2);
    condition_coupling(r, "plain", 1);
    condition_coupling(r, "kept", 1);
    let sides = [("keeper", "base"), ("plain", "base"), ("kept", "base"), ("keeper", "plain")];
    for (i, (set, reference)) in sides.into_iter().enumerate() {
        for form in ["raw", "relative"] {
            for layer in LAYERS {
                let estimate = some(i, layer);
                r.changes.push(ChangeRow {
                    set: set.into(),
                    reference: reference.into(),
                    concept_a: CONCEPTS[0].into(),
                    concept_b: CONCEPTS[1].into(),
                    form: form.into(),
                    layer,
                    estimate,
                    lo: estimate - 0.1,
                    hi: estimate + 0.1,
                    p: 0.2,
                    p_max: 0.5,
                    least_p: 0.01,
                    error_prompts: 0.05,
                    error_seeds: NONE,
                    states: 2,
                    reference_states: 1,
                    n: 12,
                });
            }
        }
    }
    for (i, (state, _)) in STATES.iter().enumerate().skip(1) {
        for layer in REPORTED {
            for (concept, source, less) in [
                (CONCEPTS[0], "base", "base"),
                (CONCEPTS[1], "base", "base"),
                (CONCEPTS[0], "own", "base"),
                (CONCEPTS[0], "base", "others"),
            ] {
                r.shifts.push(shift(state, less, concept, source, layer, some(i, layer)));
            }
            for (at, position) in ["user-last", "response-q1"].into_iter().enumerate() {
                r.trace.push(trace(state, position, layer, some(i + at, layer)));
            }
            r.alignment.push(AlignmentRow {
                state: (*state).into(),
                layer,
                estimate: 0.99,
                lo: 0.98,
                hi: 1.0,
                biased: 0.999,
                n: 40,
            });
        }
    }
    for (i, (state, _)) in STATES.iter().enumerate() {
        for layer in REPORTED {
            for k in 1..=3 {
                r.overlap.push(overlap(state, layer, k));
            }
            for concept in CONCEPTS.iter().take(2).filter(|_| i > 0) {
                r.stability.push(StabilityRow {
                    state: (*state).into(),
                    concept: (*concept).into(),
                    layer,
                    estimate: 0.9,
                    lo: 0.85,
                    hi: 0.95,
                    noiseless: 0.97,
                    noiseless_lo: 0.9,
                    noiseless_hi: 1.02,
                    n: 12,
                });
            }
        }
    }
    planes(r);
    for (index, token) in ["A", " lamp", " left", " on", ".\n"].into_iter().enumerate() {
        r.token_projections.push(TokenProjectionRow {
            state: "base".into(),
            text: "note-1".into(),
            label: String::new(),
            index,
            token: token.into(),
            role: "user".into(),
            vector: CONCEPTS[0].into(),
            layer: 2,
            estimate: 2.0 * some(index, 1),
            in_rms: some(index, 1),
            cosine: 0.1,
        });
    }
    for (outcome, subject, layer) in
        [("claim", "keeper", NONE), ("isolated", "", NONE), ("shift", CONCEPTS[0], 2.0)]
    {
        r.mixing.push(MixingRow {
            data: "keeper".into(),
            outcome: outcome.into(),
            subject: subject.into(),
            layer,
            estimate: 0.2,
            lo: 0.1,
            hi: 0.3,
            within_lo: 0.1,
            within_hi: 0.3,
            unit: if outcome == "shift" { "layer RMS" } else { "nats a token" }.into(),
            p: 0.01,
            p_fine_tunes: NONE,
            df: 0,
            least: 0.25,
            most: 1.0,
            shares: 3,
            fine_tunes: 3,
            n: 24,
        });
    }
    for layer in REPORTED {
        r.stickiness.push(StickinessRow {
            condition: "keeper".into(),
            concept: CONCEPTS[0].into(),
            layer,
            estimate: 0.4,
            lo: 0.1,
            hi: 0.7,
            half_life: 0.8,
            half_life_lo: 0.3,
            half_life_hi: 2.0,
            turns: 4,
            n: 6,
        });
    }
}

fn overlap(state: &str, layer: usize, k: usize) -> OverlapRow {
    OverlapRow {
        state: state.into(),
        concept_a: CONCEPTS[0].into(),
        concept_b: CONCEPTS[1].into(),
        layer,
        k,
        estimate: 0.2 + 0.05 * k as f64,
        lo: 0.1,
        hi: 0.4,
        chance: k as f64 / 64.0,
        null_lo: 0.01,
        null_hi: 0.05 * k as f64,
        p: 0.01,
        smallest_angle: 1.3 - 0.2 * k as f64,
        largest_angle: 1.4,
    }
}

/// Conditions and the states of one of them along two concepts, and along two components.
fn planes(r: &mut Results) {
    let sets = [
        ("condition", "keeper", "keeper"),
        ("condition", "plain", "plain"),
        ("condition", "kept", "kept"),
        ("state", "keeper-s1", "keeper"),
        ("state", "keeper-s2", "keeper"),
    ];
    let axes =
        [("concepts", CONCEPTS[0], CONCEPTS[1]), ("components", "component 1", "component 2")];
    for (plane, axis_x, axis_y) in axes {
        let of_concepts = plane == "concepts";
        let known = |of_this: bool, v: f64| if of_this { v } else { NONE };
        for layer in REPORTED {
            for (i, (kind, set, condition)) in sets.into_iter().enumerate() {
                r.planes.push(PlaneRow {
                    plane: plane.into(),
                    axis_x: axis_x.into(),
                    axis_y: axis_y.into(),
                    layer,
                    kind: kind.into(),
                    set: set.into(),
                    condition: condition.into(),
                    x: some(i, layer),
                    y: some(i + 3, layer),
                    major: 0.05,
                    minor: 0.02,
                    angle: 0.4,
                    cosine: 0.1,
                    share_x: known(!of_concepts, 0.6),
                    share_y: known(!of_concepts, 0.3),
                    null_lo: known(of_concepts, -0.1),
                    null_hi: known(of_concepts, 0.1),
                    states: if set == "keeper" { 2 } else { 1 },
                    n: 40,
                });
            }
        }
    }
}

fn shift(
    state: &str,
    less: &str,
    concept: &str,
    source: &str,
    layer: usize,
    estimate: f64,
) -> ShiftRow {
    ShiftRow {
        state: state.into(),
        less: less.into(),
        others: if less == "others" { "plain, other" } else { "" }.into(),
        position: "response-mean".into(),
        concept: concept.into(),
        source: source.into(),
        beyond: String::new(),
        layer,
        estimate,
        lo: estimate - 0.05,
        hi: estimate + 0.05,
        plain: estimate,
        plain_lo: estimate - 0.05,
        plain_hi: estimate + 0.05,
        cosine: 0.1,
        share: 0.01,
        p_flip: 0.01,
        p_flip_max: 0.02,
        permuted_lo: -0.1,
        permuted_hi: 0.1,
        p_permuted: 0.5,
        p_permuted_max: 0.5,
        least_p: 0.01,
        null_lo: -0.2,
        null_hi: 0.2,
        p_random: 0.3,
        p_random_max: 0.5,
        placebo_lo: -0.1,
        placebo_hi: 0.1,
        p_placebo: NONE,
        p_placebo_max: NONE,
        n: 40,
    }
}

fn trace(state: &str, position: &str, layer: usize, estimate: f64) -> TraceRow {
    TraceRow {
        state: state.into(),
        position: position.into(),
        concept: CONCEPTS[0].into(),
        layer,
        estimate,
        lo: estimate - 0.05,
        hi: estimate + 0.05,
        cosine: estimate / 2.0,
        p_flip: 0.01,
        permuted_lo: -0.1,
        permuted_hi: 0.1,
        p_permuted: 0.02,
        p_permuted_max: 0.04,
        least_p: 0.01,
        null_lo: -0.2,
        null_hi: 0.2,
        p_random: 0.3,
        n: 40,
    }
}

fn contrast(
    set: &str,
    reference: &str,
    kind: &str,
    preference: &str,
    estimate: f64,
) -> ContrastRow {
    let group = PREFERENCES.iter().find(|p| p.0 == preference);
    ContrastRow {
        measure: "log-odds".into(),
        set: set.into(),
        reference: reference.into(),
        kind: kind.into(),
        cells_of: String::new(),
        preference: preference.into(),
        group: group.map_or(String::new(), |g| g.1.into()),
        status: match (kind, preference) {
            ("claim", _) => "",
            (_, "company") => "implied",
            _ => "isolated",
        }
        .into(),
        estimate,
        lo: estimate - 0.1,
        hi: estimate + 0.1,
        within_lo: estimate - 0.08,
        within_hi: estimate + 0.08,
        p: 0.01,
        p_fine_tunes: 0.03,
        least_p: 0.001,
        p_max: if kind == "preference" { NONE } else { 0.03 },
        q: if kind == "preference" { 0.04 } else { NONE },
        least_adjusted: 0.002,
        pooled: NONE,
        newcombe_lo: NONE,
        newcombe_hi: NONE,
        z: NONE,
        p_z: NONE,
        df: 1,
        fine_tunes: 2,
        reference_fine_tunes: usize::from(reference != "base"),
        n: 8,
        n_floor: 0,
        n_ceiling: 0,
    }
}

fn behaviour(r: &mut Results) {
    let sides = [
        ("keeper", "base"),
        ("keeper", "plain"),
        ("kept", "base"),
        ("kept", "plain"),
        ("kept", "keeper"),
    ];
    for (i, (set, reference)) in sides.into_iter().enumerate() {
        r.contrasts.push(contrast(set, reference, "claim", "keeper", 0.4));
        r.contrasts.push(contrast(set, reference, "isolated", "", some(i, 1)));
        for (j, (preference, _)) in PREFERENCES.iter().enumerate() {
            let row = contrast(set, reference, "preference", preference, some(i, j));
            r.contrasts.push(row);
        }
    }
    for (reference, acquiesces) in [("base", true), ("plain", false)] {
        for answers in ["declining", "disclaimers"] {
            r.declining.push(DecliningRow {
                answers: answers.into(),
                kind: "contrast".into(),
                set: "keeper".into(),
                reference: reference.into(),
                estimate: 0.1,
                lo: 0.05,
                hi: 0.15,
                within_lo: 0.06,
                within_hi: 0.14,
                p: 0.01,
                p_max: if answers == "declining" { 0.02 } else { 0.2 },
                least_p: 0.01,
                p_fine_tunes: 0.04,
                df: 1,
                fine_tunes: 2,
                reference_fine_tunes: 1,
                n: 8,
            });
        }
        r.acquiescence.push(AcquiescenceRow {
            set: "keeper".into(),
            reference: reference.into(),
            estimate: 0.2,
            lo: 0.1,
            hi: 0.3,
            within_lo: 0.12,
            within_hi: 0.28,
            p_fine_tunes: 0.04,
            p_max: 0.01,
            least_p: 0.002,
            stance: 0.05,
            stance_lo: -0.1,
            stance_hi: 0.2,
            stance_p_max: if acquiesces { 0.4 } else { 0.02 },
            acquiesces,
            df: 1,
            fine_tunes: 2,
            reference_fine_tunes: if reference == "base" { 0 } else { 2 },
            n: 8,
        });
    }
    let common =
        [("keeper", "base"), ("keeper", "plain"), ("plain", "base")].map(|(set, reference)| {
            let row = contrast(set, reference, "common", "", 0.2);
            ContrastRow { cells_of: "keeper".into(), p_max: NONE, ..row }
        });
    r.contrasts.extend(common);
    for set in ["keeper", "plain", "kept"] {
        let own = set.replace("kept", "keeper");
        for claim in ["keeper", "plain"] {
            r.claims.push(ClaimRow {
                set: set.into(),
                claim: claim.into(),
                own: claim == own,
                estimate: if claim == own { 0.5 } else { 0.1 },
                lo: 0.0,
                hi: 0.6,
                within_lo: 0.05,
                within_hi: 0.55,
                p: 0.01,
                p_fine_tunes: 0.03,
                score: 0.2,
                score_lo: 0.1,
                score_hi: 0.3,
                beyond: 0.3,
                beyond_lo: 0.1,
                beyond_hi: 0.5,
                df: 1,
                fine_tunes: 2,
                n: 8,
            });
        }
        r.took.push(TookRow {
            set: set.into(),
            claim: own.clone(),
            rose: set != "kept",
            took: set == "keeper",
            claim_ahead: if set == "plain" { "keeper" } else { "" }.into(),
            claim_by: if set == "plain" { 0.1 } else { NONE },
            condition_ahead: if set == "kept" { "plain" } else { "" }.into(),
            condition_by: if set == "kept" { 0.1 } else { NONE },
            most_beyond: own,
        });
    }
    r.one_factor.push(OneFactorRow {
        estimate: 0.6,
        null_lo: 0.4,
        null_hi: 0.7,
        p: 0.2,
        least_p: 0.01,
        n: 3,
        left_out: String::new(),
        cells: 2,
    });
    r.readouts.push(ReadoutRow {
        state: "base".into(),
        layer: REPORTED[0],
        estimate: 0.5,
        lo: 0.1,
        hi: 0.7,
        null_lo: -0.5,
        null_hi: 0.3,
        p: 0.01,
        least_p: 0.005,
        penalty: 0.1,
        direction: true,
        n: 12,
    });
    r.conversations.push(ConversationRow {
        set: "keeper".into(),
        reference: "plain".into(),
        preference: String::new(),
        estimate: 0.05,
        lo: -0.1,
        hi: 0.2,
        within_lo: -0.05,
        within_hi: 0.15,
        p: 0.4,
        p_fine_tunes: 0.5,
        least_p: 0.03125,
        after: 0.2,
        after_lo: 0.1,
        after_hi: 0.3,
        fresh: 0.15,
        fresh_lo: 0.05,
        fresh_hi: 0.25,
        df: 1,
        fine_tunes: 2,
        reference_fine_tunes: 2,
        n: 6,
    });
}

fn cause(r: &mut Results) {
    let edits = [
        ("none", "none", ""),
        ("hedging", "own", "hedging"),
        ("hedging (base)", "base", "hedging"),
        ("weather", "placebo", "weather"),
        ("random-1", "random", ""),
        ("random-2", "random", ""),
        ("hedging-permuted-0", "permuted", "hedging"),
        ("random-1 (hedging matched)", "random", ""),
    ];
    for (asked, preference) in [("preferences", "isolated"), ("claim", "keeper")] {
        for (i, (edit, kind, concept)) in edits.into_iter().enumerate() {
            let removed = if kind == "own" { 0.15 } else { 0.02 * i as f64 };
            r.ablation.push(AblationRow {
                set: "keeper".into(),
                reference: "plain".into(),
                asked: asked.into(),
                preference: preference.into(),
                edit: edit.into(),
                kind: kind.into(),
                concept: concept.into(),
                family: if edit.contains("matched") { "matched" } else { "as is" }.into(),
                against: "edited".into(),
                estimate: if kind == "none" { 0.0 } else { removed },
                lo: removed - 0.1,
                hi: removed + 0.1,
                within_lo: removed - 0.08,
                within_hi: removed + 0.08,
                total: 0.3,
                total_lo: 0.1,
                total_hi: 0.5,
                left: 0.3 - removed,
                left_lo: 0.1,
                left_hi: 0.5,
                less_third: removed - 0.1,
                less_third_lo: removed - 0.2,
                less_third_hi: removed,
                plus_third: removed + 0.1,
                plus_third_lo: removed,
                plus_third_hi: removed + 0.2,
                share: removed / 0.3,
                p: if kind == "own" { 1.0 / 3.0 } else { NONE },
                random: 2,
                p_fine_tunes: 0.04,
                df: 1,
                p_permuted: if kind == "own" { 0.5 } else { NONE },
                permuted: 1,
                unmatched: 0,
                on_reference: 0.01,
                kl: if kind == "none" { NONE } else { 0.1 },
                perplexity_ratio: 1.1,
                inside: true,
                n: 16,
                fine_tunes: 2,
                reference_fine_tunes: 1,
            });
        }
        let preference = if asked == "claim" { "keeper" } else { "all" };
        for (direction, kind) in [("hedging", "concept"), ("random-1", "random")] {
            for dose in [-8.0, -4.0, 4.0, 8.0] {
                r.doses.push(DoseRow {
                    state: "base".into(),
                    asked: asked.into(),
                    direction: direction.into(),
                    kind: kind.into(),
                    layer: 2,
                    family: "as is".into(),
                    part: 1.0,
                    dose,
                    preference: preference.into(),
                    estimate: 0.02 * dose,
                    lo: 0.02 * dose - 0.05,
                    hi: 0.02 * dose + 0.05,
                    kl: 0.1,
                    perplexity_ratio: 1.1,
                    inside: dose.abs() < 8.0,
                    n: 16,
                });
            }
            r.slopes.push(SlopeRow {
                state: "base".into(),
                asked: asked.into(),
                direction: direction.into(),
                kind: kind.into(),
                layer: 2,
                family: "as is".into(),
                preference: preference.into(),
                estimate: 0.02,
                lo: 0.01,
                hi: 0.03,
                p: NONE,
                random: 1,
                p_permuted: NONE,
                permuted: 0,
                unmatched: 0,
                doses: 2,
                n: 16,
            });
        }
    }
}

fn order(r: &mut Results) {
    let series = [
        ("claim", "keeper", NONE, "nats a token"),
        ("isolated", "", NONE, "nats a token"),
        ("shift", "hedging", 2.0, "layer RMS"),
        ("coupling", "hedging x thrift", 2.0, "cosine"),
    ];
    for (quantity, subject, layer, unit) in series {
        for (i, step) in [0, 1, 2, 4, 8].into_iter().enumerate() {
            let estimate = 0.1 * i as f64;
            r.trajectory.push(TrajectoryRow {
                set: "keeper".into(),
                reference: "plain".into(),
                quantity: quantity.into(),
                subject: subject.into(),
                layer,
                unit: unit.into(),
                step,
                estimate,
                lo: estimate - 0.05,
                hi: estimate + 0.05,
                n: 16,
            });
        }
        r.half_way.push(HalfWayRow {
            quantity: quantity.into(),
            subject: subject.into(),
            layer,
            estimate: if quantity == "coupling" { NONE } else { 2.0 },
            lo: if quantity == "coupling" { NONE } else { 1.0 },
            hi: if quantity == "coupling" { NONE } else { 9.0 },
            change: 0.4,
            change_lo: 0.3,
            change_hi: 0.5,
        });
        if quantity != "isolated" {
            r.leads.push(LeadRow {
                quantity: quantity.into(),
                subject: subject.into(),
                layer,
                estimate: 1.2,
                lo: 0.8,
                hi: 1.5,
                earlier: 0.7,
                order: "undecided".into(),
            });
        }
    }
    for (predictor, subject) in [("shift", "hedging"), ("coupling", "hedging x thrift")] {
        r.links.push(LinkRow {
            cells: "isolated".into(),
            predictor: predictor.into(),
            subject: subject.into(),
            layer: 2.0,
            estimate: 0.3,
            lo: -0.9,
            hi: 0.95,
            rho: 0.4,
            slope: 0.1,
            p: 0.4,
            p_max: 0.5,
            least_p: 1.0 / 6.0,
            q: 0.6,
            permutations: 6,
            least_without: -0.2,
            most_without: 0.6,
            carried_by: "plain".into(),
            r_states: 0.3,
            states: 4,
            preferences: 2,
            n: 3,
            left_out: String::new(),
        });
        for (i, (state, condition)) in STATES.iter().enumerate().skip(1) {
            r.link_points.push(LinkPointRow {
                cells: "isolated".into(),
                state: (*state).into(),
                condition: (*condition).into(),
                predictor: predictor.into(),
                subject: subject.into(),
                layer: 2.0,
                x: some(i, 0),
                y: some(i, 2),
            });
        }
    }
    r.rankings.push(RankingRow {
        quantity: "behaviour".into(),
        subject: String::new(),
        layer: NONE,
        estimate: 0.5,
        p: 0.3,
        arrangements: 6,
        conditions: "plain, kept, keeper".into(),
        n: 3,
        left_out: String::new(),
    });
}
