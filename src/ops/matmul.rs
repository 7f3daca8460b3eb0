//! Matrix products: which kernel, and how the work is divided.
//!
//! Products of inputs with weights are dot products of rows contiguous in k; all others go through
//! packed panels. Sums are kept short, dot products in lanes and panels by ending every [`SUM_BLOCK`]
//! terms, because one f32 sum over a whole row of 1,536 loses accuracy that the outlier dimensions
//! of the residual stream amplify. A value's arithmetic is the same whatever rows stand beside it
//! and however many threads share the product. Without AVX2 all products go
//! through panels.

use super::microkernel::{ask_for, dots, dots_rows, pack, tile, Rows, Tile, DOTS};
use super::simd::Simd;
use super::Shared;
use rayon::prelude::*;

/// Terms of one running sum in a packed panel.
pub(super) const SUM_BLOCK: usize = 128;

/// Terms from which dot products pay for adding up their lanes.
pub(super) const MIN_DOTS: usize = 64;

/// Values of a that stay in a core's cache while the rows of w pass by.
pub(super) const CACHED: usize = 1 << 17;

/// Values of w that stay in a core's nearest cache, beside a block of rows of a, while those pass by.
pub(super) const NEAR: usize = 9 << 9;

/// Multiplications below which a product is not worth dividing.
pub(super) const ALONE: usize = 1 << 18;

/// (m, n, k)
pub(crate) type Dims = (usize, usize, usize);

/// A strided matrix view: value (i, j) lies at `i * rs + j * cs`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub data: &'a [f32],
    pub rs: usize,
    pub cs: usize,
}

impl<'a> View<'a> {
    /// Row-major with `width` columns.
    pub fn rows(data: &'a [f32], width: usize) -> Self {
        View { data, rs: width, cs: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        View { data: self.data, rs: self.cs, cs: self.rs }
    }

    /// The view from (row, col) on.
    fn from(self, row: usize, col: usize) -> Self {
        View { data: &self.data[row * self.rs + col * self.cs..], ..self }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        let last = |n: usize, stride: usize| n.saturating_sub(1).checked_mul(stride);
        let end = last(rows, self.rs).zip(last(cols, self.cs)).and_then(|(r, c)| r.checked_add(c));
        rows == 0 || cols == 0 || end.is_some_and(|e| e < self.data.len())
    }
}

/// `dst (m, n; row stride rs) = alpha a (m, k) b (k, n)`, added to what is there if `add`.
#[derive(Clone, Copy)]
struct Product<'a> {
    dims: Dims,
    dst: *mut f32,
    rs: usize,
    a: View<'a>,
    b: View<'a>,
    alpha: f32,
    add: bool,
}

/// `dst (m, n; row stride rs) = alpha a (m, k) b (k, n)`, added to what is there if `add`.
///
/// # Safety
/// `dst` must be valid for writes of the m x n strided block (and for reads if `add`), and no other
/// thread may touch that block meanwhile.
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn gemm_raw(
    (m, n, k): Dims,
    dst: *mut f32,
    rs: usize,
    a: View,
    b: View,
    alpha: f32,
    add: bool,
    parallel: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "matrix view out of bounds");
    if m == 0 || n == 0 {
        return;
    }
    let part = |dims, dst, a, b| Product { dims, dst, rs, a, b, alpha, add };
    let divided = parallel && m * n * k >= ALONE;
    let threads = if divided { rayon::current_num_threads() } else { 1 };
    if threads == 1 {
        return alone(part((m, n, k), dst, a, b));
    }
    // Columns are dealt out first, so that a weight is read once; then rows.
    let by_cols = threads.min(n.div_ceil(PANEL));
    let width = n.div_ceil(by_cols).next_multiple_of(PANEL);
    let by_rows = threads.div_ceil(n.div_ceil(width));
    let height = m.div_ceil(by_rows).next_multiple_of(PANEL);
    let (cols, rows) = (n.div_ceil(width), m.div_ceil(height));
    let dst = Shared(dst);
    (0..cols * rows).into_par_iter().for_each(|unit| {
        let (row, col) = (unit / cols * height, unit % cols * width);
        let dims = (height.min(m - row), width.min(n - col), k);
        // SAFETY: this block of dst is this task's alone.
        unsafe {
            let to = dst.at(row * rs + col);
            alone(part(dims, to, a.from(row, 0), b.from(0, col)))
        }
    });
}

/// Columns (and rows) that blocks of divided work are multiples of.
pub(super) const PANEL: usize = 32;

