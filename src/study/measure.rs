//! From the run's files to numbers: directions, coupling, shifts, behaviour, the causal check.

use super::run::{Event, Run};
use super::StudyError;
use crate::behavior::by_prompt;
use crate::causal::{edited, mediation, random_directions, Edited, Mediation, PerLayer};
use crate::directions::{quality, Estimator, Pairs, Quality, QualityOptions};
use crate::geometry::shift::layer_rms;
use crate::geometry::{coupling, Coupling, CouplingInput, CouplingOptions};
use crate::materials::{Preference, Split, Status};
use crate::model::Interventions;
use crate::stats::bootstrap::{bootstrap_mean, Estimate};
use crate::stats::corrections::benjamini_hochberg;
use crate::stats::permutation::{flip_test_mean, Tail};
use crate::store::{atomic, ActivationReader};
use ndarray::{s, Array2, Array3, Axis};
use rayon::prelude::*;

/// What was read of one state.
pub struct StateActs {
    /// `[concept]` -> `(2 n_pairs, layers, d)`, positive and negative in turn.
    pub concepts: Vec<Array3<f32>>,
    /// `[position]` -> `(n_texts, layers, d)`.
    pub neutral: Vec<Array3<f32>>,
}

impl StateActs {
    pub fn read(run: &Run, state: usize) -> Result<Self, StudyError> {
        let reader = ActivationReader::open(&run.out.join(run.activations(state)))?;
        let first = super::run::POSITIONS[0].to_string();
        let concepts = run
            .study
            .concepts
            .iter()
            .map(|c| Ok(reader.read(&c.name, &first)?))
            .collect::<Result<_, StudyError>>()?;
        let neutral = super::run::POSITIONS
            .iter()
            .map(|p| Ok(reader.read("neutral", &p.to_string())?))
            .collect::<Result<_, StudyError>>()?;
        Ok(StateActs { concepts, neutral })
    }

    /// Positive less negative of a concept, `(n_pairs, layers, d)`.
    pub fn differences(&self, concept: usize) -> Array3<f32> {
        let a = &self.concepts[concept];
        &a.slice(s![0..;2, .., ..]) - &a.slice(s![1..;2, .., ..])
    }

    /// Mean difference of a concept, `(layers, d)`.
    pub fn direction(&self, concept: usize) -> Array2<f64> {
        let d = self.differences(concept).mapv(f64::from);
        d.mean_axis(Axis(0)).unwrap_or_default()
    }

    /// Mean over one side of a concept's pairs, `(layers, d)`.
    pub fn pole(&self, concept: usize, positive: bool) -> Array2<f64> {
        let from = usize::from(!positive);
        let side = self.concepts[concept]
            .slice(s![from..;2, .., ..])
            .mapv(f64::from);
        side.mean_axis(Axis(0)).unwrap_or_default()
    }
}

/// Layers that are reported: given, or 1/3 and 4/5 of the depth; fixed before any data is seen.
pub fn reported_layers(run: &Run) -> Vec<usize> {
    let n = run.model.decoder.layers();
    run.study
        .written
        .layers
        .clone()
        .unwrap_or_else(|| vec![n / 3, n * 4 / 5])
}

/// Coupling of all concepts in all states.
pub fn all_coupling(run: &Run, acts: &[StateActs]) -> Result<Coupling, StudyError> {
    let n = run.study.concepts.len();
    let differences: Vec<Vec<Array3<f32>>> = acts
        .iter()
        .map(|a| (0..n).map(|c| a.differences(c)).collect())
        .collect();
    let clusters: Vec<Vec<usize>> = run
        .study
        .concepts
        .iter()
        .map(|c| (0..c.pairs.len()).collect())
        .collect();
    let background: Vec<Array3<f32>> = acts.iter().map(|a| a.neutral[0].clone()).collect();
    let draws = &run.study.written.draws;
    let options = CouplingOptions {
        nuisances: run.study.nuisances.clone(),
        placebos: (2..n).collect(),
        draws: draws.bootstrap,
        flips: draws.null,
        random: draws.null,
        seed: run.study.written.seed,
        ..CouplingOptions::for_pair(0, 1)
    };
    let input = CouplingInput {
        differences: &differences,
        clusters: &clusters,
        background: &background,
    };
    let mut out = coupling(input, &options)?;
    // Widened draws and intervals of noisy layers may pass the bounds that a cosine has.
    let draws = &mut out.pair_draws;
    for d in [&mut draws.raw, &mut draws.cleaned, &mut draws.whitened] {
        d.mapv_inplace(|v| v.clamp(-1.0, 1.0));
    }
    for form in [&mut out.raw, &mut out.cleaned, &mut out.whitened] {
        form.lo.mapv_inplace(|v| v.max(-1.0));
        form.hi.mapv_inplace(|v| v.min(1.0));
    }
    Ok(out)
}

