//! Products of f32 rows with bf16 matrices: rows are rounded to bf16 too, and sums are kept in f32.
//!
//! Two bf16 values stand in 32 bits, neighbours in k, in rows of a (row-major) as in packed panels of b
//! (`(k / 2, 32)` pairs), which is the form that dot product instructions take: those of AVX-512 a row of
//! pairs a step, AMX sixteen rows. Panels of b are packed once for all rows, as many as stay in a core's
//! second cache. A product of two bf16 values is exact in f32, so kernels differ by the order of sums.

use super::microkernel::pack;
use super::simd::{vectorised, Simd};
use super::Shared;
use half::bf16;
use rayon::prelude::*;

/// Columns of a packed panel.
const COLS: usize = 32;

/// What k is padded to: terms of one step of AMX.
const STEP: usize = 32;

/// Rows of a tile of AMX, which the rows of a are padded to.
const ROWS: usize = 32;

/// Terms of one running sum.
const TERMS: usize = 768;

/// Values of packed panels that stay in a core's second cache.
const PACKED: usize = 3 << 17;

/// Multiplications below which a product is not worth dividing.
const ALONE: usize = 1 << 20;

/// A bf16 matrix `(k, n)`: value (t, j) lies at `t * rs + j * cs`.
#[derive(Clone, Copy)]
struct View<'a> {
    data: &'a [bf16],
    rs: usize,
    cs: usize,
}

/// `x W'` of `x (m, I)` and `w (O, I)`, `(m, O)`.
pub(crate) fn product(x: &[f32], w: &[bf16], (o, i): (usize, usize)) -> Vec<f32> {
    multiplied(Simd::here(), x, View { data: w, rs: 1, cs: i }, (i, o))
}

/// `g W` of `g (m, O)` and `w (O, I)`, `(m, I)`.
pub(crate) fn back(g: &[f32], w: &[bf16], (o, i): (usize, usize)) -> Vec<f32> {
    multiplied(Simd::here(), g, View { data: w, rs: i, cs: 1 }, (o, i))
}

/// The nearest bf16 value, ties to even.
#[inline(always)]
fn rounded(x: f32) -> u16 {
    let bits = x.to_bits();
    let near = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if x.is_nan() {
        (bits >> 16 | 0x40) as u16
    } else {
        near as u16
    }
}

/// Rows `x (m, k)` in bf16, `(ceil(m to ROWS), ceil(k to STEP))`, zeros beyond.
fn rounded_rows(x: &[f32], k: usize) -> Vec<u16> {
    let width = k.next_multiple_of(STEP);
    let mut out = vec![0u16; (x.len() / k).next_multiple_of(ROWS) * width];
    out.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * k)).for_each(|(to, x)| {
        vectorised!(for (to, x) in to.chunks_exact_mut(width).zip(x.chunks_exact(k)) {
            for (to, x) in to.iter_mut().zip(x) {
                *to = rounded(*x);
            }
        })
    });
    out
}

/// `a b` of `a (m, k)` and `b (k, n)`, `(m, n)`.
fn multiplied(simd: Simd, a: &[f32], b: View, (k, n): (usize, usize)) -> Vec<f32> {
    assert!(a.len().is_multiple_of(k.max(1)) && b.data.len() == k * n, "shapes do not fit");
    if a.is_empty() || n == 0 {
        return Vec::new();
    }
    let m = a.len() / k;
    let rows = rounded_rows(a, k);
    let mut out: Vec<f32> = Vec::with_capacity(m * n);
    let to = Shared(out.as_mut_ptr());
    let threads = if m * n * k < ALONE { 1 } else { rayon::current_num_threads() };
    let (height, width) = division(threads, m, n);
    let across = n.div_ceil(width);
    let one = |unit: usize| {
        let (row, col) = (unit / across * height, unit % across * width);
        let part = Part {
            m: height.min(m - row),
            columns: col..n.min(col + width),
            k,
            a: rows[row * k.next_multiple_of(STEP)..].as_ptr(),
            to: to.at(row * n),
            rs: n,
        };
        // SAFETY: this block of the output is this task's alone, and `rows` is padded for every kernel.
        unsafe { part.multiplied(simd, b) }
    };
    (0..m.div_ceil(height) * across).into_par_iter().for_each(one);
    // SAFETY: blocks cover the output, and each is written by its first terms.
    unsafe { out.set_len(m * n) };
    out
}

/// Rows and columns of a block for each thread: columns first, so that b is packed once, then rows.
fn division(threads: usize, m: usize, n: usize) -> (usize, usize) {
    let width = n.div_ceil(threads.min(n.div_ceil(COLS))).next_multiple_of(COLS);
    let by_rows = threads.div_ceil(n.div_ceil(width));
    (m.div_ceil(by_rows).next_multiple_of(ROWS), width)
}

