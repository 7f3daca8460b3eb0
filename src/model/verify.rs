//! A model held against the activations that another implementation dumped for one text.
//!
//! The dump is a safetensors file: `ids (T)`, and tensors `(T, D)` named as hook points, with
//! `logits (T, V)`, any of them. Points are compared in the order of the forward pass, so that the first
//! that differs says where two implementations part. Position 0, whose stream is often a thousand
//! times as long as any other, is left out.

use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::hooks::{HookPoint, Hooks};
use super::packed::Packed;
use super::weights::{host_values, map_file, safetensors, tensor_of};
use crate::record;
use candle_core::Tensor;
use safetensors::tensor::TensorView;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::path::Path;

record! {
    /// A hook point of a model beside another implementation's.
    #[table("models/verify")]
    pub struct VerifiedRow {
        /// The hook point, or logits.
        pub point: String,
        /// Largest deviation of any value.
        pub deviation: f64 in "RMS of the point",
        /// Position of the token where it is.
        pub position: usize,
        /// Root of the mean square of the other implementation's values.
        pub rms: f64,
    }
}

/// Name of the logits, which are no hook point.
const LOGITS: &str = "logits";

/// Token ids of a dump.
fn ids(path: &Path, view: Option<TensorView>) -> Result<Vec<u32>> {
    let bad = |why: &str| ModelError::file(path, format!("tensor `ids` {why}"));
    let view = view.ok_or_else(|| bad("is missing"))?;
    let (width, data) = match view.dtype() {
        Dtype::I64 | Dtype::U64 => (8, view.data()),
        Dtype::I32 | Dtype::U32 => (4, view.data()),
        _ => return Err(bad("is not of whole numbers")),
    };
    let id = |b: &[u8]| {
        let (low, high) = b.split_at(4);
        let low: [u8; 4] = low.try_into().ok()?;
        Some(u32::from_le_bytes(low)).filter(|_| high.iter().all(|b| *b == 0))
    };
    let ids: Option<Vec<u32>> = data.chunks_exact(width).map(id).collect();
    ids.filter(|ids| ids.len() > 1).ok_or_else(|| bad("is no text of two tokens or more"))
}

/// Values of ours beside theirs, both `(T, width)`.
fn row(point: &str, path: &Path, ours: &Tensor, theirs: &Tensor) -> Result<VerifiedRow> {
    let (n, width) = ours.dims2()?;
    if theirs.dims() != [n, width] {
        let got = theirs.dims();
        let why = format!("tensor `{point}` has shape {got:?}, the model's is [{n}, {width}]");
        return Err(ModelError::file(path, why));
    }
    let (ours, theirs) = (host_values(ours)?, host_values(theirs)?);
    let square = |v: &f32| f64::from(*v).powi(2);
    let rms =
        (theirs[width..].iter().map(square).sum::<f64>() / (theirs.len() - width) as f64).sqrt();
    let mut worst = (0.0, 1);
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate().skip(width) {
        let gap = (f64::from(*a) - f64::from(*b)).abs() / rms.max(f64::MIN_POSITIVE);
        // What is no number is no agreement.
        let gap = if gap.is_finite() { gap } else { f64::MAX };
        if gap > worst.0 {
            worst = (gap, i / width);
        }
    }
    Ok(VerifiedRow { point: point.into(), deviation: worst.0, position: worst.1, rms })
}