/// Quality of the mean-difference direction of each concept at each layer, `[concept][layer]`.
pub fn all_quality(
    run: &Run,
    acts: &StateActs,
    draws: usize,
) -> Result<Vec<Vec<Quality>>, StudyError> {
    let rms = layer_rms(acts.neutral[0].view());
    let options = QualityOptions {
        draws,
        seed: run.study.written.seed,
        ..QualityOptions::default()
    };
    run.study
        .concepts
        .iter()
        .enumerate()
        .map(|(c, concept)| {
            let mut templates: Vec<&str> = Vec::new();
            let template: Vec<usize> = concept
                .pairs
                .iter()
                .map(|p| match templates.iter().position(|t| *t == p.template) {
                    Some(i) => i,
                    None => {
                        templates.push(&p.template);
                        templates.len() - 1
                    }
                })
                .collect();
            let a = &acts.concepts[c];
            (0..a.dim().1)
                .into_par_iter()
                .map(|l| {
                    let side = |from: usize| a.slice(s![from..;2, l, ..]).to_owned();
                    let pairs = Pairs {
                        positive: side(0),
                        negative: side(1),
                        prompt: (0..concept.pairs.len()).collect(),
                        template: template.clone(),
                        is_dev: concept
                            .pairs
                            .iter()
                            .map(|p| p.split == Split::Dev)
                            .collect(),
                    };
                    Ok(quality(&pairs, Estimator::MeanDiff, rms[l], options)?)
                })
                .collect()
        })
        .collect()
}

/// Scores of a state by prompt: `(preference, prompt id) -> log-odds`, battery order.
pub type Scores = Vec<(String, String, f64)>;

pub fn prompt_scores(run: &Run, state: usize) -> Result<Scores, StudyError> {
    let scores = by_prompt(&run.scores(state)?);
    let row = |s: crate::behavior::PromptScore| (s.preference, s.prompt_id, s.log_odds);
    Ok(scores.into_iter().map(row).collect())
}

/// Scores of a condition: the mean over its states of each prompt.
pub fn condition_scores(run: &Run, condition: usize, states: &[Scores]) -> Scores {
    let of: Vec<&Scores> = run
        .states()
        .iter()
        .zip(states)
        .filter(|(s, _)| s.condition == condition)
        .map(|(_, x)| x)
        .collect();
    let mut out = of[0].clone();
    for (i, row) in out.iter_mut().enumerate() {
        row.2 = of.iter().map(|s| s[i].2).sum::<f64>() / of.len() as f64;
    }
    out
}

/// Whether the condition's training text presupposes the preference. A preference that says
/// nothing of a condition counts as isolated.
pub fn implied(preference: &Preference, condition: &str) -> bool {
    preference.status.get(condition) == Some(&Status::Implied)
}

/// Differences by prompt of two lists of scores, for prompts of preferences that `keep`.
pub fn shift_by_prompt(a: &Scores, b: &Scores, keep: impl Fn(&str) -> bool) -> Vec<f64> {
    a.iter()
        .zip(b)
        .filter(|(x, _)| keep(&x.0))
        .map(|(x, y)| x.2 - y.2)
        .collect()
}

/// One preference in one condition against the reference.
pub struct PreferenceShift {
    pub preference: String,
    pub group: String,
    pub condition: String,
    pub estimate: Estimate,
    pub p: f64,
    /// Over the preferences of a condition.
    pub q: f64,
    pub implied: bool,
}

/// Mean over prompts with a 95 % bootstrap interval and a sign-flip p.
pub fn mean_with_p(values: &[f64], draws: usize, seed: u64) -> Result<(Estimate, f64), StudyError> {
    let clusters: Vec<usize> = (0..values.len()).collect();
    let e = bootstrap_mean(values, &clusters, draws, 0.95, seed, "battery")?;
    let p = flip_test_mean(
        values,
        &clusters,
        draws,
        Tail::TwoSided,
        seed,
        "battery-flip",
    );
    Ok((e, p))
}

/// Shifts of every preference of a condition against a reference.
pub fn preference_shifts(
    run: &Run,
    condition: &str,
    (scores, reference): (&Scores, &Scores),
) -> Result<Vec<PreferenceShift>, StudyError> {
    let (draws, seed) = (run.study.written.draws.bootstrap, run.study.written.seed);
    let mut out = Vec::new();
    for p in &run.study.battery {
        let values = shift_by_prompt(scores, reference, |name| name == p.name);
        let (estimate, pv) = mean_with_p(&values, draws, seed)?;
        out.push(PreferenceShift {
            preference: p.name.clone(),
            group: p.group.clone(),
            condition: condition.into(),
            estimate,
            p: pv,
            q: f64::NAN,
            implied: implied(p, condition),
        });
    }
    let q = benjamini_hochberg(&out.iter().map(|s| s.p).collect::<Vec<_>>());
    out.iter_mut().zip(q).for_each(|(s, q)| s.q = q);
    Ok(out)
}

/// What the causal stage stores.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct CausalRecord {
    pub condition: String,
    pub reference: String,
    /// State in which directions were ablated.
    pub state: String,
    pub reference_state: String,
    pub layer: usize,
    /// RMS of that layer on neutral texts, the unit of the doses.
    pub layer_rms: f64,
    pub ablations: Vec<Edited>,
    pub doses: Vec<Edited>,
}

pub const CAUSAL_FILE: &str = "causal.json";

