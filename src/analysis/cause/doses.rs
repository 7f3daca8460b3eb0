//! Doses of directions and single edits, judged against the same model without them.

use super::super::records::{DoseRow, EditRow, Results, SlopeRow, WarningRow};
use super::super::{AnalysisError, Draws, Result};
use super::{doubts, Dosed, CLAIM};
use crate::behavior::estimate;
use crate::causal::{dose, dose_response, Edited, Family, Guards, Kind, Matched, Warning, ALL};
use crate::stats::bootstrap::Estimate;

/// What was asked under doses: a name, [`super::PREFERENCES`] or [`CLAIM`], with the preferences or
/// the claim that belong to it.
pub type Questions<'a> = [(&'a str, Vec<String>)];

/// Every dose of `dosed`, those beyond the guards marked, and the slope over those within: over all
/// items and each preference of a question, or the claim alone. The p of a slope is among those of
/// the controls, a row for each family of them.
///
/// # Errors
/// No run without a dose, or without any; an item that only some runs hold; a score that is not
/// finite.
pub fn judge_doses(
    dosed: &Dosed,
    asked: &Questions,
    guards: Guards,
    draws: Draws,
) -> Result<Results> {
    let mut out = Results::default();
    let mut warnings: Vec<Warning> = Vec::new();
    for (question, names) in asked {
        let edits: Vec<Edited> = dosed.edits.iter().map(|e| e.on(names)).collect();
        let Some((plain, edited)) = edits.split_first() else {
            return Err(AnalysisError::Input {
                what: format!("the doses of {}", dosed.state),
                why: "there is no run without one".into(),
            });
        };
        let r = dose_response(plain, edited, guards, draws.bootstrap, draws.seed)?;
        let shown = |preference: &str| *question != CLAIM || preference != ALL;
        for d in r.doses.into_iter().filter(|d| shown(&d.preference)) {
            out.doses.push(DoseRow {
                state: dosed.state.clone(),
                asked: question.to_string(),
                direction: d.direction,
                kind: kind(d.kind).into(),
                layer: dosed.layer,
                family: family(&d.matched, Family::AsIs).name().into(),
                part: d.matched.map_or(1.0, |m| m.part),
                dose: d.dose,
                preference: d.preference,
                estimate: d.change.value,
                lo: d.change.interval.lo,
                hi: d.change.interval.hi,
                kl: d.kl,
                perplexity_ratio: d.perplexity_ratio,
                inside: d.inside,
                n: d.change.n_clusters,
            });
        }
        for s in r.slopes.into_iter().filter(|s| shown(&s.preference)) {
            out.slopes.push(SlopeRow {
                state: dosed.state.clone(),
                asked: question.to_string(),
                direction: s.direction,
                kind: kind(s.kind).into(),
                layer: dosed.layer,
                preference: s.preference,
                estimate: s.slope.value,
                lo: s.slope.interval.lo,
                hi: s.slope.interval.hi,
                family: family(&s.matched, s.among.family).name().into(),
                p: s.among.p,
                random: s.among.random,
                p_permuted: s.among.p_permuted,
                permuted: s.among.permuted,
                unmatched: s.among.unmatched,
                doses: s.doses.len(),
                n: s.slope.n_clusters,
            });
        }
        warnings.extend(r.warnings);
    }
    out.warnings = doubts(&format!("doses in {}", dosed.state), warnings);
    Ok(out)
}

/// Doses are of a concept, wherever it was read, or of a control.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Placebo | Kind::Random | Kind::Permuted => kind.name(),
        _ => "concept",
    }
}

/// How strong a control is; else the family of controls that something is counted among.
fn family(matched: &Option<Matched>, among: Family) -> Family {
    if matched.is_some() {
        Family::Matched
    } else {
        among
    }
}

