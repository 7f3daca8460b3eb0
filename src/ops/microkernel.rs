//! The inner loops of a matrix product: one register tile of the output at a time.
//!
//! A tile of the output stays in vector registers while `k` runs; one row of a packed panel of b is
//! loaded a step and every row of a is broadcast against it (Goto & van de Geijn 2008, Anatomy of
//! high-performance matrix multiplication). Tiles are 14 x 32 with AVX-512, 6 x 16 with AVX2 and 6 x 8 in
//! plain Rust, so that accumulators, one row of b and a broadcast fill the register file.
//!
//! Where both operands are contiguous in k, as inputs and weights of a linear map are, [`dots`]
//! needs no packing with AVX: vectors run along k, and each output value is a sum of lanes. That is as fast
//! at a thousand rows, several times faster at a few, and more exact, since a lane adds k / 16
//! terms. Neither kernel's arithmetic for one output value depends on the tile it falls in.

#![cfg_attr(not(target_arch = "x86_64"), allow(unused))]

use super::simd::Simd;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ops::Range;

impl Simd {
    /// Rows of the largest tile.
    pub(super) fn rows(self) -> usize {
        match self {
            Simd::Portable | Simd::Avx2 => 6,
            Simd::Avx512 | Simd::Bf16 | Simd::Amx => 14,
        }
    }

    /// Columns of a tile, which is the width of a packed panel.
    pub(super) fn cols(self) -> usize {
        match self {
            Simd::Portable => PORTABLE_COLS,
            Simd::Avx2 => 16,
            Simd::Avx512 | Simd::Bf16 | Simd::Amx => 32,
        }
    }
}

/// Columns of a tile in plain Rust.
const PORTABLE_COLS: usize = 8;

/// Operands of a tile of `rows` x [`Simd::cols`].
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub k: usize,
    /// Row i, term t of a lies at `a + i * a_rs + t * a_cs`.
    pub a: *const f32,
    pub a_rs: usize,
    pub a_cs: usize,
    /// Packed panel `(k, cols)`.
    pub b: *const f32,
    /// Row i of the output begins at `c + i * c_rs`.
    pub c: *mut f32,
    pub c_rs: usize,
    pub alpha: f32,
    /// Add to what is in c.
    pub add: bool,
}

macro_rules! by_height {
    ($rows:expr, $kernel:ident, $tile:expr, $($r:literal)*) => {
        match $rows { $($r => $kernel::<$r>($tile),)* _ => unreachable!("no tile of that height") }
    };
}

/// Computes one tile of `rows` rows, 1 to [`Simd::rows`].
///
/// # Safety
/// `simd` must be what the machine has, a and b must be readable and c writable over the whole tile,
/// and no other thread may touch that part of c meanwhile.
pub(super) unsafe fn tile(simd: Simd, rows: usize, t: Tile) {
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 | Simd::Bf16 | Simd::Amx => {
            by_height!(rows, tile_avx512, t, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
        }
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => by_height!(rows, tile_avx2, t, 1 2 3 4 5 6),
        _ => by_height!(rows, tile_portable, t, 1 2 3 4 5 6),
    }
}

/// `a b + c`, in one step where every machine of the target can.
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    match cfg!(target_arch = "aarch64") {
        true => a.mul_add(b, c),
        false => a * b + c,
    }
}

unsafe fn tile_portable<const R: usize>(t: Tile) {
    let mut sums = [[0f32; PORTABLE_COLS]; R];
    for step in 0..t.k {
        let b = t.b.add(step * PORTABLE_COLS).cast::<[f32; PORTABLE_COLS]>().read();
        for (i, row) in sums.iter_mut().enumerate() {
            let v = *t.a.add(i * t.a_rs + step * t.a_cs);
            row.iter_mut().zip(b).for_each(|(s, b)| *s = fma(v, b, *s));
        }
    }
    for (i, row) in sums.into_iter().enumerate() {
        for (j, s) in row.into_iter().enumerate() {
            let to = t.c.add(i * t.c_rs + j);
            *to = if t.add { t.alpha * s + *to } else { t.alpha * s };
        }
    }
}

