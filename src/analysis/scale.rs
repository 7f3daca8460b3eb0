//! The unit of doses and shifts.
//!
//! Layer RMS: root mean square of an entry of the residual stream over all tokens but position 0 of the
//! neutral texts for shifts, rendered by the model's template, in base. A beginning that several texts
//! share counts once, however texts are batched: of texts in order of their ids, each counts from where
//! it leaves the one before.

use super::records::LayerRow;
use super::{AnalysisError, Result};
use crate::capture::BUDGET;
use crate::model::packed::plan;
use crate::model::{Decoder, HookPoint, Hooks, Packed, Site, Tokens};
use crate::ops::with_values;

/// RMS of the stream after each block of `layers`.
///
/// # Errors
/// A layer that the model does not have, the model's, or `NoScale` where it is 0 or not finite.
pub fn layer_rms(decoder: &Decoder, texts: &[Tokens], layers: &[usize]) -> Result<Vec<f64>> {
    let points: Vec<HookPoint> = layers.iter().map(|&l| HookPoint::resid_post(l)).collect();
    rms_at(decoder, texts, &points)
}

/// Layers as records: `rms` of each over `n` texts; `reported` are those fixed before data was seen.
pub fn layer_rows(layers: &[usize], rms: &[f64], reported: &[usize], n: usize) -> Vec<LayerRow> {
    let each = layers.iter().zip(rms);
    each.map(|(&layer, &rms)| LayerRow { layer, reported: reported.contains(&layer), rms, n })
        .collect()
}

/// As [`layer_rms`], of the stream at hook points; at one that is not of the stream, of its block's
/// output.
///
/// # Errors
/// As [`layer_rms`].
pub fn rms_at(decoder: &Decoder, texts: &[Tokens], points: &[HookPoint]) -> Result<Vec<f64>> {
    let last = decoder.layers().saturating_sub(1);
    let points: Vec<HookPoint> = points
        .iter()
        .map(|p| match p.site {
            Site::Embed | Site::ResidPre | Site::ResidMid | Site::ResidPost => *p,
            Site::FinalNorm => HookPoint::resid_post(last),
            _ => HookPoint::resid_post(p.layer),
        })
        .collect();
    let fresh = fresh(texts);
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    let mut sums = vec![(0f64, 0usize); points.len()];
    for batch in plan(&ids, BUDGET) {
        let held: Vec<&[u32]> = batch.iter().map(|&i| ids[i]).collect();
        let packed = Packed::new(&held);
        let mut counted = vec![false; packed.rows()];
        for (k, &i) in batch.iter().enumerate() {
            for &row in &packed.path(k)[fresh[i].max(1).min(ids[i].len())..] {
                counted[row] = true;
            }
        }
        let mut hooks = Hooks::none();
        if let Some(deepest) = points.iter().map(|p| p.layer).max() {
            hooks.stop_after(deepest);
        }
        for (point, sum) in points.iter().zip(&mut sums) {
            let counted = &counted;
            hooks.on([*point], move |_, x, _| {
                let (_, d) = x.dims2()?; // (N, d)
                with_values(x, |x| {
                    for (row, _) in x.chunks(d).zip(counted).filter(|(_, c)| **c) {
                        sum.0 += row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                        sum.1 += d;
                    }
                    Ok(())
                })?;
                Ok(None)
            });
        }
        decoder.forward(&packed, &mut hooks)?;
    }
    (points.iter().zip(sums))
        .map(|(point, (sum, n))| {
            let rms = (sum / n.max(1) as f64).sqrt();
            match rms.is_finite() && rms > 0.0 {
                true => Ok(rms),
                false => Err(AnalysisError::NoScale { place: point.to_string(), rms }),
            }
        })
        .collect()
}

/// The first token of each text that no text before it, in the order of their ids, shares.
fn fresh(texts: &[Tokens]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|&a, &b| texts[a].ids.cmp(&texts[b].ids));
    let mut out = vec![0; texts.len()];
    for two in order.windows(2) {
        let (a, b) = (&texts[two[0]].ids, &texts[two[1]].ids);
        out[two[1]] = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn a_beginning_that_texts_share_counts_once() {
        let text = |ids: &[u32]| Tokens::new(ids.to_vec(), vec![Role::Text; ids.len()]);
        let texts = [text(&[1, 2, 3]), text(&[1, 2, 4, 5]), text(&[9]), text(&[1, 2, 3])];
        let mut counts = fresh(&texts);
        assert_eq!(counts[1..3], [2, 0]);
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 2, 3]);
    }
}
