//! From the run's files to everything that is reported: directions, coupling, shifts, behaviour.

use super::acts::StateActs;
use super::cause::{causal_record, mediations, CausalRecord};
use super::run::Run;
use super::scores::{condition_scores, preference_shifts, prompt_scores, PreferenceShift, Scores};
use super::StudyError;
use crate::causal::Necessity;
use crate::directions::{quality, Estimator, Pairs, Quality, QualityOptions};
use crate::geometry::shift::{
    between_poles, layer_rms, mean_shift, project, shift_cosines, without_shared, BetweenPoles,
    OnDirection, ShiftInput, ShiftOptions,
};
use crate::geometry::stability::{direction_cosines, linear_cka};
use crate::geometry::{
    contrast, coupling, Contrast, Coupling, CouplingInput, CouplingOptions, Over,
};
use crate::materials::Split;
use crate::stats::interval::percentile;
use crate::stats::Interval;
use ndarray::{s, Array2, Array3};
use rayon::prelude::*;

/// Shift of one state: projections by layer on persona and autonomy.
pub struct StateShift {
    pub state: usize,
    /// `[layer]` on base persona, base autonomy, own persona, own autonomy.
    pub raw: Vec<Vec<OnDirection>>,
    /// The same of the shift less the mean of the other identity fine-tunes, in layer RMS.
    pub unshared: Option<Vec<[f64; 4]>>,
    /// `[layer]` movement between the persona poles of base.
    pub poles: Vec<BetweenPoles>,
    pub mean: Array2<f64>,
}

/// Everything that is reported.
pub struct Measured {
    pub layers: Vec<usize>,
    pub coupling: Coupling,
    pub quality: Vec<Vec<Vec<Quality>>>,
    pub shifts: Vec<StateShift>,
    pub shift_cosine: Option<Array3<f64>>,
    /// `[state][layer]` cosine of the persona direction with base's; CKA with base.
    pub stability: Vec<Vec<f64>>,
    pub cka: Vec<Vec<f64>>,
    pub scores: Vec<Scores>,
    /// Each condition but the reference, against it.
    pub preferences: Vec<PreferenceShift>,
    pub reference: usize,
    /// dK of each condition against base, `[condition]`.
    pub to_base: Vec<Option<Contrast>>,
    pub mediations: Vec<Necessity>,
    pub causal: Option<CausalRecord>,
}

/// Quality draws of states other than base, whose intervals are stored but not drawn.
const QUALITY_DRAWS: usize = 200;

/// Reads and computes everything; the seconds of the report stage are spent here.
pub fn measured(run: &Run) -> Result<Measured, StudyError> {
    let n = run.states().len();
    let acts = (0..n)
        .map(|i| StateActs::read(run, i))
        .collect::<Result<Vec<_>, _>>()?;
    let coupling = all_coupling(run, &acts)?;
    let w = &run.study.written;
    let draws = |i: usize| match i {
        0 => w.draws.bootstrap,
        _ => QUALITY_DRAWS,
    };
    let quality = acts
        .iter()
        .enumerate()
        .map(|(i, a)| all_quality(run, a, draws(i)))
        .collect::<Result<Vec<_>, _>>()?;
    let shifts = all_shifts(run, &acts)?;
    let means: Vec<Array2<f64>> = shifts.iter().map(|s| s.mean.clone()).collect();
    let shift_cosine = match means.len() > 1 {
        true => Some(shift_cosines(&means)?),
        false => None,
    };
    let base = &acts[0];
    let persona = base.direction(0);
    let mut stability = Vec::new();
    let mut cka = Vec::new();
    for a in &acts {
        stability.push(direction_cosines(persona.view(), a.direction(0).view())?);
        let c = linear_cka(base.neutral[0].view(), a.neutral[0].view())?;
        cka.push(c.into_iter().map(|c| c.biased).collect());
    }
    let scores = (0..n)
        .map(|i| prompt_scores(run, i))
        .collect::<Result<Vec<_>, _>>()?;
    let reference = reference(run);
    let reference_scores = condition_scores(run, reference, &scores);
    let mut preferences = Vec::new();
    for (i, c) in run.study.conditions.iter().enumerate() {
        if i != reference {
            let own = condition_scores(run, i, &scores);
            let pair = (&own, &reference_scores);
            preferences.extend(preference_shifts(run, &c.name, pair)?);
        }
    }
    let to_base = (0..run.study.conditions.len())
        .map(|c| match c {
            0 => Ok(None),
            _ => Ok(Some(coupling_contrast(run, &coupling, c, 0)?)),
        })
        .collect::<Result<Vec<_>, StudyError>>()?;
    let causal = causal_record(run)?;
    let mediations = match &causal {
        Some(record) => mediations(run, record, &scores)?,
        None => Vec::new(),
    };
    Ok(Measured {
        layers: reported_layers(run),
        coupling,
        quality,
        shifts,
        shift_cosine,
        stability,
        cka,
        scores,
        preferences,
        reference,
        to_base,
        mediations,
        causal,
    })
}