/// A kernel of [`tile`] for vectors of so many lanes, in the words of one instruction set.
#[cfg(target_arch = "x86_64")]
macro_rules! tile_kernel {
    ($name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $all:ident, $fma:ident, $mul:ident, $store:ident) => {
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize>(t: Tile) {
            let mut sums = [[$zero(); 2]; R];
            let (mut a, mut b) = (t.a, t.b);
            for _ in 0..t.k {
                let (b0, b1) = ($load(b), $load(b.add($lanes)));
                for (i, [s0, s1]) in sums.iter_mut().enumerate() {
                    let v = $all(*a.add(i * t.a_rs));
                    *s0 = $fma(v, b0, *s0);
                    *s1 = $fma(v, b1, *s1);
                }
                a = a.wrapping_add(t.a_cs);
                b = b.add(2 * $lanes);
            }
            let alpha = $all(t.alpha);
            for (i, pair) in sums.iter().enumerate() {
                for (j, s) in pair.iter().enumerate() {
                    let to = t.c.add(i * t.c_rs + $lanes * j);
                    let v = if t.add { $fma(alpha, *s, $load(to)) } else { $mul(alpha, *s) };
                    $store(to, v);
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tile_kernel!(
    tile_avx512,
    "avx512f",
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_mul_ps,
    _mm512_storeu_ps
);
#[cfg(target_arch = "x86_64")]
tile_kernel!(
    tile_avx2,
    "avx2,fma",
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_mul_ps,
    _mm256_storeu_ps
);

/// Asks for the rows `terms` of a block of b, `width` values each, to be near when they are packed:
/// its short rows lie far apart, and the machine does not foresee them.
///
/// # Safety
/// The rows must lie within one allocation.
pub(super) unsafe fn ask_for(terms: Range<usize>, width: usize, b: *const f32, rs: usize) {
    #[cfg(target_arch = "x86_64")]
    for t in terms {
        for x in (0..width).step_by(16) {
            _mm_prefetch::<_MM_HINT_T1>(b.add(t * rs + x).cast());
        }
    }
}

/// Packs `width` columns of a strided b, `(k, width)` with value (t, j) at `b + t * rs + j * cs`, as
/// a panel `(k, cols)`, zeros right of `width`.
///
/// # Safety
/// b must be readable over the block, `to` writable over `k * cols` values.
pub(super) unsafe fn pack(
    (k, width, cols): (usize, usize, usize),
    b: *const f32,
    (rs, cs): (usize, usize),
    to: *mut f32,
) {
    if width < cols {
        std::ptr::write_bytes(to, 0, k * cols);
    }
    if cs == 1 {
        for t in 0..k {
            std::ptr::copy_nonoverlapping(b.add(t * rs), to.add(t * cols), width);
        }
        return;
    }
    let (k4, w4) = match rs {
        1 if cfg!(target_arch = "x86_64") => (k / 4 * 4, width / 4 * 4),
        _ => (0, 0),
    };
    // Columns that are contiguous in k are transposed by 4 x 4 blocks.
    #[cfg(target_arch = "x86_64")]
    for j in (0..w4).step_by(4) {
        let from: [*const f32; 4] = std::array::from_fn(|i| b.add((j + i) * cs));
        for t in (0..k4).step_by(4) {
            let mut r: [__m128; 4] = std::array::from_fn(|i| _mm_loadu_ps(from[i].add(t)));
            let [r0, r1, r2, r3] = &mut r;
            _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
            for (i, v) in r.into_iter().enumerate() {
                _mm_storeu_ps(to.add((t + i) * cols + j), v);
            }
        }
    }
    for t in 0..k {
        let first = if t < k4 { w4 } else { 0 };
        for j in first..width {
            *to.add(t * cols + j) = *b.add(t * rs + j * cs);
        }
    }
}

/// Columns of w that [`dots`] takes at once.
pub(super) const DOTS: usize = 4;

/// Operands of a block of dot products, each row contiguous in k.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub k: usize,
    /// Row i begins at `a + i * a_rs`.
    pub a: *const f32,
    pub a_rs: usize,
    /// First values of the rows of w; a row may be given twice.
    pub w: [*const f32; DOTS],
}

/// Rows of a that [`dots`] takes at once.
pub(super) fn dots_rows(simd: Simd) -> usize {
    match simd {
        Simd::Portable | Simd::Avx2 => 2,
        Simd::Avx512 | Simd::Bf16 | Simd::Amx => 6,
    }
}

/// `to(i, [sum_t a[i][t] w[j][t] for j])` for each of `n` rows, 1 to [`dots_rows`].
///
/// # Safety
/// `simd` must be what the machine has and every row readable over k values.
#[inline(always)]
pub(super) unsafe fn dots(simd: Simd, n: usize, r: Rows, mut to: impl FnMut(usize, [f32; DOTS])) {
    macro_rules! emit {
        ($kernel:ident, $($n:literal)*) => {
            match n {
                $($n => $kernel::<$n>(r).into_iter().enumerate().for_each(|(i, sums)| to(i, sums)),)*
                _ => unreachable!("no block of that height"),
            }
        };
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 | Simd::Bf16 | Simd::Amx => emit!(dots_avx512, 1 2 3 4 5 6),
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => emit!(dots_avx2, 1 2),
        _ => unreachable!("plain Rust has no such kernel"),
    }
}

/// Terms of a lane after which lanes are added up and their sum is carried on in f64: with AVX-512
/// a row of 576 is one part, since the units wait while lanes are added up.
#[cfg(target_arch = "x86_64")]
pub(super) const LANE_TERMS_512: usize = 36;

/// As [`LANE_TERMS_512`], of the narrower lanes, each of which has more terms of a row.
#[cfg(target_arch = "x86_64")]
const LANE_TERMS_256: usize = 24;

/// Vectors from `t` on of the rows of w. Written out: a closure that the standard library calls is not
/// compiled into a kernel, nor are vectors then handed on in registers.
#[cfg(target_arch = "x86_64")]
macro_rules! loaded {
    ($load:ident, $w:expr, $t:expr $(, $mask:expr)?) => {
        [
            $load($($mask,)? $w[0].add($t)),
            $load($($mask,)? $w[1].add($t)),
            $load($($mask,)? $w[2].add($t)),
            $load($($mask,)? $w[3].add($t)),
        ]
    };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn dots_avx512<const R: usize>(r: Rows) -> [[f32; DOTS]; R] {
    let mut totals = [_mm256_setzero_pd(); R];
    let mut t = 0;
    loop {
        let end = r.k.min(t + 16 * LANE_TERMS_512);
        let mut sums = [[_mm512_setzero_ps(); DOTS]; R];
        while t + 16 <= end {
            let w = loaded!(_mm512_loadu_ps, r.w, t);
            for (i, row) in sums.iter_mut().enumerate() {
                let v = _mm512_loadu_ps(r.a.add(i * r.a_rs + t));
                for (s, w) in row.iter_mut().zip(&w) {
                    *s = _mm512_fmadd_ps(v, *w, *s);
                }
            }
            t += 16;
        }
        if t < end {
            let mask = (1u16 << (end - t)) - 1;
            let w = loaded!(_mm512_maskz_loadu_ps, r.w, t, mask);
            for (i, row) in sums.iter_mut().enumerate() {
                let v = _mm512_maskz_loadu_ps(mask, r.a.add(i * r.a_rs + t));
                for (s, w) in row.iter_mut().zip(&w) {
                    *s = _mm512_fmadd_ps(v, *w, *s);
                }
            }
            t = end;
        }
        if r.k <= 16 * LANE_TERMS_512 {
            // One part: what f64 would carry on is its sum.
            let mut out = [[0f32; DOTS]; R];
            for (to, row) in out.iter_mut().zip(&sums) {
                _mm_storeu_ps(to.as_mut_ptr(), lanes_512(row));
            }
            return out;
        }
        for (total, row) in totals.iter_mut().zip(&sums) {
            *total = _mm256_add_pd(*total, _mm256_cvtps_pd(lanes_512(row)));
        }
        if t == r.k {
            return rounded(&totals);
        }
    }
}

/// Sums of the lanes of four vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn lanes_512(&[a, b, c, d]: &[__m512; DOTS]) -> __m128 {
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let (lo, hi) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
    // Each 128-bit part now holds a part of (a, b, c, d).
    let parts = _mm512_add_ps(_mm512_castpd_ps(lo), _mm512_castpd_ps(hi));
    let halves = _mm256_add_ps(
        _mm512_castps512_ps256(parts),
        _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(parts))),
    );
    _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves))
}

