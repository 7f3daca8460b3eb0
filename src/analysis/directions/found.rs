//! What was found of the directions: the vectors, the rows about them, and the doubts.

use crate::analysis::records::{LayerChoiceRow, QualityRow, Results, WarningRow};
use crate::analysis::roles::place;
use crate::analysis::{AnalysisError, Readings, Result};
use crate::directions::{Direction, Eraser, Estimator, Profile};
use crate::export::{About, OfConcept, OfLayer, Vectors};
use crate::store::schema::LAYER_CONVENTION;
use crate::store::{Frame, ResultsWriter};
use ndarray::Array5;
use std::collections::BTreeMap;

/// Subjects that a warning names before it only counts them.
const NAMED: usize = 4;

/// A doubt about one direction, or about a concept at all layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubt {
    /// State, concept, estimator and layer, as far as they apply.
    pub about: String,
    /// Block of the direction; none where it is about all layers.
    pub layer: Option<usize>,
    /// The doubt, as a sentence.
    pub text: String,
}

/// What was found in one state.
#[derive(Debug, Clone, PartialEq)]
pub struct StateDirections {
    /// `[concept][estimator][layer]`.
    pub profiles: Vec<Vec<Vec<Profile>>>,
    /// `[nuisance][layer]`.
    pub nuisances: Vec<Vec<Direction>>,
    /// `[concept][layer]`; empty unless asked for.
    pub erasers: Vec<Vec<Eraser>>,
}

/// Directions of all states, with the rows about them.
#[derive(Debug, Clone)]
pub struct Directions {
    /// Name of each concept index.
    pub concepts: Vec<String>,
    /// Estimator of each estimator index.
    pub estimators: Vec<Estimator>,
    /// Name of each nuisance index.
    pub nuisances: Vec<String>,
    /// Block of each layer index.
    pub layers: Vec<usize>,
    /// `[state]`, as in the readings.
    pub states: Vec<StateDirections>,
    /// Every row about them.
    pub records: Results,
    /// Doubts about them, of every layer.
    pub doubts: Vec<Doubt>,
}

impl Directions {
    /// The rows about them, one frame a kind.
    pub fn frames(&self) -> [Frame; 7] {
        let r = &self.records;
        [
            Frame::of(&r.quality),
            Frame::of(&r.nuisances),
            Frame::of(&r.nuisance_cosines),
            Frame::of(&r.agreement),
            Frame::of(&r.carried),
            Frame::of(&r.layer_choice),
            Frame::of(&r.erasers),
        ]
    }

    /// Doubts about some layers as rows: each sentence once, with what it is about.
    pub fn warnings(&self, layers: &[usize]) -> Vec<WarningRow> {
        let mut by_text: Vec<(&str, Vec<&str>)> = Vec::new();
        let near = |d: &&Doubt| d.layer.is_none_or(|l| layers.contains(&l));
        for doubt in self.doubts.iter().filter(near) {
            match by_text.iter_mut().find(|(text, _)| *text == doubt.text) {
                Some((_, about)) => about.push(&doubt.about),
                None => by_text.push((&doubt.text, vec![&doubt.about])),
            }
        }
        let row = |(text, about): (&str, Vec<&str>)| {
            let named = about[..about.len().min(NAMED)].join("; ");
            WarningRow {
                about: match about.len().saturating_sub(NAMED) {
                    0 => named,
                    more => format!("{named}; and {more} more"),
                },
                text: text.into(),
            }
        };
        by_text.into_iter().map(row).collect()
    }

    /// The unit vectors of a state by the estimator `e`, as files of other tools hold them; a concept
    /// of whose cleaned direction nothing is left has none.
    pub fn vectors(&self, state: &StateDirections, e: usize, cleaned: bool) -> Vectors {
        let mut out = Vectors { layer_convention: LAYER_CONVENTION.into(), ..Vectors::default() };
        out.about.norm = "unit".into();
        for (concept, profiles) in self.concepts.iter().zip(&state.profiles) {
            for (layer, profile) in self.layers.iter().zip(profiles.get(e).into_iter().flatten()) {
                let left = profile.cleaned.as_ref().map(|c| &c.direction);
                let raw = (!cleaned).then_some(&profile.direction);
                if let Some(d) = raw.or(left) {
                    let layers = out.concepts.entry(concept.clone()).or_default();
                    layers.insert(*layer, d.unit.to_vec());
                }
            }
        }
        out
    }

