//! Rows of the tables: one function a finding, each column named once.
//!
//! A caller gives what it found with the names that it alone knows (states, concepts, blocks) and
//! gets rows to write, to print or to turn into JSON.

use crate::geometry::nulls::Against;
use crate::geometry::projections::{Projections, AXES};
use crate::geometry::regions::{Mahalanobis, Silhouette};
use crate::geometry::shift::BetweenPoles;
use crate::geometry::stability::{Cka, Stability};
use crate::geometry::subspace_curve::OverlapAt;
use crate::geometry::Contrast;
use crate::stats::area::Area;
use crate::stats::mixture::Bimodality;
use crate::store::Values;
use ndarray::Array3;

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Text(String),
    Int(usize),
    Real(f64),
}

impl From<&str> for Entry {
    fn from(v: &str) -> Self {
        Entry::Text(v.into())
    }
}

impl From<usize> for Entry {
    fn from(v: usize) -> Self {
        Entry::Int(v)
    }
}

impl From<f64> for Entry {
    fn from(v: f64) -> Self {
        Entry::Real(v)
    }
}

/// Rows under named columns; all cells of a column are of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Entry>>,
}

impl Rows {
    fn new(columns: &[&'static str]) -> Self {
        Rows {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    fn push(&mut self, row: Vec<Entry>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// Appends rows of the same columns.
    pub fn extend(&mut self, more: Rows) {
        debug_assert_eq!(more.columns, self.columns);
        self.rows.extend(more.rows);
    }

    /// Columns as the store writes them.
    pub fn into_columns(self) -> Vec<(&'static str, Values)> {
        let Rows { columns, rows } = self;
        let column = |i: usize| -> Values {
            match rows.first().map(|r| &r[i]) {
                Some(Entry::Text(_)) => Values::Text(
                    rows.iter()
                        .map(|r| match &r[i] {
                            Entry::Text(t) => t.clone(),
                            _ => String::new(),
                        })
                        .collect(),
                ),
                Some(Entry::Int(_)) => Values::from(
                    rows.iter()
                        .map(|r| match r[i] {
                            Entry::Int(n) => n,
                            _ => 0,
                        })
                        .collect::<Vec<usize>>(),
                ),
                _ => Values::Real(
                    rows.iter()
                        .map(|r| match r[i] {
                            Entry::Real(v) => v,
                            _ => f64::NAN,
                        })
                        .collect(),
                ),
            }
        };
        (columns.iter().enumerate())
            .map(|(i, name)| (*name, column(i)))
            .collect()
    }
}

/// A number with its interval as three cells.
fn with_ends(value: f64, interval: crate::stats::Interval) -> [Entry; 3] {
    [value.into(), interval.lo.into(), interval.hi.into()]
}

/// Changes of the designated pair's cosine: `(set, reference, form, contrast)` by layer.
/// `form` is `plain`, `relative`, `cleaned` or `whitened`.
pub fn changes(found: &[(&str, &str, &str, &Contrast)], layers: &[usize]) -> Rows {
    let mut out = Rows::new(&[
        "set",
        "reference",
        "form",
        "layer",
        "change",
        "ci_lo",
        "ci_hi",
        "p",
        "p_max",
        "error_prompts",
        "error_seeds",
        "n_set",
        "n_reference",
    ]);
    for (set, reference, form, c) in found {
        for (l, &layer) in layers.iter().enumerate() {
            out.push(vec![
                (*set).into(),
                (*reference).into(),
                (*form).into(),
                layer.into(),
                c.value[l].into(),
                c.lo[l].into(),
                c.hi[l].into(),
                c.p[l].into(),
                c.p_max[l].into(),
                c.error_prompts[l].into(),
                c.error_seeds[l].into(),
                c.n_set.into(),
                c.n_reference.into(),
            ]);
        }
    }
    out
}

/// Shifts on every axis: `(state, position, part, projections)` by axis and layer. `part` is
/// `whole`, or `unshared` for the shift without what fine-tunes share.
pub fn projections(found: &[(&str, &str, &str, &Projections)], layers: &[usize]) -> Rows {
    let mut out = Rows::new(&[
        "state",
        "position",
        "part",
        "axis",
        "layer",
        "raw",
        "raw_lo",
        "raw_hi",
        "rms_units",
        "rms_units_lo",
        "rms_units_hi",
        "cosine",
        "cosine_lo",
        "cosine_hi",
        "share",
        "share_lo",
        "share_hi",
        "p_flip",
        "p_flip_max",
        "null_random_lo",
        "null_random_hi",
        "p_random",
        "p_random_max",
        "p_placebo",
        "p_placebo_max",
        "n_texts",
    ]);
    for (state, position, part, p) in found {
        for (k, axis) in AXES.iter().enumerate() {
            for (l, &layer) in layers.iter().enumerate() {
                let mut row: Vec<Entry> = vec![
                    (*state).into(),
                    (*position).into(),
                    (*part).into(),
                    (*axis).into(),
                    layer.into(),
                ];
                let on = &p.on[l][k];
                for m in [on.raw, on.rms_units, on.cosine, on.share] {
                    row.extend(with_ends(m.value, m.interval));
                }
                let placebo = p.against_placebos.as_ref().map(|a| &a[k]);
                row.extend(
                    [
                        p.p_flip[[l, k]],
                        p.p_flip_max[[l, k]],
                        p.random[l].lo,
                        p.random[l].hi,
                        p.p_random[[l, k]],
                        p.p_random_max[[l, k]],
                        placebo.map_or(f64::NAN, |a| a.p[l]),
                        placebo.map_or(f64::NAN, |a| a.p_max[l]),
                    ]
                    .map(Entry::from),
                );
                row.push(p.n.into());
                out.push(row);
            }
        }
    }
    out
}

/// Movement between base's persona poles: `(state, by layer)`.
pub fn poles(found: &[(&str, &[BetweenPoles])], layers: &[usize], n_texts: usize) -> Rows {
    let mut out = Rows::new(&[
        "state", "layer", "base", "tuned", "change", "ci_lo", "ci_hi", "n_texts",
    ]);
    for (state, by_layer) in found {
        for (t, &layer) in by_layer.iter().zip(layers) {
            let mut row: Vec<Entry> =
                vec![(*state).into(), layer.into(), t.base.into(), t.tuned.into()];
            row.extend(with_ends(t.change.value, t.change.interval));
            row.push(n_texts.into());
            out.push(row);
        }
    }
    out
}

/// One mode or two along base's persona direction: `(state, layer, fits)`, base's texts and the
/// state's together.
pub fn modes(found: &[(&str, usize, &Bimodality)]) -> Rows {
    let mut out = Rows::new(&[
        "state", "layer", "bic_one", "bic_two", "evidence", "distance", "smaller", "n",
    ]);
    for (state, layer, b) in found {
        let mut row: Vec<Entry> = vec![(*state).into(), (*layer).into()];
        row.extend([b.bic_one, b.bic_two, b.evidence, b.distance, b.smaller].map(Entry::from));
        row.push(b.n.into());
        out.push(row);
    }
    out
}

/// Cosines between the shifts of tuned states `names`, `(tuned, tuned, n_layers)`.
pub fn shift_cosines(names: &[String], found: &Array3<f64>, layers: &[usize]) -> Rows {
    let mut out = Rows::new(&["state", "other", "layer", "cosine"]);
    for ((a, b, l), &cosine) in found.indexed_iter().filter(|((a, b, _), _)| a < b) {
        out.push(vec![
            names[a].as_str().into(),
            names[b].as_str().into(),
            layers[l].into(),
            cosine.into(),
        ]);
    }
    out
}

/// Stability of directions: `(state, concept, by layer)`, against base.
pub fn stability(found: &[(&str, &str, &[Stability])], layers: &[usize]) -> Rows {
    let mut out = Rows::new(&[
        "state",
        "concept",
        "layer",
        "cosine",
        "ci_lo",
        "ci_hi",
        "noiseless",
        "noiseless_lo",
        "noiseless_hi",
        "n_prompts",
    ]);
    for (state, concept, by_layer) in found {
        for (s, &layer) in by_layer.iter().zip(layers) {
            let mut row: Vec<Entry> = vec![(*state).into(), (*concept).into(), layer.into()];
            row.extend(with_ends(s.cosine, s.interval));
            row.extend(with_ends(s.noiseless, s.noiseless_interval));
            row.push(s.n.into());
            out.push(row);
        }
    }
    out
}

/// Alignment with base: `(state, by layer)`.
pub fn alignment(found: &[(&str, &[Cka])], layers: &[usize], n_texts: usize) -> Rows {
    let mut out = Rows::new(&[
        "state",
        "layer",
        "cka",
        "ci_lo",
        "ci_hi",
        "cka_biased",
        "n_texts",
    ]);
    for (state, by_layer) in found {
        for (c, &layer) in by_layer.iter().zip(layers) {
            let mut row: Vec<Entry> = vec![(*state).into(), layer.into()];
            row.extend(with_ends(c.debiased, c.interval));
            row.extend([c.biased.into(), n_texts.into()]);
            out.push(row);
        }
    }
    out
}

/// Transfers: `(state, direction of, pairs of, layer, area)`.
pub fn transfer(found: &[(&str, &str, &str, usize, Area)]) -> Rows {
    let mut out = Rows::new(&[
        "state",
        "direction",
        "pairs",
        "layer",
        "auroc",
        "ci_lo",
        "ci_hi",
        "p_flip",
        "n_pairs",
        "n_prompts",
    ]);
    for (state, direction, pairs, layer, a) in found {
        let mut row: Vec<Entry> = vec![
            (*state).into(),
            (*direction).into(),
            (*pairs).into(),
            (*layer).into(),
        ];
        row.extend(with_ends(a.value, a.interval));
        row.extend([a.p.into(), a.n.into(), a.n_clusters.into()]);
        out.push(row);
    }
    out
}

/// Overlaps of the pair's subspaces: `(state, layer, curve)`.
pub fn overlap(found: &[(&str, usize, &[OverlapAt])]) -> Rows {
    let mut out = Rows::new(&[
        "state",
        "layer",
        "k",
        "overlap",
        "ci_lo",
        "ci_hi",
        "chance",
        "null_lo",
        "null_hi",
        "p_random",
        "smallest_angle",
        "largest_angle",
    ]);
    for (state, layer, curve) in found {
        for at in *curve {
            let mut row: Vec<Entry> = vec![(*state).into(), (*layer).into(), at.k.into()];
            row.extend(with_ends(at.overlap.value, at.overlap.interval));
            let angle = |a: Option<&f64>| a.copied().unwrap_or(f64::NAN);
            row.extend(
                [
                    at.chance,
                    at.null_lo,
                    at.null_hi,
                    at.p,
                    angle(at.angles.first()),
                    angle(at.angles.last()),
                ]
                .map(Entry::from),
            );
            out.push(row);
        }
    }
    out
}

/// Regions of the states `names`: `(layer, silhouette, distances from the first state)`.
pub fn regions(
    names: &[String],
    found: &[(usize, &Silhouette, &[Mahalanobis])],
    n_texts: usize,
) -> Rows {
    let mut out = Rows::new(&[
        "state",
        "layer",
        "silhouette",
        "silhouette_all",
        "silhouette_all_lo",
        "silhouette_all_hi",
        "p_silhouette",
        "distance",
        "squared",
        "squared_lo",
        "squared_hi",
        "p_distance",
        "n_texts",
    ]);
    for (layer, s, distances) in found {
        for (state, name) in names.iter().enumerate() {
            let mut row: Vec<Entry> = vec![
                name.as_str().into(),
                (*layer).into(),
                s.by_state[state].into(),
            ];
            row.extend(with_ends(s.mean.value, s.mean.interval));
            row.push(s.p.into());
            let far = distances.iter().find(|d| d.state == state);
            row.push(far.map_or(f64::NAN, |d| d.distance).into());
            match far {
                Some(d) => row.extend(with_ends(d.squared.value, d.squared.interval)),
                None => row.extend([f64::NAN; 3].map(Entry::from)),
            }
            row.push(far.map_or(f64::NAN, |d| d.p).into());
            row.push(n_texts.into());
            out.push(row);
        }
    }
    out
}

/// Profiles among null states: `(state, kind of null, quantity, ranks)` by layer.
pub fn against(found: &[(&str, &str, &str, &Against)], layers: &[usize]) -> Rows {
    let mut out = Rows::new(&[
        "state", "null", "quantity", "layer", "null_lo", "null_hi", "p", "p_max", "n_null",
    ]);
    for (state, null, quantity, a) in found {
        for (l, &layer) in layers.iter().enumerate() {
            out.push(vec![
                (*state).into(),
                (*null).into(),
                (*quantity).into(),
                layer.into(),
                a.lo[l].into(),
                a.hi[l].into(),
                a.p[l].into(),
                a.p_max[l].into(),
                a.n.into(),
            ]);
        }
    }
    out
}
