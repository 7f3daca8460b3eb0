//! The kernels that a forward and a backward pass spend their time in: `cargo bench --bench kernels`.
//!
//! Shapes are those of the default model on 1,024 tokens. `RESIDUUM_KERNELS` names the kernels; rates are in
//! values of the output.

use candle_core::{DType, Device, Result, Tensor, Var};
use divan::counter::ItemsCount;
use divan::Bencher;
use residuum::ops::attention::{attention, Forest, Heads, Segment};
use residuum::ops::gated::{gated, Activation};
use residuum::ops::linear::frozen;
use residuum::ops::norm::rms_norm;
use residuum::ops::simd::Simd;
use residuum::ops::weight::Weight;
use std::sync::Arc;

const TOKENS: usize = 1024;
const TEXT: usize = 128;

fn main() {
    println!("kernels: {}", Simd::here().name());
    divan::main();
}

fn values(rows: usize, cols: usize) -> Var {
    let of = |i: usize| (i * 7919 % 1000) as f32 / 500.0 - 1.0;
    let values: Vec<f32> = (0..rows * cols).map(of).collect();
    let made =
        Tensor::from_vec(values, (rows, cols), &Device::Cpu).and_then(|t| Var::from_tensor(&t));
    made.unwrap_or_else(|e| panic!("{e}"))
}

/// Times `work`, whose output has so many values.
fn time(bencher: Bencher, outputs: usize, work: impl Fn() -> Result<Tensor> + Sync) {
    bencher.counter(ItemsCount::new(outputs)).bench(work);
}

#[divan::bench(args = [(576, 1536), (1536, 576)], types = [F32, Bf16], sample_count = 10)]
fn linear<T: Number>(bencher: Bencher, (i, o): (usize, usize)) {
    let (x, w) = (values(TOKENS, i), Weight::from(weight::<T>(o, i)));
    time(bencher, TOKENS * o, || frozen(&x, &w, None));
}

#[divan::bench(types = [F32, Bf16], sample_count = 10)]
fn linear_of_one_token<T: Number>(bencher: Bencher) {
    let (x, w) = (values(1, 576), Weight::from(weight::<T>(1536, 576)));
    time(bencher, 1536, || frozen(&x, &w, None));
}

/// Forward and the gradient of the input.
#[divan::bench(types = [F32, Bf16], sample_count = 10)]
fn linear_and_back<T: Number>(bencher: Bencher) {
    let (x, w) = (values(TOKENS, 576), Weight::from(weight::<T>(1536, 576)));
    time(bencher, TOKENS * 1536, || {
        let y = frozen(&x, &w, None)?;
        y.backward()?.remove(&x).ok_or_else(|| candle_core::Error::Msg("no gradient".into()))
    });
}

#[divan::bench(sample_count = 20)]
fn gated_unit(bencher: Bencher) {
    let (gate, up) = (values(TOKENS, 1536), values(TOKENS, 1536));
    time(bencher, TOKENS * 1536, || gated(&gate, &up, Activation::Silu));
}

#[divan::bench(sample_count = 20)]
fn norm(bencher: Bencher) {
    let (x, w) = (values(TOKENS, 576), values(1, 576));
    let w = w.flatten_all().unwrap_or_else(|e| panic!("{e}"));
    time(bencher, TOKENS * 576, || rms_norm(&x, &w, 1e-5));
}

#[divan::bench(sample_count = 10)]
fn attention_of_texts(bencher: Bencher) {
    let (q, k, v) = (values(TOKENS, 576), values(TOKENS, 192), values(TOKENS, 192));
    let segment = |from: usize| Segment { rows: from..from + TEXT, context: Vec::new() };
    let forest = Arc::new(Forest {
        segments: (0..TOKENS).step_by(TEXT).map(segment).collect(),
        positions: (0..TOKENS).map(|i| (i % TEXT) as u32).collect(),
    });
    let heads =
        Heads { heads: 9, kv_heads: 3, head_dim: 64, scale: 0.125, softcap: None, window: None };
    time(bencher, TOKENS * 576, || attention(&q, &k, &v, &forest, &heads));
}

/// The type of a weight.
trait Number {
    const TYPE: DType;
}
struct F32;
struct Bf16;

impl Number for F32 {
    const TYPE: DType = DType::F32;
}

impl Number for Bf16 {
    const TYPE: DType = DType::BF16;
}

fn weight<T: Number>(o: usize, i: usize) -> Tensor {
    values(o, i).to_dtype(T::TYPE).unwrap_or_else(|e| panic!("{e}"))
}