/// The condition that others are compared with: the manifest's, or denial, or base.
fn reference(run: &Run) -> usize {
    let name = match &run.study.written.causal {
        Some(c) => c.reference.as_str(),
        None => "denial",
    };
    let at = |o: &super::manifest::Condition| o.name == name;
    run.study.conditions.iter().position(at).unwrap_or(0)
}

/// States of a condition.
pub fn states_of(run: &Run, condition: usize) -> Vec<usize> {
    let of = |(i, s): (usize, &super::stages::State)| (s.condition == condition).then_some(i);
    run.states().iter().enumerate().filter_map(of).collect()
}

/// Mean over a condition's states of the persona-autonomy cosine at a layer, with its interval:
/// that of the one state, or over the states' common draws of prompts.
pub fn condition_coupling(run: &Run, c: &Coupling, condition: usize, l: usize) -> (f64, Interval) {
    let set = states_of(run, condition);
    let n = set.len() as f64;
    let value = set.iter().map(|&i| c.raw.value[[i, 0, 1, l]]).sum::<f64>() / n;
    if let [only] = set[..] {
        let at = [only, 0, 1, l];
        let (lo, hi) = (c.raw.lo[at], c.raw.hi[at]);
        return (value, Interval { lo, hi });
    }
    let draws = &c.pair_draws.raw;
    let mean = |d: usize| {
        set.iter()
            .map(|&i| f64::from(draws[[i, l, d]]))
            .sum::<f64>()
            / n
    };
    let mut means: Vec<f64> = (0..draws.dim().2).map(mean).collect();
    (value, percentile(&mut means, 0.95))
}

/// Difference of the persona-autonomy cosine of one condition to another, by layer.
pub fn coupling_contrast(
    run: &Run,
    c: &Coupling,
    condition: usize,
    against: usize,
) -> Result<Contrast, StudyError> {
    let value = c.raw.value.slice(s![.., 0, 1, ..]).to_owned();
    let (set, other) = (states_of(run, condition), states_of(run, against));
    let over = match set.len() {
        1 => Over::Prompts,
        _ => Over::PromptsAndSeeds,
    };
    let (draws, seed) = (c.pair_draws.raw.view(), run.study.written.seed);
    Ok(contrast(
        value.view(),
        draws,
        (&set, &other),
        over,
        0.95,
        seed,
    )?)
}

/// Shift of every state but base on the neutral texts.
fn all_shifts(run: &Run, acts: &[StateActs]) -> Result<Vec<StateShift>, StudyError> {
    let w = &run.study.written;
    let clusters: Vec<usize> = (0..run.study.neutral_texts.len()).collect();
    let options = ShiftOptions {
        draws: w.draws.bootstrap,
        seed: w.seed,
        ..ShiftOptions::default()
    };
    let base = &acts[0];
    let (negative, positive) = (base.pole(0, false), base.pole(0, true));
    let axes = |state: usize| {
        [
            base.direction(0),
            base.direction(1),
            acts[state].direction(0),
            acts[state].direction(1),
        ]
    };
    let mut shifts = Vec::new();
    for (state, tuned) in acts.iter().enumerate().skip(1) {
        let input = ShiftInput {
            tuned: tuned.neutral[0].view(),
            base: base.neutral[0].view(),
            clusters: &clusters,
        };
        let axes = axes(state);
        let views: Vec<_> = axes.iter().map(|a| a.view()).collect();
        shifts.push(StateShift {
            state,
            raw: project(&input, &views, options)?,
            unshared: None,
            poles: between_poles(&input, negative.view(), positive.view(), options)?,
            mean: mean_shift(&input)?,
        });
    }
    let is_identity = |s: &StateShift| {
        let condition = run.states()[s.state].condition;
        run.study.conditions[condition].identity
    };
    let identity: Vec<usize> = (0..shifts.len())
        .filter(|&i| is_identity(&shifts[i]))
        .collect();
    if identity.len() < 2 {
        return Ok(shifts);
    }
    let means: Vec<Array2<f64>> = shifts.iter().map(|s| s.mean.clone()).collect();
    let rest = without_shared(&means, &identity)?;
    let rms = layer_rms(base.neutral[0].view());
    for &i in &identity {
        let axes = axes(shifts[i].state);
        let at = |l: usize, k: usize| {
            let v = axes[k].row(l);
            rest[i].row(l).dot(&v) / v.dot(&v).sqrt() / rms[l]
        };
        let by_layer = (0..rms.len()).map(|l| std::array::from_fn(|k| at(l, k)));
        shifts[i].unshared = Some(by_layer.collect());
    }
    Ok(shifts)
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