/// What a kernel of [`LANE_TERMS_512`] makes of the lanes of its parts.
///
/// # Safety
/// The machine must have AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn added_512<const R: usize>(parts: &[[[__m512; DOTS]; R]]) -> [[f32; DOTS]; R] {
    let mut totals = [_mm256_setzero_pd(); R];
    for part in parts {
        if parts.len() == 1 {
            let mut out = [[0f32; DOTS]; R];
            for (to, row) in out.iter_mut().zip(part) {
                _mm_storeu_ps(to.as_mut_ptr(), lanes_512(row));
            }
            return out;
        }
        for (total, row) in totals.iter_mut().zip(part) {
            *total = _mm256_add_pd(*total, _mm256_cvtps_pd(lanes_512(row)));
        }
    }
    rounded(&totals)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn rounded<const R: usize>(totals: &[__m256d; R]) -> [[f32; DOTS]; R] {
    let mut out = [[0f32; DOTS]; R];
    for (to, total) in out.iter_mut().zip(totals) {
        _mm_storeu_ps(to.as_mut_ptr(), _mm256_cvtpd_ps(*total));
    }
    out
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dots_avx2<const R: usize>(r: Rows) -> [[f32; DOTS]; R] {
    let mut totals = [_mm256_setzero_pd(); R];
    let mut t = 0;
    while t + 8 <= r.k {
        let end = r.k.min(t + 8 * LANE_TERMS_256);
        let mut sums = [[_mm256_setzero_ps(); DOTS]; R];
        while t + 8 <= end {
            let w = loaded!(_mm256_loadu_ps, r.w, t);
            for (i, row) in sums.iter_mut().enumerate() {
                let v = _mm256_loadu_ps(r.a.add(i * r.a_rs + t));
                for (s, w) in row.iter_mut().zip(&w) {
                    *s = _mm256_fmadd_ps(v, *w, *s);
                }
            }
            t += 8;
        }
        for (total, row) in totals.iter_mut().zip(&sums) {
            *total = _mm256_add_pd(*total, _mm256_cvtps_pd(lanes_256(row)));
        }
    }
    let mut out = rounded(&totals);
    for (i, row) in out.iter_mut().enumerate() {
        for (o, w) in row.iter_mut().zip(r.w) {
            let rest = (t..r.k).map(|t| *r.a.add(i * r.a_rs + t) * *w.add(t));
            *o += rest.sum::<f32>();
        }
    }
    out
}

/// Sums of the lanes of four vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn lanes_256(&[a, b, c, d]: &[__m256; DOTS]) -> __m128 {
    let ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
    let (lo, hi) = (_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
    let parts = _mm256_add_ps(_mm256_castpd_ps(lo), _mm256_castpd_ps(hi));
    _mm_add_ps(_mm256_castps256_ps128(parts), _mm256_extractf128_ps::<1>(parts))
}