/// A block of the output: rows of a from `a` on, some columns of b.
struct Part {
    m: usize,
    columns: std::ops::Range<usize>,
    k: usize,
    a: *const u16,
    /// The first row of the output, of row stride `rs`.
    to: *mut f32,
    rs: usize,
}

thread_local! {
    /// Packed panels.
    static PANELS: std::cell::RefCell<Vec<u32>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Part {
    /// # Safety
    /// a is readable over its padded rows, the block of the output is writable by nobody else, and `simd`
    /// is what the machine has.
    unsafe fn multiplied(&self, simd: Simd, b: View) {
        let width = self.k.next_multiple_of(STEP);
        let terms = width.div_ceil(width.div_ceil(TERMS)).next_multiple_of(STEP);
        let group = (PACKED / terms / COLS).max(1) * COLS;
        PANELS.with_borrow_mut(|panels| {
            panels.resize(panels.len().max(group * terms / 2), 0);
            #[cfg(target_arch = "x86_64")]
            let _tiles = (simd == Simd::Amx).then(amx::Tiles::new);
            for from in (0..width).step_by(terms) {
                let terms = terms.min(width - from);
                for first in self.columns.clone().step_by(group) {
                    let columns = first..self.columns.end.min(first + group);
                    for (j, to) in
                        columns.clone().step_by(COLS).zip(panels.chunks_mut(COLS * terms / 2))
                    {
                        packed(b, self.k, from..from + terms, j..columns.end.min(j + COLS), to);
                    }
                    self.group(simd, from, terms, columns, panels);
                }
            }
        });
    }

    /// All rows times the packed columns of some terms.
    unsafe fn group(
        &self,
        simd: Simd,
        from: usize,
        terms: usize,
        columns: std::ops::Range<usize>,
        panels: &[u32],
    ) {
        let most = if simd == Simd::Amx { ROWS } else { 14 };
        // Tiles of like height: a thin last one would leave the units idle.
        let high = if simd == Simd::Amx { ROWS } else { self.m.div_ceil(self.m.div_ceil(most)) };
        let stride = self.k.next_multiple_of(STEP);
        let mut edge = [0f32; ROWS * COLS];
        for i in (0..self.m).step_by(high) {
            let rows = high.min(self.m - i);
            for (j, panel) in columns.clone().step_by(COLS).zip(panels.chunks(COLS * terms / 2)) {
                let c = self.to.add(i * self.rs + j);
                let add = from > 0;
                let a = self.a.add(i * stride + from);
                let b = panel.as_ptr();
                let whole = Tile { terms, a, a_rs: stride, b, c, c_rs: self.rs, add };
                let width = COLS.min(columns.end - j);
                if width == COLS && (rows == high || simd != Simd::Amx) {
                    tile(simd, rows, whole);
                    continue;
                }
                // Sums go on from what is there, as in a whole tile, so that a row has the same bits in both.
                let row = |r: usize| std::slice::from_raw_parts_mut(c.add(r * self.rs), width);
                for (r, part) in edge.chunks_exact_mut(COLS).take(rows).enumerate().filter(|_| add)
                {
                    part[..width].copy_from_slice(row(r));
                }
                tile(simd, rows, Tile { c: edge.as_mut_ptr(), c_rs: COLS, ..whole });
                for (r, part) in edge.chunks_exact(COLS).take(rows).enumerate() {
                    row(r).copy_from_slice(&part[..width]);
                }
            }
        }
    }
}

/// Packs some columns and terms of `b (k, n)` as pairs `(terms / 2, COLS)`, zeros beyond k and the columns.
///
/// # Safety
/// Columns lie within b.
unsafe fn packed(
    b: View,
    k: usize,
    terms: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    to: &mut [u32],
) {
    let (first, live) = (b.data.as_ptr(), terms.end.min(k) - terms.start);
    if b.rs == 1 && b.cs.is_multiple_of(2) && first.cast::<u32>().is_aligned() {
        // Pairs lie in b as they do in a panel; moved as f32, they keep their bits.
        let size = (live / 2, columns.len(), COLS);
        let from = first.add(terms.start + columns.start * b.cs).cast();
        to[live / 2 * COLS..].fill(0);
        return pack(size, from, (1, b.cs / 2), to.as_mut_ptr().cast());
    }
    to.fill(0);
    for (pair, to) in to.chunks_exact_mut(COLS).take(live.div_ceil(2)).enumerate() {
        let t = terms.start + 2 * pair;
        if b.cs == 1 && t + 1 < k {
            let row = |t: usize| &b.data[t * b.rs..][columns.clone()];
            let rows = to.iter_mut().zip(row(t).iter().zip(row(t + 1)));
            vectorised!(for (to, (low, high)) in rows {
                *to = u32::from(low.to_bits()) | u32::from(high.to_bits()) << 16;
            });
            continue;
        }
        let at = |t: usize, j: usize| match t < k {
            true => u32::from(b.data[t * b.rs + j * b.cs].to_bits()),
            false => 0,
        };
        for (to, j) in to.iter_mut().zip(columns.clone()) {
            *to = at(t, j) | at(t + 1, j) << 16;
        }
    }
}

/// Operands of a tile of some rows x [`COLS`].
#[derive(Clone, Copy)]
struct Tile {
    /// A multiple of [`STEP`].
    terms: usize,
    /// Row i of a lies at `a + i * a_rs`.
    a: *const u16,
    a_rs: usize,
    /// Pairs `(terms / 2, COLS)`.
    b: *const u32,
    /// Row i of the output lies at `c + i * c_rs`.
    c: *mut f32,
    c_rs: usize,
    /// Add to what is in c.
    add: bool,
}

/// # Safety
/// `simd` is what the machine has, a and b are readable, c is writable by this thread alone; AMX takes
/// [`ROWS`] rows, configured tiles.
unsafe fn tile(simd: Simd, rows: usize, t: Tile) {
    #[cfg(target_arch = "x86_64")]
    macro_rules! by_height {
        ($($r:literal)*) => {
            match rows { $($r => tile_avx512::<$r>(t),)* _ => unreachable!("no tile of that height") }
        };
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Amx => amx::tile(t),
        #[cfg(target_arch = "x86_64")]
        Simd::Bf16 => by_height!(1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        _ => vectorised!(tile_portable(rows, t)),
    }
}

#[inline(always)]
unsafe fn tile_portable(rows: usize, t: Tile) {
    let halves = |pair: u32| [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)];
    for i in 0..rows {
        let mut sums = [0f32; COLS];
        for pair in 0..t.terms / 2 {
            let [a0, a1] = halves(t.a.add(i * t.a_rs).cast::<u32>().add(pair).read_unaligned());
            let b = t.b.add(pair * COLS).cast::<[u32; COLS]>().read();
            for (s, b) in sums.iter_mut().zip(b) {
                let [b0, b1] = halves(b);
                *s += a0 * b0 + a1 * b1;
            }
        }
        for (j, s) in sums.into_iter().enumerate() {
            let to = t.c.add(i * t.c_rs + j);
            *to = if t.add { *to + s } else { s };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile_avx512<const R: usize>(t: Tile) {
    use std::arch::x86_64::*;
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    let (mut a, mut b) = (t.a, t.b);
    for _ in 0..t.terms / 2 {
        let pairs = |at: *const u32| {
            std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(at.cast()))
        };
        let (b0, b1) = (pairs(b), pairs(b.add(16)));
        for (i, [s0, s1]) in sums.iter_mut().enumerate() {
            let v = _mm512_set1_epi32(a.add(i * t.a_rs).cast::<i32>().read_unaligned());
            let v = std::mem::transmute::<__m512i, __m512bh>(v);
            *s0 = _mm512_dpbf16_ps(*s0, v, b0);
            *s1 = _mm512_dpbf16_ps(*s1, v, b1);
        }
        a = a.add(2);
        b = b.add(COLS);
    }
    for (i, pair) in sums.iter().enumerate() {
        for (j, &s) in pair.iter().enumerate() {
            let to = t.c.add(i * t.c_rs + 16 * j);
            _mm512_storeu_ps(to, if t.add { _mm512_add_ps(s, _mm512_loadu_ps(to)) } else { s });
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod amx {
    //! Intel's matrix units, whose intrinsics are not in stable Rust: hence their instructions.

    use super::Tile;
    use std::arch::asm;
    use std::marker::PhantomData;

    #[repr(C, align(64))]
    struct Config {
        palette: u8,
        start: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }

    /// The eight tiles of this thread, each 16 rows of 64 bytes, until it is dropped.
    pub struct Tiles(PhantomData<*const ()>);

    impl Tiles {
        pub fn new() -> Self {
            let (mut bytes, mut rows) = ([0; 16], [0; 16]);
            bytes[..8].fill(64);
            rows[..8].fill(16);
            let config = Config { palette: 1, start: 0, reserved: [0; 14], bytes, rows };
            // SAFETY: made only for [`Simd::Amx`](super::Simd); no compiled code uses tiles.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
            Tiles(PhantomData)
        }
    }

    impl Drop for Tiles {
        fn drop(&mut self) {
            // SAFETY: as above.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }

    /// A tile of 32 x 32, as two by two.
    ///
    /// # Safety
    /// As [`super::tile`].
    pub unsafe fn tile(t: Tile) {
        let (a_rs, c_rs) = (2 * t.a_rs, 4 * t.c_rs);
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "test {add:e}, {add:e}",
            "jz 2f",
            "tileloadd tmm0, [{c0} + {c_rs}]",
            "tileloadd tmm1, [{c0} + {c_rs} + 64]",
            "tileloadd tmm2, [{c1} + {c_rs}]",
            "tileloadd tmm3, [{c1} + {c_rs} + 64]",
            "2:",
            "tileloadd tmm4, [{a0} + {a_rs}]",
            "tileloadd tmm6, [{b} + {b_rs}]",
            "tileloadd tmm7, [{b} + {b_rs} + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a1} + {a_rs}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 64",
            "add {a1}, 64",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{c0} + {c_rs}], tmm0",
            "tilestored [{c0} + {c_rs} + 64], tmm1",
            "tilestored [{c1} + {c_rs}], tmm2",
            "tilestored [{c1} + {c_rs} + 64], tmm3",
            add = in(reg) u32::from(t.add),
            steps = inout(reg) t.terms / super::STEP => _,
            a0 = inout(reg) t.a => _,
            a1 = inout(reg) t.a.add(16 * t.a_rs) => _,
            b = inout(reg) t.b => _,
            c0 = in(reg) t.c,
            c1 = in(reg) t.c.wrapping_add(16 * t.c_rs),
            a_rs = in(reg) a_rs,
            b_rs = in(reg) 4 * super::COLS,
            c_rs = in(reg) c_rs,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut out = vec![0f32; n];
        crate::stats::rng::fill_normal(&mut crate::stats::rng::stream(seed, "bf16", 0), &mut out);
        out
    }

    /// Every set of instructions that has another kernel here.
    fn kernels() -> impl Iterator<Item = Simd> {
        let bf16 = Simd::available().iter().copied().filter(|s| *s >= Simd::Bf16);
        bf16.chain([Simd::Portable])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_kernel_gives_the_product_of_the_rounded_values_in_f64(
            (m, n, k) in (1usize..70, 1usize..100, 1usize..900),
            across in any::<bool>(),
        ) {
            let x = values(m * k, 1);
            let w: Vec<bf16> = values(k * n, 2).into_iter().map(bf16::from_f32).collect();
            let b = match across {
                true => View { data: &w, rs: n, cs: 1 },
                false => View { data: &w, rs: 1, cs: k },
            };
            for simd in kernels() {
                let got = multiplied(simd, &x, b, (k, n));
                for (at, got) in got.into_iter().enumerate() {
                    let (i, j) = (at / n, at % n);
                    let term = |t: usize| {
                        let a = bf16::from_f32(x[i * k + t]).to_f64();
                        a * w[t * b.rs + j * b.cs].to_f64()
                    };
                    let want: f64 = (0..k).map(term).sum();
                    let scale = (k as f64).sqrt();
                    prop_assert!((f64::from(got) - want).abs() < 1e-5 * scale, "{} {}", simd.name(), want);
                }
            }
        }
    }

    #[test]
    fn forward_and_backward_are_products_with_the_transpose_and_with_the_matrix() {
        let (m, o, i) = (5, 7, 6);
        let (x, g) = (values(m * i, 1), values(m * o, 2));
        let w: Vec<bf16> = values(o * i, 3).into_iter().map(bf16::from_f32).collect();
        let (y, dx) = (product(&x, &w, (o, i)), back(&g, &w, (o, i)));
        // <g, x W'> = <g W, x>, up to the rounding of x and g.
        let inner = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert_eq!((y.len(), dx.len()), (m * o, m * i));
        assert!((inner(&g, &y) - inner(&dx, &x)).abs() < 0.1);
    }

    #[test]
    fn rounding_is_to_the_nearest_and_keeps_what_is_no_number() {
        let odd = [f32::NAN, f32::INFINITY, -0.0, 1e-40, f32::MAX, 1.003_906_2, 1.011_718_8];
        for x in odd.into_iter().chain(values(1000, 4)) {
            assert_eq!(rounded(x), bf16::from_f32(x).to_bits(), "{x}");
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_among_others() {
        let (m, n, k) = (75, 70, 800);
        let x = values(m * k, 1);
        let w: Vec<bf16> = values(k * n, 2).into_iter().map(bf16::from_f32).collect();
        let b = View { data: &w, rs: 1, cs: k };
        for simd in kernels() {
            let whole = multiplied(simd, &x, b, (k, n));
            for i in [0, 40, 74] {
                let row = multiplied(simd, &x[i * k..(i + 1) * k], b, (k, n));
                assert_eq!(row, &whole[i * n..(i + 1) * n], "{}", simd.name());
            }
        }
    }
}
