//! Texts and their tokens on directions: where a model stands on a vector as it reads.
//!
//! The coordinate of a residual `x` on a unit vector `u` is `x . u`, in the units of the stream, the same
//! over the layer's RMS, and the cosine of the two. Texts are read as they are, with no edit.

use super::records::{ProjectionRow, TokenProjectionRow};
use super::{AnalysisError, Result};
use crate::behavior::Ruler;
use crate::capture::{capture, each_token, CaptureError, Position, Request};
use crate::model::{unit, Decoder, Interventions, Tokens};
use ndarray::Array2;
use std::collections::BTreeMap;

/// What is projected, and on what.
pub struct Projected<'a> {
    /// Name of the model state.
    pub state: &'a str,
    /// The model that reads.
    pub model: &'a Decoder,
    /// Id and label of each text.
    pub names: &'a [(String, String)],
    /// The texts.
    pub texts: &'a [Tokens],
    /// The directions, of any length but 0.
    pub rulers: &'a [Ruler],
    /// RMS of an entry of the stream after each block, in base on the neutral texts.
    pub rms: &'a BTreeMap<usize, f64>,
}

/// Coordinate, the same in layer RMS, and cosine.
struct Coordinate(f64, f64, f64);

impl Projected<'_> {
    /// Unit vectors of the rulers.
    fn units(&self) -> Result<Vec<Vec<f32>>> {
        let each = self.rulers.iter().map(|r| {
            if r.direction.len() != self.model.hidden() {
                let (what, width) = (format!("direction `{}`", r.name), r.direction.len());
                let why =
                    format!("it has {width} dimensions and the model {}", self.model.hidden());
                return Err(AnalysisError::Input { what, why });
            }
            Ok(unit(&r.direction)?)
        });
        each.collect()
    }

    fn layers(&self) -> Vec<usize> {
        let mut layers: Vec<usize> = self.rulers.iter().map(|r| r.layer).collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    }

    fn coordinate(&self, x: &[f32], u: &[f32], layer: usize) -> Coordinate {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let along = dot(x, u);
        let rms = self.rms.get(&layer).copied().unwrap_or(f64::NAN);
        Coordinate(along, along / rms, along / dot(x, x).sqrt())
    }

    /// Every text at every position on every ruler, in that order; a text without a token at a position
    /// has no row there.
    ///
    /// # Errors
    /// A ruler of zeros or of another width; the capture's.
    pub fn pooled(&self, positions: &[Position]) -> Result<Vec<ProjectionRow>> {
        let (units, layers) = (self.units()?, self.layers());
        let request = Request { absent: true, ..Request::new(positions, layers.clone()) };
        let mut rows: Vec<(usize, usize, ProjectionRow)> = Vec::new();
        let mut keep = |text: usize, p: usize, x: Array2<f32>| {
            let n = positions[p].tokens(&self.texts[text]).len();
            if n == 0 {
                return Ok(());
            }
            for (ruler, u) in self.rulers.iter().zip(&units) {
                let x = x.row(layers.partition_point(|l| *l < ruler.layer)).to_vec();
                let Coordinate(estimate, in_rms, cosine) = self.coordinate(&x, u, ruler.layer);
                let (id, label) = &self.names[text];
                let row = ProjectionRow {
                    state: self.state.into(),
                    text: id.clone(),
                    label: label.clone(),
                    position: positions[p].to_string(),
                    vector: ruler.name.clone(),
                    layer: ruler.layer,
                    estimate,
                    in_rms,
                    cosine,
                    n,
                };
                rows.push((text, p, row));
            }
            Ok(())
        };
        capture(self.model, self.texts, &request, &Interventions::none(), &mut keep)?;
        // Stable: the rulers of a text and position stay in order.
        rows.sort_by_key(|(text, p, _)| (*text, *p));
        Ok(rows.into_iter().map(|(_, _, row)| row).collect())
    }

    /// Every token of every text on every ruler, in that order; `pieces[text][token]` are
    /// the texts of the tokens.
    ///
    /// # Errors
    /// As [`Projected::pooled`]; a residual that is NaN or infinite.
    pub fn by_token(&self, pieces: &[Vec<String>]) -> Result<Vec<TokenProjectionRow>> {
        let (units, layers) = (self.units()?, self.layers());
        let mut rows: Vec<((usize, usize, usize), TokenProjectionRow)> = Vec::new();
        each_token(self.model, self.texts, &layers, &mut |text, layer, token, x| {
            let at = self.rulers.iter().enumerate().filter(|(_, r)| r.layer == layer);
            for (k, ruler) in at {
                let Coordinate(estimate, in_rms, cosine) = self.coordinate(x, &units[k], layer);
                if !estimate.is_finite() {
                    let position = Position::AllMean;
                    return Err(CaptureError::NotFinite { text, position, layer });
                }
                let (tokens, (id, label)) = (&self.texts[text], &self.names[text]);
                let row = TokenProjectionRow {
                    state: self.state.into(),
                    text: id.clone(),
                    label: label.clone(),
                    index: token,
                    token: pieces[text][token].clone(),
                    role: tokens.roles[token].name().into(),
                    vector: ruler.name.clone(),
                    layer,
                    estimate,
                    in_rms,
                    cosine,
                };
                rows.push(((text, token, k), row));
            }
            Ok(())
        })?;
        rows.sort_by_key(|(place, _)| *place);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Config;
    use crate::model::Role;

    #[test]
    fn a_projection_is_linear_and_its_mean_over_tokens_is_that_of_the_text() {
        let config = Config {
            vocab: 9,
            hidden: 8,
            layers: 3,
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            intermediate: 6,
            context: 16,
            ..Config::llama()
        };
        let model = Decoder::random(config, 1).unwrap();
        let axis = |i: usize, length: f32| {
            let mut v = vec![0.0; 8];
            v[i] = length;
            v
        };
        let ruler = |name: &str, layer, direction| Ruler { name: name.into(), layer, direction };
        let mut diagonal = axis(0, 3.0);
        diagonal[1] = 4.0;
        // The length of a vector does not matter, nor the order of layers.
        let rulers = [
            ruler("d", 2, diagonal),
            ruler("x", 2, axis(0, 7.0)),
            ruler("y", 2, axis(1, 0.1)),
            ruler("x", 0, axis(0, -1.0)),
        ];
        let texts = [
            Tokens::new(
                vec![1, 2, 3, 4],
                vec![Role::User, Role::User, Role::Response, Role::Response],
            ),
            Tokens::new(vec![5, 6], vec![Role::User; 2]),
        ];
        let names = [("a".to_string(), "l".to_string()), ("b".to_string(), String::new())];
        let rms = BTreeMap::from([(0, 1.0), (2, 0.5)]);
        let all = Projected {
            state: "base",
            model: &model,
            names: &names,
            texts: &texts,
            rulers: &rulers,
            rms: &rms,
        };
        let pooled = all.pooled(&[Position::ResponseMean, Position::AllMean]).unwrap();
        // Text b has no response.
        assert_eq!(pooled.len(), 3 * 4);
        let [d, x, y] = [0, 1, 2].map(|k| &pooled[k]);
        assert!((d.estimate - 0.6 * x.estimate - 0.8 * y.estimate).abs() < 1e-6);
        assert!((d.in_rms - 2.0 * d.estimate).abs() < 1e-12 && d.n == 2 && d.label == "l");
        assert!(pooled.iter().all(|r| r.cosine.abs() <= 1.0 + 1e-9));
        let said = |t: &Tokens| t.ids.iter().map(|id| id.to_string()).collect();
        let pieces: Vec<Vec<String>> = texts.iter().map(said).collect();
        let by_token = all.by_token(&pieces).unwrap();
        assert_eq!(by_token.len(), 6 * 4);
        let of = |k: usize| {
            by_token.iter().filter(move |r| r.text == "a" && r.index > 1).skip(k).step_by(4)
        };
        for (k, row) in pooled[..4].iter().enumerate() {
            let mean = of(k).map(|r| r.estimate).sum::<f64>() / 2.0;
            assert!((mean - row.estimate).abs() < 1e-6, "{k}");
        }
        assert!(by_token.iter().any(|r| r.token == "4" && r.role == "response"));
        let zero = [ruler("z", 0, vec![0.0; 8])];
        assert!(Projected { rulers: &zero, ..all }.pooled(&[Position::AllMean]).is_err());
    }
}
