//! The rows of an extraction: stored, given as JSON and, for a few layers, printed.

use super::measure::{Found, Measured, Plan, StateFound};
use crate::cli::table::Table;
use crate::directions::{agreement, Direction};
use crate::stats::Interval;
use serde_json::{json, Value};

/// One table each; those without rows are neither stored nor printed.
pub struct Tables {
    pub quality: Table,
    pub nuisances: Table,
    pub nuisance_quality: Table,
    pub agreement: Table,
    pub carried: Table,
    pub roles: Table,
    pub layers: Table,
    pub erasers: Table,
}

const QUALITY: [&str; 20] = [
    "state",
    "concept",
    "estimator",
    "layer",
    "chosen",
    "norm",
    "relative_norm",
    "auroc",
    "auroc_lo",
    "auroc_hi",
    "reliability",
    "cleaned_share",
    "cleaned_auroc",
    "cleaned_auroc_lo",
    "cleaned_auroc_hi",
    "cleaned_reliability",
    "pairs",
    "prompts",
    "templates",
    "warnings",
];

impl Tables {
    pub fn new(plan: &Plan, measured: &Measured) -> Self {
        let mut t = Tables {
            quality: Table::new(&QUALITY, 3),
            nuisances: Table::new(
                &[
                    "state",
                    "concept",
                    "estimator",
                    "layer",
                    "nuisance",
                    "cosine",
                ],
                3,
            ),
            nuisance_quality: Table::new(&["state", "nuisance", "layer", "norm", "reliability"], 3),
            agreement: Table::new(
                &["state", "concept", "layer", "first", "second", "cosine"],
                3,
            ),
            carried: Table::new(
                &[
                    "state",
                    "concept",
                    "estimator",
                    "layer",
                    "cosine",
                    "auroc",
                    "auroc_lo",
                    "auroc_hi",
                ],
                3,
            ),
            roles: Table::new(
                &[
                    "state",
                    "concept",
                    "estimator",
                    "layer",
                    "position",
                    "cosine",
                    "auroc",
                    "auroc_lo",
                    "auroc_hi",
                ],
                3,
            ),
            layers: Table::new(
                &[
                    "concept",
                    "estimator",
                    "layer",
                    "separation",
                    "dev_auroc",
                    "chosen",
                    "dev_pairs",
                    "dev_prompts",
                ],
                3,
            ),
            erasers: Table::new(
                &[
                    "state", "concept", "layer", "rank", "auroc", "auroc_lo", "auroc_hi",
                ],
                3,
            ),
        };
        for state in &measured.states {
            t.add_state(plan, measured, state);
        }
        for (c, of_concept) in measured.choices.iter().enumerate() {
            for (e, choice) in of_concept.iter().enumerate() {
                for (l, layer) in plan.layers.iter().enumerate() {
                    t.layers.row(vec![
                        plan.concepts[c].name.clone().into(),
                        plan.estimators[e].name().into(),
                        (*layer).into(),
                        choice.separation[l].into(),
                        choice.auroc[l].into(),
                        usize::from(choice.chosen == l).into(),
                        choice.n_pairs.into(),
                        choice.n_prompts.into(),
                    ]);
                }
            }
        }
        t
    }