    /// What is known of those vectors: of the state `s` of the readings, by the estimator `e`.
    pub fn about(&self, (readings, s): (&Readings, usize), e: usize, cleaned: bool) -> About {
        let (state, form) = (&readings.states[s].id, if cleaned { "cleaned" } else { "raw" });
        let estimator = self.estimators[e].to_string();
        let mut concepts: BTreeMap<String, OfConcept> = BTreeMap::new();
        let own = |q: &&QualityRow| q.state == *state && q.estimator == estimator && q.form == form;
        for q in self.records.quality.iter().filter(own) {
            let at = readings.layers.iter().position(|l| *l == q.layer);
            let finite = |v: f64| Some(v).filter(|v| v.is_finite());
            let of = concepts.entry(q.concept.clone()).or_default();
            let layer = OfLayer {
                raw_norm: finite(q.norm),
                layer_rms: at.and_then(|l| finite(readings.rms[l])),
                auroc: finite(q.estimate),
            };
            of.layers.insert(q.layer, layer);
        }
        // The layer is chosen in base, for every state.
        let chosen = |r: &&LayerChoiceRow| r.chosen && r.estimator == estimator;
        for r in self.records.layer_choice.iter().filter(chosen) {
            concepts.entry(r.concept.clone()).or_default().chosen_layer = Some(r.layer);
        }
        About {
            state: state.clone(),
            estimator,
            form: form.into(),
            position: readings.positions[0].to_string(),
            norm: "unit".into(),
            concepts,
            ..About::default()
        }
    }

    /// The direction of a concept at the layer index `l` of a state, by the first estimator.
    ///
    /// # Errors
    /// `UnknownName`; `Input` for a state or layer index that was not read.
    pub fn direction(&self, state: usize, concept: &str, l: usize) -> Result<&Profile> {
        let c = place("concept", concept, &self.concepts)?;
        let found = self.states.get(state).and_then(|s| s.profiles[c].first());
        found.and_then(|layers| layers.get(l)).ok_or_else(|| {
            let what = format!("direction of `{concept}`");
            let why = format!("there is no state {state} with a layer index {l}");
            AnalysisError::Input { what, why }
        })
    }
}

/// Writes the unit vectors: `directions/vectors/unit` and, where there are any, `directions/vectors/cleaned_unit`,
/// f32 `[state, concept, estimator, layer, hidden]`, NaN where there is none.
///
/// # Errors
/// The store's.
pub fn write_units(w: &mut ResultsWriter, readings: &Readings, found: &Directions) -> Result<()> {
    let hidden = found.direction(0, &found.concepts[0], 0)?.direction.unit.len();
    let (states, estimators) = (readings.states.len(), found.estimators.len());
    let shape = [states, found.concepts.len(), estimators, found.layers.len(), hidden];
    let raw: fn(&Profile) -> Option<&Direction> = |p| Some(&p.direction);
    let cleaned: fn(&Profile) -> Option<&Direction> = |p| Some(&p.cleaned.as_ref()?.direction);
    let arrays = [("unit", raw), ("cleaned_unit", cleaned)].map(|(name, of)| {
        let all = Array5::from_shape_fn(shape, |(s, c, e, l, i)| {
            of(&found.states[s].profiles[c][e][l]).map_or(f32::NAN, |d| d.unit[i])
        });
        (name, all)
    });
    let rule = |e: usize| &found.states[0].profiles[0][e][0].direction.sign_rule;
    let rules: Vec<_> = (found.estimators.iter().enumerate())
        .map(|(e, estimator)| (*estimator, rule(e).as_str()))
        .collect();
    write_arrays(w, readings, &found.concepts, &rules, &arrays)
}

/// Writes arrays of directions with their coordinates, those of which some number is known; `rules` are
/// the estimators with the rule of their sign.
pub(in crate::analysis) fn write_arrays(
    w: &mut ResultsWriter,
    readings: &Readings,
    concepts: &[String],
    rules: &[(Estimator, &str)],
    arrays: &[(&str, Array5<f32>)],
) -> Result<()> {
    let hidden = arrays[0].1.dim().4;
    w.coord("state", readings.states.iter().map(|s| s.id.clone()).collect::<Vec<_>>())?;
    w.coord("concept", concepts.to_vec())?;
    w.coord("estimator", rules.iter().map(|r| r.0.to_string()).collect::<Vec<_>>())?;
    w.coord("layer", readings.layers.clone())?;
    w.coord("hidden", (0..hidden).collect::<Vec<usize>>())?;
    for (name, all) in arrays.iter().filter(|(_, all)| !all.iter().all(|v| v.is_nan())) {
        let dims = ["state", "concept", "estimator", "layer", "hidden"];
        w.array("directions/vectors", name, &dims, all.view().into_dyn())?;
    }
    let rules: Vec<String> = rules.iter().map(|(e, rule)| format!("{e}: {rule}")).collect();
    w.attr("directions", "sign_rule", rules.join("; "))?;
    Ok(w.attr("directions", "position", readings.positions[0].to_string())?)
}
