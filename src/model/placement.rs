//! Where a model computes, and in which numbers.
//!
//! The fused kernels are for the CPU, with products of weights in f32 or bf16. On a GPU (feature `cuda`) every operation falls back to
//! its composed twin, in f32 or bf16; what leaves the model (pooled activations, log-probabilities,
//! gradients) comes back to the CPU in f32. Relative agreement with the CPU: 1e-4 in f32, 2e-2 in bf16.

use super::decoder::{Decoder, Reference};
use super::error::{ModelError, Result};
use super::row_order::RowOrder;
use super::weights::Held;
use crate::ops::weight::Weight;
use candle_core::{DType, Device};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

/// A device by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// The processor.
    #[default]
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

impl FromStr for Place {
    type Err = String;

    /// `cpu`, `cuda` or `cuda:N`.
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        let number = |n: &str| n.parse().map(Place::Cuda);
        match s.split_once(':') {
            None if s == "cpu" => Ok(Place::Cpu),
            None if s == "cuda" => Ok(Place::Cuda(0)),
            Some(("cuda", n)) => number(n).map_err(|_| format!("`{n}` is no number of a GPU")),
            _ => Err("write cpu, cuda or cuda:N".into()),
        }
    }
}

/// Device and type of a model's numbers; by default the CPU in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The device.
    pub place: Place,
    /// The type: f32, or bf16, which on the CPU is that of products alone.
    pub dtype: DType,
    /// How matrices are held on the CPU.
    pub held: Held,
    /// How a GGUF file holds the rows of q and k.
    pub order: RowOrder,
}

impl Default for Placement {
    fn default() -> Self {
        Placement { place: Place::Cpu, dtype: DType::F32, held: Held::Auto, order: RowOrder::Model }
    }
}

impl Placement {
    /// In f32, or in bf16.
    pub fn new(place: Place, bf16: bool) -> Self {
        let dtype = if bf16 { DType::BF16 } else { DType::F32 };
        // On its way to a GPU a matrix is decoded alone.
        let held = if place == Place::Cpu { Held::Auto } else { Held::Stored };
        Placement { place, dtype, held, order: RowOrder::Model }
    }

    /// The device, opened.
    ///
    /// # Errors
    /// Where the program was built without `cuda` or there is no such GPU.
    pub fn device(self) -> Result<Device> {
        match self.place {
            Place::Cpu => Ok(Device::Cpu),
            Place::Cuda(_) if !cfg!(feature = "cuda") => Err(ModelError::NoDevice(
                "this residuum was built without GPU support; build it with `cargo build --release --features cuda`, which needs nvcc".into(),
            )),
            Place::Cuda(n) => Device::new_cuda(n)
                .map_err(|e| ModelError::NoDevice(format!("cuda:{n} cannot be used ({e})"))),
        }
    }
}

/// Bytes that the matrices of a decoder take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Values in memory, and those of the maps of blocks among them.
    pub memory: u64,
    /// See [`Footprint::memory`].
    pub maps: u64,
    /// Mapped from files: they count as this process's memory once read, and the system may take them back.
    pub mapped: u64,
}

impl Decoder {
    /// What its matrices take, each once.
    pub fn footprint(&self) -> Footprint {
        let mut all = Footprint::default();
        let mut count = |w: &Weight| {
            all.mapped += w.stored().map_or(0, |s| s.bytes().len() as u64);
            all.memory += w.bytes();
        };
        count(&self.embed);
        if !self.head.weight.is(&self.embed) {
            count(&self.head.weight);
        }
        let maps = || self.blocks.iter().flat_map(|b| &b.linears).map(|l| &l.weight);
        maps().for_each(count);
        all.maps = maps().map(Weight::bytes).sum();
        all
    }