    fn add_state(&mut self, plan: &Plan, measured: &Measured, state: &StateFound) {
        for (k, nuisance) in plan.nuisances.iter().enumerate() {
            for (l, layer) in plan.layers.iter().enumerate() {
                self.nuisance_quality.row(vec![
                    state.name.clone().into(),
                    nuisance.name().into(),
                    (*layer).into(),
                    state.nuisances[k][l].raw_norm.into(),
                    state.nuisance_reliability[k][l].into(),
                ]);
            }
        }
        for (c, concept) in plan.concepts.iter().enumerate() {
            for (e, estimator) in plan.estimators.iter().enumerate() {
                for (l, layer) in plan.layers.iter().enumerate() {
                    let found = &state.found[c][l][e];
                    let key = || {
                        vec![
                            state.name.clone().into(),
                            concept.name.clone().into(),
                            estimator.name().into(),
                            (*layer).into(),
                        ]
                    };
                    let mut row = key();
                    row.push(usize::from(is_chosen(measured, c, e, l)).into());
                    quality_cells(&mut row, found);
                    self.quality.row(row);
                    let others = plan.nuisances.iter().filter(|n| n.name() != concept.name);
                    for (nuisance, cosine) in others.zip(&found.profile.nuisance_cosines) {
                        let mut row = key();
                        row.extend([nuisance.name().into(), (*cosine).into()]);
                        self.nuisances.row(row);
                    }
                    if let Some(carried) = &found.from_base {
                        let mut row = key();
                        row.extend([carried.cosine, carried.auroc].map(Into::into));
                        row.extend(ends(carried.interval).map(Into::into));
                        self.carried.row(row);
                    }
                    for (position, carried) in plan.positions[1..].iter().zip(&found.at_roles) {
                        let mut row = key();
                        row.push(position.to_string().into());
                        row.extend([carried.cosine, carried.auroc].map(Into::into));
                        row.extend(ends(carried.interval).map(Into::into));
                        self.roles.row(row);
                    }
                }
            }
            for (l, layer) in plan.layers.iter().enumerate() {
                let key = || {
                    vec![
                        state.name.clone().into(),
                        concept.name.clone().into(),
                        (*layer).into(),
                    ]
                };
                let cosines = cosines(&state.found[c][l]);
                for (a, first) in plan.estimators.iter().enumerate() {
                    for (b, second) in plan.estimators.iter().enumerate().skip(a + 1) {
                        let mut row = key();
                        row.extend([first.name().into(), second.name().into()]);
                        row.push(cosines[a][b].into());
                        self.agreement.row(row);
                    }
                }
                if let Some(erased) = state.erasers.get(c).map(|by_layer| &by_layer[l]) {
                    let mut row = key();
                    row.push(erased.eraser.rank().into());
                    row.push(erased.auroc.into());
                    row.extend(ends(erased.interval).map(Into::into));
                    self.erasers.row(row);
                }
            }
        }
    }

    /// Names and tables of those with rows.
    pub fn filled(&self) -> Vec<(&'static str, &Table)> {
        let all = [
            ("quality", &self.quality),
            ("nuisances", &self.nuisances),
            ("nuisance_quality", &self.nuisance_quality),
            ("agreement", &self.agreement),
            ("carried", &self.carried),
            ("roles", &self.roles),
            ("layers", &self.layers),
            ("erasers", &self.erasers),
        ];
        all.into_iter().filter(|(_, t)| !t.is_empty()).collect()
    }

    pub fn json(&self) -> Value {
        json!({
            "directions": self.quality.json(), "nuisances": self.nuisances.json(),
            "nuisance_quality": self.nuisance_quality.json(), "agreement": self.agreement.json(), "carried": self.carried.json(),
            "roles": self.roles.json(), "layers": self.layers.json(),
            "erasers": self.erasers.json(),
        })
    }
}

/// Whether the layer is the one that was chosen for the concept and estimator.
pub fn is_chosen(measured: &Measured, concept: usize, estimator: usize, layer: usize) -> bool {
    let choice = measured.choices.get(concept).map(|c| &c[estimator]);
    choice.is_some_and(|c| c.chosen == layer)
}

fn ends(interval: Interval) -> [f64; 2] {
    [interval.lo, interval.hi]
}

/// From the norm on, as the columns of [`QUALITY`] say.
fn quality_cells(row: &mut Vec<crate::cli::table::Cell>, found: &Found) {
    let q = &found.profile.quality;
    let direction = &found.profile.direction;
    row.extend(
        [
            direction.raw_norm,
            q.relative_norm,
            q.auroc,
            q.auroc_interval.lo,
            q.auroc_interval.hi,
            q.reliability,
        ]
        .map(Into::into),
    );
    let cleaned = match &found.profile.cleaned {
        Some(c) => [
            c.direction.raw_norm / direction.raw_norm,
            c.quality.auroc,
            c.quality.auroc_interval.lo,
            c.quality.auroc_interval.hi,
            c.quality.reliability,
        ],
        None => [f64::NAN; 5],
    };
    row.extend(cleaned.map(Into::into));
    row.extend([q.n_pairs, q.n_prompts, q.n_templates].map(Into::into));
    let warnings: Vec<String> = q.warnings.iter().map(|w| w.to_string()).collect();
    row.push(warnings.join("; ").into());
}

/// Cosines between the estimators' directions.
pub fn cosines(found: &[Found]) -> Vec<Vec<f64>> {
    let directions: Vec<Direction> = found.iter().map(|f| f.profile.direction.clone()).collect();
    match agreement(&directions) {
        Ok(m) => m.rows().into_iter().map(|r| r.to_vec()).collect(),
        // Directions of one layer have one width, so this does not happen.
        Err(_) => vec![vec![f64::NAN; found.len()]; found.len()],
    }
}
