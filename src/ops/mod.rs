//! Fused CPU operations of the decoder, each with its own backward, each beside a slow twin.
//!
//! Every operation works on packed rows `(N, D)`: the tokens of all texts of a batch laid end to
//! end, so there is no padding and no mask tensor. On a CPU in f32 the fused kernel runs; on any
//! other device or type the twin, composed of plain differentiable candle operations, takes over.
//! The tests hold values and gradients of the two against each other.
//!
//! The kernels are parallel over rows or (segment, head) through rayon, and written for several sets of
//! vector instructions, of which one is chosen when the program runs ([`simd`]). Frozen weights are captured
//! by an operation rather than passed as arguments, so backward never computes their gradient.

pub mod attention;
pub(crate) mod bf16;
pub mod blocks;
pub mod clock;
pub mod edit;
#[cfg(target_arch = "x86_64")]
mod few;
pub mod gated;
pub mod linear;
pub mod loss;
pub mod math;
pub mod matmul;
mod microkernel;
pub mod norm;
pub mod residual;
pub mod rope;
pub mod simd;
#[cfg(test)]
mod small_tests;
pub mod stored;
pub mod weight;

use candle_core::{bail, CpuStorage, DType, Device, Layout, Result, Shape, Storage, Tensor};

/// What a fused operation computes: values and their shape.
pub(crate) type Computed = Result<(CpuStorage, Shape)>;

/// Gradients of the two inputs of an operation.
pub(crate) type Gradients = Result<(Option<Tensor>, Option<Tensor>)>;

/// Rows that one rayon task takes of an elementwise pass.
pub(crate) const ROWS_PER_TASK: usize = 32;

/// Whether the fused kernels serve this tensor.
pub(crate) fn fused(x: &Tensor) -> bool {
    matches!(x.device(), Device::Cpu) && x.dtype() == DType::F32
}

/// The contiguous f32 values behind a CPU storage.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((from, to))) => Ok(&v[from..to]),
        (CpuStorage::F32(_), None) => bail!("a fused operation needs a contiguous tensor"),
        _ => bail!("a fused operation needs f32 values"),
    }
}

/// As [`values`], for a locked tensor storage.
pub(crate) fn host<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(s) => values(s, layout),
        _ => bail!("a fused operation needs a tensor on the CPU"),
    }
}

/// Runs `f` on the values of a tensor, brought to the CPU in f32 where they are elsewhere.
pub(crate) fn with_values<R>(x: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    with_all([x], |[x]| f(x))
}

/// As [`with_values`], of several tensors.
pub(crate) fn with_all<const N: usize, R>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> Result<R>,
) -> Result<R> {
    let here = |x: &Tensor| match fused(x) {
        true => x.contiguous(),
        false => x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous(),
    };
    let tensors = tensors.into_iter().map(here).collect::<Result<Vec<_>>>()?;
    let held: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut all: [&[f32]; N] = [&[]; N];
    for (to, (storage, layout)) in all.iter_mut().zip(&held) {
        *to = host(storage, layout)?;
    }
    f(all)
}

/// Values as a tensor of the form of `x`: a gradient with respect to it.
pub(crate) fn like(values: Vec<f32>, x: &Tensor) -> Result<Option<Tensor>> {
    Tensor::from_vec(values, x.shape(), x.device()).map(Some)
}

/// A pointer that rayon tasks share; each writes only the block that is its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub *mut f32);
// SAFETY: every use writes blocks that no other task touches, see the callers.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Rows and width of a `(N, D)` layout.
pub(crate) fn rows_cols(layout: &Layout) -> Result<(usize, usize)> {
    layout.shape().dims2()
}

#[cfg(test)]
mod check {
    //! Oracles shared by the tests of the operations.
    use candle_core::{Device, Tensor, Var};
    use rand::Rng;
    use rand_chacha::{rand_core::SeedableRng, ChaCha8Rng};

    pub fn random(seed: u64, rows: usize, cols: usize) -> Var {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let data: Vec<f32> = (0..rows * cols).map(|_| rng.random_range(-1.5f32..1.5)).collect();
        Var::from_tensor(&Tensor::from_vec(data, (rows, cols), &Device::Cpu).unwrap()).unwrap()
    }

    pub fn max_diff(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    /// Values and gradients of two differentiable expressions of the same variables agree.
    pub fn same(fused: &Tensor, twin: &Tensor, vars: &[&Var], tol: f32) {
        assert!(max_diff(fused, twin) < tol, "values differ");
        let (rows, cols) = fused.dims2().unwrap();
        let probe = random(99, rows, cols);
        let gf = (fused * probe.as_tensor()).unwrap().sum_all().unwrap();
        let gt = (twin * probe.as_tensor()).unwrap().sum_all().unwrap();
        let (gf, gt) = (gf.backward().unwrap(), gt.backward().unwrap());
        for v in vars {
            let (a, b) = (gf.get(v).unwrap(), gt.get(v).unwrap());
            let scale = b.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(scale > 0.0, "the twin's gradient is zero");
            assert!(max_diff(a, b) < tol * scale.max(1.0), "gradients differ");
        }
    }
}