    /// How the matrices are stored in their file, where they are read from there, by name and without
    /// repetition.
    pub fn encodings(&self) -> Vec<&'static str> {
        let maps = self.blocks.iter().flat_map(|b| &b.linears).map(|l| &l.weight);
        let all = maps.chain([&self.embed, &self.head.weight]).filter_map(Weight::stored);
        let all: BTreeSet<_> = all.map(|s| s.encoding()).collect();
        all.into_iter().map(|e| e.name()).collect()
    }

    /// Whether matrices stay as their file stores them.
    pub fn is_stored(&self) -> bool {
        matches!(self.embed, Weight::Stored { .. })
    }

    /// This decoder with its weights on a device in a type; tied tensors stay one. On a CPU in bf16 that
    /// is the matrices of linear maps and head, whose products take bf16; all else stays in f32.
    ///
    /// # Errors
    /// What the device refuses, memory first of all.
    pub fn placed(&self, device: &Device, dtype: DType) -> Result<Decoder> {
        if device.is_cpu() && dtype == DType::BF16 {
            let mut out = self.clone();
            let maps = out.blocks.iter_mut().flat_map(|b| &mut b.linears).map(|l| &mut l.weight);
            for weight in maps.chain([&mut out.head.weight]) {
                *weight = weight.in_bf16()?;
            }
            let (halves, full) = (out.clone(), self.clone());
            out.reference = Some(Arc::new(Reference { halves, full, read: Mutex::default() }));
            return Ok(out);
        }
        self.with_tensors(&mut |_, tensor| Ok(tensor.to_device(device)?.to_dtype(dtype)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{capture, Position, Request};
    use crate::finetune::{train, Example, Recipe};
    use crate::model::config::{Config, Norms, QkNorm};
    use crate::model::generate::{generate, Sampling};
    use crate::model::{Adapter, HookPoint, Hooks, Interventions, Packed, Role, Tokens};
    use crate::stats::rng::stream;
    use rand::Rng;

    /// Every feature that a decoder may have.
    fn toy() -> Decoder {
        let config = Config {
            vocab: 50,
            hidden: 32,
            layers: 3,
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            intermediate: 48,
            context: 64,
            qk_norm: QkNorm::Heads,
            norms: Norms::Around,
            attention_softcap: Some(20.0),
            logit_softcap: Some(30.0),
            ..Config::llama()
        };
        Decoder::random(config, 1).unwrap()
    }

    fn texts() -> Vec<Tokens> {
        let mut rng = stream(1, "placement", 0);
        (0..6)
            .map(|i| {
                let n = 6 + 3 * i;
                // The first two texts begin alike.
                let ids = (0..n).map(|t| {
                    let drawn = rng.random_range(0..50);
                    if i < 2 && t < 5 {
                        t as u32
                    } else {
                        drawn
                    }
                });
                let role = |t| if t < 4 { Role::User } else { Role::Response };
                Tokens::new(ids.collect(), (0..n).map(role).collect())
            })
            .collect()
    }

    fn pooled(model: &Decoder, edits: &Interventions) -> Vec<Vec<f32>> {
        let request = Request::new(&[Position::ResponseMean], vec![0, 1, 2]);
        let mut out = vec![Vec::new(); 6];
        capture(model, &texts(), &request, edits, &mut |i, _, x| {
            out[i] = x.iter().copied().collect();
            Ok(())
        })
        .unwrap();
        out
    }

    fn relative(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
        let (mut gap, mut size) = (0f64, 0f64);
        for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
            gap = gap.max(f64::from((x - y).abs()));
            size += f64::from(*x).powi(2);
        }
        gap / (size / a.iter().flatten().count() as f64).sqrt()
    }

    /// f64 and bf16 have no fused kernel, on the CPU either: this is the way of a GPU.
    #[test]
    fn the_composed_way_captures_what_the_fused_one_does() {
        let model = toy();
        let direction: Vec<f32> = (0..32).map(|i| 1.0 + i as f32 / 8.0).collect();
        let plain = Interventions::none();
        let edited = Interventions::none()
            .add(1, &direction, 3.0)
            .unwrap()
            .project_out(HookPoint::resid_post(0), &direction)
            .unwrap();
        for edits in [&plain, &edited] {
            let want = pooled(&model, edits);
            for (dtype, most) in [(DType::F64, 1e-4), (DType::BF16, 5e-2)] {
                let other = model.placed(&Device::Cpu, dtype).unwrap();
                let off = relative(&want, &pooled(&other, edits));
                assert!(off < most, "{dtype:?}: {off}");
                assert!(off > 0.0);
            }
        }
    }

    #[test]
    fn the_composed_way_generates_and_learns_what_the_fused_one_does() {
        let model = toy();
        let other = model.placed(&Device::Cpu, DType::F64).unwrap();
        let said = |m: &Decoder| {
            let prompts: Vec<Vec<u32>> = texts().into_iter().map(|t| t.ids).collect();
            let sampling = Sampling { max_tokens: 8, temperature: 0.0, top_p: 1.0 };
            let mut rngs: Vec<_> = (0..6).map(|i| stream(1, "say", i)).collect();
            generate(m, &Packed::new(&prompts), &[], &sampling, &mut rngs, &mut Hooks::none())
                .unwrap()
        };
        assert_eq!(said(&model), said(&other));

        let rows: Vec<Example> = texts()
            .into_iter()
            .map(|t| Example { learn: (4..t.ids.len()).collect(), ids: t.ids, mixed: false })
            .collect();
        let recipe = Recipe { rank: 4, batch: 2, learning_rate: 1e-2, ..Recipe::default() };
        let losses = |m: &Decoder| -> Vec<f64> {
            let targets = recipe.target_indices().unwrap();
            let rng = &mut stream(1, "init", 0);
            let start = Adapter::init(m, "toy", 4, 8.0, &targets, rng).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let mut seen = Vec::new();
            train(m, start, &rows, &recipe, &Interventions::none(), 1, dir.path(), &mut |s, _| {
                seen.push(s.loss)
            })
            .unwrap();
            // What was learnt can be read back and folded in.
            let learnt = Adapter::read(dir.path(), m).unwrap();
            assert_ne!(
                pooled(&m.merged(&learnt).unwrap(), &Interventions::none()),
                pooled(m, &Interventions::none())
            );
            seen
        };
        let (a, b) = (losses(&model), losses(&other));
        assert_eq!(a.len(), 3);
        for (x, y) in a.iter().zip(&b) {
            assert!((x - y).abs() < 1e-4 * x, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_device_is_named_as_in_pytorch() {
        assert_eq!("cuda:1".parse(), Ok(Place::Cuda(1)));
        assert_eq!("cuda".parse(), Ok(Place::Cuda(0)));
        assert!("gpu".parse::<Place>().is_err());
        if !cfg!(feature = "cuda") {
            let placement = Placement::new(Place::Cuda(0), false);
            let told = placement.device().unwrap_err().to_string();
            assert!(told.contains("--features cuda"), "{told}");
        }
    }
}