/// [`gemm_raw`] on this thread.
///
/// # Safety
/// As [`gemm_raw`].
unsafe fn alone(p: Product) {
    by(Simd::here(), p)
}

/// As [`alone`], by the kernels of `simd`.
unsafe fn by(simd: Simd, p: Product) {
    let dense = p.a.cs == 1 && p.b.rs == 1;
    if dense && p.dims.2 >= MIN_DOTS && simd != Simd::Portable {
        by_dots(simd, p)
    } else {
        by_panels(simd, p)
    }
}

/// Dot products of the rows of a with the columns of b, both contiguous in k.
unsafe fn by_dots(simd: Simd, p: Product) {
    let Product { dims: (m, n, k), dst, rs, a, b, alpha, add } = p;
    let high = dots_rows(simd);
    let cached = (CACHED / k / high).max(1) * high;
    let wide = (NEAR / k / DOTS).max(1) * DOTS;
    for first in (0..m).step_by(cached) {
        let end = m.min(first + cached);
        for near in (0..n).step_by(wide) {
            // The next rows of w are prefetched while these are multiplied: w is larger than the caches.
            let (next, steps) = (near + wide, (end - first).div_ceil(high));
            let coming = wide.min(n.saturating_sub(next));
            for (step, i) in (first..end).step_by(high).enumerate() {
                if steps > coming {
                    let rows = step * coming / steps..(step + 1) * coming / steps;
                    ask_for(rows, k, b.data.as_ptr().wrapping_add(next * b.cs), b.cs);
                }
                for j in (near..n.min(near + wide)).step_by(DOTS) {
                    // Past the last column it is given again and left out of the output.
                    let w = std::array::from_fn(|x| b.data.as_ptr().add((j + x).min(n - 1) * b.cs));
                    let live = DOTS.min(n - j);
                    let rows = Rows { k, a: a.data.as_ptr().add(i * a.rs), a_rs: a.rs, w };
                    dots(simd, high.min(end - i), rows, |row, sums| {
                        let to = dst.add((i + row) * rs + j);
                        if live == DOTS && !add {
                            // At once: a store of each is felt beside so few terms.
                            to.cast::<[f32; DOTS]>().write_unaligned(sums.map(|s| alpha * s));
                            return;
                        }
                        for (x, s) in sums.into_iter().take(live).enumerate() {
                            let to = to.add(x);
                            *to = if add { alpha * s + *to } else { alpha * s };
                        }
                    });
                }
            }
        }
    }
}

thread_local! {
    /// One packed panel.
    static PACKED: std::cell::RefCell<Vec<f32>> =
        std::cell::RefCell::new(vec![0.0; SUM_BLOCK * PANEL]);
}

/// Any product, through packed panels of b.
unsafe fn by_panels(simd: Simd, p: Product) {
    let Product { dims: (m, n, k), dst, rs, a, b, alpha, add } = p;
    let cols = simd.cols();
    // Tiles of like height: a thin last one would leave the units idle.
    let high = m.div_ceil(m.div_ceil(simd.rows()));
    let mut edge = [0f32; PANEL * PANEL];
    PACKED.with_borrow_mut(|packed| {
        for from in (0..k.max(1)).step_by(SUM_BLOCK) {
            let terms = SUM_BLOCK.min(k - from);
            let add = add || from > 0;
            for j in (0..n).step_by(cols) {
                let width = cols.min(n - j);
                let at = b.data.as_ptr().add(from * b.rs + j * b.cs);
                pack((terms, width, cols), at, (b.rs, b.cs), packed.as_mut_ptr());
                // The panel after this one: to the right, or the first of the next terms.
                let next = if j + cols < n { (from, j + cols) } else { (from + SUM_BLOCK, 0) };
                let ahead = if b.cs == 1 && next.0 < k { SUM_BLOCK.min(k - next.0) } else { 0 };
                let at = b.data.as_ptr().wrapping_add(next.0 * b.rs + next.1);
                for i in (0..m).step_by(high) {
                    let rows = high.min(m - i);
                    let asked = ahead * i / m..ahead * (i + rows) / m;
                    ask_for(asked, cols.min(n - next.1), at, b.rs);
                    let whole = Tile {
                        k: terms,
                        a: a.data.as_ptr().add(i * a.rs + from * a.cs),
                        a_rs: a.rs,
                        a_cs: a.cs,
                        b: packed.as_ptr(),
                        c: dst.add(i * rs + j),
                        c_rs: rs,
                        alpha,
                        add,
                    };
                    if width == cols {
                        tile(simd, rows, whole);
                        continue;
                    }
                    // The last panel may be narrower than a tile: through a tile of our own.
                    let inner = Tile { c: edge.as_mut_ptr(), c_rs: cols, add: false, ..whole };
                    tile(simd, rows, inner);
                    for (r, row) in edge.chunks_exact(cols).take(rows).enumerate() {
                        for (x, v) in row.iter().take(width).enumerate() {
                            let to = dst.add((i + r) * rs + j + x);
                            *to = if add { *to + v } else { *v };
                        }
                    }
                }
            }
        }
    });
}