/// Every preference with and without one edit of a model, and what is doubtful about it.
///
/// # Errors
/// An item that only one run holds; a score that is not finite.
pub fn judge_edit(
    state: &str,
    plain: &Edited,
    edited: &Edited,
    guards: Guards,
    draws: Draws,
) -> Result<Results> {
    let of = |e: &Edited, preference: &str| -> Result<Estimate> {
        let own = e.scores.iter().filter(|s| preference == ALL || s.0 == preference);
        let values: Vec<f64> = own.map(|s| s.2).collect();
        Ok(estimate(&values, draws.bootstrap, draws.seed)?)
    };
    let (kl, perplexity_ratio) = (edited.kl, edited.perplexity / plain.perplexity);
    let inside = guards.hold(kl, perplexity_ratio);
    let doubt = (!inside).then(|| WarningRow {
        about: format!("an edit of {state}"),
        text: format!(
            "{} damages the model beyond the guards (KL {kl:.2} nats a token, perplexity x {perplexity_ratio:.2}): what changes may be sense rather than stance",
            edited.edit
        ),
    });
    let mut out = Results { warnings: doubt.into_iter().collect(), ..Results::default() };
    for (preference, values) in dose::changes(plain, edited)? {
        let change = estimate(&values, draws.bootstrap, draws.seed)?;
        let (before, after) = (of(plain, &preference)?, of(edited, &preference)?);
        out.edits.push(EditRow {
            state: state.into(),
            edit: edited.edit.clone(),
            preference,
            estimate: change.value,
            lo: change.interval.lo,
            hi: change.interval.hi,
            plain: before.value,
            plain_lo: before.interval.lo,
            plain_hi: before.interval.hi,
            edited: after.value,
            edited_lo: after.interval.lo,
            edited_hi: after.interval.hi,
            kl,
            perplexity_ratio,
            inside,
            n: change.n_clusters,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::PREFERENCES;
    use super::*;

    fn run(edit: &str, kind: Kind, dose: f64, by: f64, perplexity: f64) -> Edited {
        Edited {
            edit: edit.into(),
            kind,
            concept: String::new(),
            dose: Some(dose),
            matched: None,
            scores: ["p", "q", "own"]
                .into_iter()
                .flat_map(|p| (0..3).map(move |i| (p, i)))
                .map(|(p, i)| {
                    let slope = if p == "own" { 2.0 } else { 1.0 };
                    let level = f64::from(i) + slope * by * dose;
                    (p.to_string(), i.to_string(), level)
                })
                .collect(),
            kl: 0.0,
            perplexity,
        }
    }

    #[test]
    fn planted_slopes_are_recovered_for_each_question_and_doses_beyond_the_guards_only_shown() {
        let dosed = Dosed {
            state: "base".into(),
            layer: 1,
            rms: 4.0,
            edits: vec![
                run("none", Kind::None, 0.0, 0.0, 10.0),
                run("c", Kind::Own, -1.0, 0.5, 10.0),
                run("c", Kind::Own, 1.0, 0.5, 19.0),
                run("c", Kind::Own, 8.0, 7.0, 21.0),
                run("other", Kind::Placebo, 1.0, 3.0, 10.0),
                run("random-0", Kind::Random, 1.0, 0.1, 10.0),
            ],
        };
        let asked =
            [(PREFERENCES, vec!["p".to_string(), "q".into()]), (CLAIM, vec!["own".to_string()])];
        let draws = Draws { bootstrap: 100, null: 100, seed: 1 };
        let r = judge_doses(&dosed, &asked, Guards::default(), draws).unwrap();
        let slope = |asked: &str, preference: &str, direction: &str| {
            let same = |s: &&SlopeRow| {
                s.asked == asked && s.preference == preference && s.direction == direction
            };
            r.slopes.iter().find(same)
        };
        let all = slope(PREFERENCES, ALL, "c").unwrap();
        assert_eq!((all.estimate, all.doses, all.n), (0.5, 2, 6));
        assert_eq!((all.p, all.random, all.kind.as_str()), (0.5, 1, "concept"));
        assert_eq!(slope(CLAIM, "own", "c").unwrap().estimate, 1.0);
        assert!(slope(CLAIM, ALL, "c").is_none());
        assert_eq!(slope(PREFERENCES, "p", "other").unwrap().kind, "placebo");
        let beyond = r.doses.iter().filter(|d| !d.inside);
        assert_eq!(beyond.map(|d| d.dose).collect::<Vec<_>>(), [8.0; 4]);
    }

    #[test]
    fn an_edit_is_read_against_the_same_model_item_by_item() {
        let (plain, edited) =
            (run("none", Kind::None, 0.0, 0.0, 10.0), run("capped", Kind::None, 1.0, -0.5, 12.0));
        let draws = Draws { bootstrap: 100, null: 100, seed: 1 };
        let found = judge_edit("base", &plain, &edited, Guards::default(), draws).unwrap();
        assert!(found.warnings.is_empty());
        let rows = &found.edits;
        let own = rows.iter().find(|r| r.preference == "own").unwrap();
        assert_eq!((own.estimate, own.lo, own.hi), (-1.0, -1.0, -1.0));
        assert_eq!((own.plain, own.edited, own.inside), (1.0, 0.0, true));
        assert_eq!((rows.len(), rows[0].n), (4, 9));
    }
}