fn per_layer(direction: &Array2<f64>) -> PerLayer {
    direction
        .rows()
        .into_iter()
        .map(|r| {
            let norm = r.dot(&r).sqrt();
            r.iter().map(|v| (v / norm) as f32).collect()
        })
        .collect()
}

/// Ablation in the first seed of the condition, dose response in base.
pub fn causal(run: &mut Run, watch: &mut dyn FnMut(Event)) -> Result<Vec<String>, StudyError> {
    let study = run.study;
    let Some(spec) = &study.written.causal else {
        return Ok(Vec::new());
    };
    let first = |name: &str| {
        let of = |s: &super::stages::State| study.conditions[s.condition].name == name;
        run.states().iter().position(of).unwrap_or(0)
    };
    let (state, reference) = (first(&spec.condition), first(&spec.reference));
    let (tuned, base) = (StateActs::read(run, state)?, StateActs::read(run, 0)?);
    let tok = run.model.tokenizer.clone();
    let neutral: Vec<_> = super::stages::neutral_texts(study, run.model, None)?
        .into_iter()
        .take(3)
        .collect();
    let seed = study.written.seed;
    let decoder = run.decoder(state)?;
    let system = run.system(state).map(str::to_string);
    let mut edits = vec![
        ("persona".to_string(), per_layer(&tuned.direction(0))),
        ("persona (base)".to_string(), per_layer(&base.direction(0))),
        ("autonomy".to_string(), per_layer(&tuned.direction(1))),
    ];
    for (k, d) in random_directions(&tuned.neutral[0], spec.random, seed)?
        .into_iter()
        .enumerate()
    {
        edits.push((format!("random-{k}"), d));
    }
    let mut ablations = Vec::new();
    for (name, direction) in &edits {
        watch(Event::Detail(format!("ablating {name}")));
        let edit = Interventions::none().project_out_everywhere(direction)?;
        ablations.push(edited(
            name,
            None,
            &decoder,
            &tok,
            &study.battery,
            system.as_deref(),
            &neutral,
            &edit,
        )?);
    }
    // Dose response in base at the first reported layer, one prompt a preference.
    let layer = reported_layers(run)[0];
    let rms = layer_rms(base.neutral[0].view())[layer];
    let light: Vec<Preference> = study
        .battery
        .iter()
        .map(|p| {
            let mut p = p.clone();
            p.prompts.truncate(1);
            p
        })
        .collect();
    let mut dosed = vec![
        ("persona".to_string(), per_layer(&base.direction(0))),
        ("autonomy".to_string(), per_layer(&base.direction(1))),
    ];
    let controls = random_directions(&base.neutral[0], spec.random.min(2), seed.wrapping_add(1))?;
    for (k, d) in controls.into_iter().enumerate() {
        dosed.push((format!("random-{k}"), d));
    }
    let model = &run.model.decoder;
    let mut doses = Vec::new();
    for (name, direction) in &dosed {
        for &alpha in &spec.alphas {
            watch(Event::Detail(format!("adding {alpha} x {name}")));
            let edit = Interventions::none().add(layer, &direction[layer], alpha * rms)?;
            let guard = &neutral[..neutral.len().min(2)];
            let alpha = Some(alpha);
            doses.push(edited(
                name, alpha, model, &tok, &light, None, guard, &edit,
            )?);
        }
    }
    let record = CausalRecord {
        condition: spec.condition.clone(),
        reference: spec.reference.clone(),
        state: run.states()[state].id.clone(),
        reference_state: run.states()[reference].id.clone(),
        layer,
        layer_rms: rms,
        ablations,
        doses,
    };
    let text = serde_json::to_vec(&record).unwrap_or_default();
    atomic::write(&run.out.join(CAUSAL_FILE), &text)?;
    Ok(vec![CAUSAL_FILE.into()])
}

/// The causal record of a finished stage.
pub fn causal_record(run: &Run) -> Result<Option<CausalRecord>, StudyError> {
    if run.study.written.causal.is_none() {
        return Ok(None);
    }
    let path = run.out.join(CAUSAL_FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
        path: path.clone(),
        source,
    })?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| StudyError::Stage {
            path,
            why: e.to_string(),
        })
}

/// Shift of the ablated state over isolated preferences, by edit; the first entry is no edit.
pub fn mediations(run: &Run, record: &CausalRecord, scores: &[Scores]) -> Vec<Mediation> {
    let at = |id: &str| run.states().iter().position(|s| s.id == id).unwrap_or(0);
    let (tuned, reference) = (
        &scores[at(&record.state)],
        &scores[at(&record.reference_state)],
    );
    let isolated = |name: &str| {
        let known = run.study.battery.iter().find(|p| p.name == name);
        known.is_some_and(|p| !implied(p, &record.condition))
    };
    let w = &run.study.written;
    let total = shift_by_prompt(tuned, reference, isolated);
    let mut out = vec![mediation("none", &total, &total, w.draws.bootstrap, w.seed)];
    for e in &record.ablations {
        let left = shift_by_prompt(&e.scores, reference, isolated);
        out.push(mediation(&e.edit, &total, &left, w.draws.bootstrap, w.seed));
    }
    out
}