/// Every point of the dump at `path`, up to and with the first that differs by more than `limit`.
///
/// # Errors
/// A dump without ids or points, with a name that is none, or of another shape.
pub fn verify(model: &Decoder, path: &Path, limit: f64) -> Result<Vec<VerifiedRow>> {
    let map = map_file(path)?;
    let mut theirs: BTreeMap<String, TensorView> =
        safetensors(path, &map)?.tensors().into_iter().collect();
    let ids = ids(path, theirs.remove("ids"))?;
    let beyond = ids.iter().find(|id| **id as usize >= model.config.vocab);
    if let Some(id) = beyond {
        let why = format!("tensor `ids` holds {id}; the model has {} tokens", model.config.vocab);
        return Err(ModelError::file(path, why));
    }
    let logits = theirs.remove(LOGITS);
    let read = |name: &str, view: &TensorView| {
        let bad = |e| ModelError::file(path, format!("tensor `{name}`: {e}"));
        tensor_of(view).map_err(bad)
    };
    let mut points = BTreeMap::new();
    for (name, view) in &theirs {
        points.insert(HookPoint::parse(name, model.layers())?, read(name, view)?);
    }
    if points.is_empty() && logits.is_none() {
        return Err(ModelError::file(path, "holds no hook point and no logits"));
    }
    let mut ours: BTreeMap<HookPoint, Tensor> = BTreeMap::new();
    let batch = Packed::new(&[ids]);
    let mut hooks = Hooks::none();
    hooks.on(points.keys().copied(), |point, x, _| {
        ours.insert(point, x.clone());
        Ok(None)
    });
    let x = model.forward(&batch, &mut hooks)?;
    let all: Vec<u32> = (0..batch.rows() as u32).collect();
    let z = model.logits(&x, &all, &batch.places, &mut hooks)?;
    drop(hooks);
    let mut rows = Vec::new();
    for point in HookPoint::all(model.layers()) {
        let (Some(theirs), Some(ours)) = (points.get(&point), ours.get(&point)) else {
            continue;
        };
        rows.push(row(&point.to_string(), path, ours, theirs)?);
        if rows.last().is_some_and(|r| r.deviation > limit) {
            return Ok(rows);
        }
    }
    if let Some(view) = logits {
        rows.push(row(LOGITS, path, &z, &read(LOGITS, &view)?)?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;
    use candle_core::Device;
    use std::collections::HashMap;

    fn model() -> Decoder {
        let config = Config {
            vocab: 20,
            hidden: 16,
            layers: 3,
            heads: 2,
            kv_heads: 1,
            head_dim: 8,
            intermediate: 24,
            context: 32,
            ..Config::llama()
        };
        Decoder::random(config, 1).unwrap()
    }

    /// What the model itself gives at every point, changed by `edit`.
    fn dump(edit: impl Fn(&mut HashMap<String, Tensor>)) -> tempfile::TempDir {
        let (model, dir) = (model(), tempfile::tempdir().unwrap());
        let ids = [3u32, 1, 4, 1, 5];
        let batch = Packed::new(&[ids.to_vec()]);
        let mut all = HashMap::new();
        let mut hooks = Hooks::none();
        hooks.on(HookPoint::all(3), |point, x, _| {
            all.insert(point.to_string(), x.clone());
            Ok(None)
        });
        let x = model.forward(&batch, &mut hooks).unwrap();
        let z = model.logits(&x, &[0, 1, 2, 3, 4], &batch.places, &mut hooks).unwrap();
        drop(hooks);
        all.insert("logits".into(), z);
        all.insert("ids".into(), Tensor::new(&ids, &Device::Cpu).unwrap());
        edit(&mut all);
        candle_core::safetensors::save(&all, dir.path().join("d")).unwrap();
        dir
    }

    fn verified(dir: &tempfile::TempDir) -> Result<Vec<VerifiedRow>> {
        verify(&model(), &dir.path().join("d"), 1e-3)
    }

    #[test]
    fn a_model_agrees_with_itself_at_every_point() {
        let rows = verified(&dump(|_| ())).unwrap();
        assert_eq!(rows.len(), 2 + 3 * 5 + 1);
        assert!(rows.iter().all(|r| r.deviation == 0.0 && r.rms > 0.0));
        assert_eq!(rows.last().unwrap().point, "logits");
    }

    #[test]
    fn the_first_point_that_differs_is_the_last_of_the_rows() {
        let changed = dump(|all| {
            for name in ["blocks.1.hook_attn_out", "blocks.2.hook_resid_post"] {
                let mut rows: Vec<Vec<f32>> = all[name].to_vec2().unwrap();
                rows[2][7] += 3.0;
                rows[0][0] += 1e6; // position 0 counts for nothing
                all.insert(name.into(), Tensor::new(rows, &Device::Cpu).unwrap());
            }
        });
        let rows = verified(&changed).unwrap();
        let last = rows.last().unwrap();
        assert_eq!((last.point.as_str(), last.position), ("blocks.1.hook_attn_out", 2));
        assert!((last.deviation * last.rms - 3.0).abs() < 1e-4);
    }

    #[test]
    fn a_dump_of_another_shape_or_name_is_refused() {
        let said = |dir| verified(&dir).unwrap_err().to_string();
        let zeros = || Tensor::zeros((5, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(said(dump(|all| _ = all.remove("ids"))).contains("`ids` is missing"));
        let wide = dump(|all| _ = all.insert("hook_embed".into(), zeros()));
        assert!(said(wide).contains("[5, 3]"));
        let named = dump(|all| _ = all.insert("blocks.1.hook_attn_outt".into(), zeros()));
        assert!(said(named).contains("hook_attn_out"));
        let none = dump(|all| all.retain(|name, _| name == "ids"));
        assert!(said(none).contains("no hook point"));
    }
}