/// The gemm crate, which ours are measured with, in blocks of [`SUM_BLOCK`] terms.
unsafe fn by_library(p: Product) {
    let Product { dims: (m, n, k), dst, rs, a, b, alpha, add } = p;
    for from in (0..k.max(1)).step_by(SUM_BLOCK) {
        gemm::gemm(
            m,
            n,
            SUM_BLOCK.min(k - from),
            dst,
            1,
            rs as isize,
            add || from > 0,
            a.data.as_ptr().wrapping_add(from * a.cs),
            a.cs as isize,
            a.rs as isize,
            b.data.as_ptr().wrapping_add(from * b.rs),
            b.cs as isize,
            b.rs as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Fresh `(m, n)` product, or accumulation into `dst`.
pub(crate) fn gemm_into(dims: Dims, dst: &mut [f32], a: View, b: View, alpha: f32, add: bool) {
    assert_eq!(dst.len(), dims.0 * dims.1);
    // SAFETY: dst is exclusively borrowed and holds m * n values with row stride n.
    unsafe { gemm_raw(dims, dst.as_mut_ptr(), dims.1, a, b, alpha, add, true) }
}

/// A fresh `(m, n)` product.
pub(crate) fn product(dims: Dims, a: View, b: View, alpha: f32) -> Vec<f32> {
    let len = dims.0 * dims.1;
    let mut out: Vec<f32> = Vec::with_capacity(len);
    // SAFETY: with `add` false all m * n values are written before they are read.
    unsafe {
        gemm_raw(dims, out.as_mut_ptr(), dims.1, a, b, alpha, false, true);
        out.set_len(len);
    }
    out
}

/// How far a product by the kernels in use is from the same in f64: the largest deviation, in units of the
/// product's RMS. Where processor and build are sound it is below 1e-5.
pub fn deviation() -> f64 {
    let (m, n, k) = (37, 53, 211);
    let wave = |i: usize, by: f64| (i as f64 * by).sin() as f32;
    let a: Vec<f32> = (0..m * k).map(|i| wave(i, 0.7)).collect();
    let b: Vec<f32> = (0..n * k).map(|i| wave(i, 1.3)).collect();
    let got = product((m, n, k), View::rows(&a, k), View::rows(&b, k).t(), 1.0);
    let (mut squares, mut most) = (0.0, 0.0f64);
    for (i, got) in got.iter().enumerate() {
        let pairs = a[i / n * k..][..k].iter().zip(&b[i % n * k..][..k]);
        let want: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        squares += want * want;
        most = most.max((f64::from(*got) - want).abs());
    }
    most / (squares / (m * n) as f64).sqrt()
}

/// Seconds of the fastest `(m, n, k)` product of this machine, by our kernels or the gemm crate,
/// whichever is faster: the yardstick for everything above. Runs for about `budget` seconds.
pub fn sgemm_seconds((m, n, k): (usize, usize, usize), budget: f64) -> f64 {
    let a: Vec<f32> = (0..m * k).map(|i| (i % 7) as f32 - 3.0).collect();
    let b: Vec<f32> = (0..n * k).map(|i| (i % 5) as f32 - 2.0).collect();
    let mut c = vec![0f32; m * n];
    let threads = rayon::current_num_threads();
    let mut best = f64::INFINITY;
    let begun = std::time::Instant::now();
    while begun.elapsed().as_secs_f64() < budget || best.is_infinite() {
        let at = std::time::Instant::now();
        let (av, bv) = (View::rows(&a, k), View::rows(&b, k).t());
        gemm_into((m, n, k), &mut c, av, bv, 1.0, false);
        best = best.min(at.elapsed().as_secs_f64());
        let at = std::time::Instant::now();
        let rows = m.div_ceil(threads);
        c.par_chunks_mut(rows * n).enumerate().for_each(|(i, c)| {
            let dims = (c.len() / n, n, k);
            // SAFETY: each chunk of whole rows is this task's alone.
            unsafe {
                by_library(Product {
                    dims,
                    dst: c.as_mut_ptr(),
                    rs: n,
                    a: av.from(i * rows, 0),
                    b: bv,
                    alpha: 1.0,
                    add: false,
                })
            }
        });
        best = best.min(at.elapsed().as_secs_f64());
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Independent values in [-1, 1): sums of them stay small beside the bounds below.
    fn values(n: usize, seed: usize) -> Vec<f32> {
        let x = crate::ops::check::random(seed as u64, 1, n);
        let x: Vec<f32> = x.flatten_all().unwrap().to_vec1().unwrap();
        x.into_iter().map(|v| v / 1.5).collect()
    }

    type Kernel = unsafe fn(Simd, Product);

    /// Every kernel with every set of instructions that this machine has, by name.
    fn kernels() -> impl Iterator<Item = (String, Simd, Kernel)> {
        let all: [(&str, Kernel); 2] = [("panels", by_panels), ("dots", by_dots)];
        let of = move |&simd: &Simd| all.map(|(n, k)| (format!("{n}, {}", simd.name()), simd, k));
        let all = Simd::available().iter().flat_map(of);
        all.filter(|k| k.1 != Simd::Portable || k.0.starts_with("panels"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_kernel_gives_the_product_in_f64(
            (m, n, k) in (1usize..40, 1usize..70, 1usize..300),
            (ta, tb, add) in (any::<bool>(), any::<bool>(), any::<bool>()),
            seed in 0usize..1000,
        ) {
            let (av, bv) = (values(m * k, seed), values(k * n, seed + 1));
            let a = if ta { View::rows(&av, m).t() } else { View::rows(&av, k) };
            let b = if tb { View::rows(&bv, k).t() } else { View::rows(&bv, n) };
            // A wider destination: what lies beside the block must stay as it is.
            let rs = n + 3;
            let start = values(m * rs, seed + 2);
            let dense = !ta && tb;
            for (name, simd, kernel) in kernels().filter(|k| dense || k.0.starts_with("panels")) {
                let mut got = start.clone();
                let dst = got.as_mut_ptr();
                let p = Product { dims: (m, n, k), dst, rs, a, b, alpha: 0.5, add };
                // SAFETY: `got` holds m rows of rs values, and the machine has the instructions.
                unsafe { kernel(simd, p) };
                for i in 0..m {
                    for j in 0..rs {
                        let before = start[i * rs + j];
                        if j >= n {
                            prop_assert_eq!(got[i * rs + j], before, "{} wrote beside", name);
                            continue;
                        }
                        let terms = (0..k).map(|t| {
                            let x = av[i * a.rs + t * a.cs] as f64;
                            x * bv[t * b.rs + j * b.cs] as f64
                        });
                        let mut want = 0.5 * terms.sum::<f64>();
                        if add {
                            want += before as f64;
                        }
                        let off = (got[i * rs + j] as f64 - want).abs();
                        prop_assert!(off < 2e-5, "{}: {} off at ({}, {})", name, off, i, j);
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_has_the_same_bits_in_any_block_that_is_computed() {
        let (m, n) = (45, 70);
        for k in [30, 333] {
            let (av, bv) = (values(m * k, 1), values(k * n, 2));
            let (a, b) = (View::rows(&av, k), View::rows(&bv, k).t());
            for (name, simd, kernel) in kernels() {
                let run = |(row, col): (usize, usize), (m, n): (usize, usize)| {
                    let mut out = vec![0f32; m * n];
                    let (a, b, dst) = (a.from(row, 0), b.from(0, col), out.as_mut_ptr());
                    let p = Product { dims: (m, n, k), dst, rs: n, a, b, alpha: 1.0, add: false };
                    // SAFETY: `out` holds m * n values, and the machine has the instructions.
                    unsafe { kernel(simd, p) };
                    out
                };
                let whole = run((0, 0), (m, n));
                for (from, size) in [((0, 0), (1, n)), ((17, 5), (20, 33)), ((44, 69), (1, 1))] {
                    for (i, row) in run(from, size).chunks(size.1).enumerate() {
                        let at = (from.0 + i) * n + from.1;
                        assert_eq!(row, &whole[at..at + size.1], "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_among_others_and_on_any_threads() {
        let (m, n, k) = (100, 192, 576);
        let (x, w) = (values(m * k, 1), values(n * k, 2));
        let run = |rows: usize, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            let (x, w) = (View::rows(&x, k), View::rows(&w, k).t());
            pool.install(|| product((rows, n, k), x, w, 1.0))
        };
        let whole = run(m, 1);
        for threads in [1, 2, 3, 7] {
            assert_eq!(run(m, threads), whole);
            assert_eq!(run(5, threads), whole[..5 * n]);
        }
    }
}
