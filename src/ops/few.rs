//! Products of few rows with what a file stores in whole numbers, decoded into registers.
//!
//! A panel that is decoded into a cache pays where many rows pass by; of one row the decoding is most of the
//! work, so that here each group of 32 values is multiplied as soon as it is decoded. Terms are added in the
//! order of [`super::microkernel::dots`], so that results are its bits.

use super::blocks::{groups, Encoding};
use super::microkernel::{added_512, DOTS, LANE_TERMS_512};
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Rows of x at most.
pub(super) const MOST: usize = 4;

/// Groups of 32 values whose sums are added up before they are carried on.
const PART: usize = LANE_TERMS_512 / 2;

/// Parts of a row at most.
const PARTS: usize = 64;

/// Values of a row at most.
pub(super) const LONGEST: usize = PARTS * PART * 32;

/// Whether decoding into registers pays: scales of six bits, worked out for four rows at once, leave too few
/// registers.
pub(super) fn serves(encoding: Encoding) -> bool {
    !encoding.is_plain() && !matches!(encoding, Encoding::Q4K | Encoding::Iq4Xs)
}

/// `to(i, [sum_t x[i][t] w[j][t] for j])` for each row of x, 1 to [`MOST`], all of `k` values.
///
/// # Safety
/// The machine must have AVX-512 as [`super::simd::Simd::Avx512`] means it.
pub(super) unsafe fn dots(
    encoding: Encoding,
    x: &[f32],
    k: usize,
    w: [&[u8]; DOTS],
    mut to: impl FnMut(usize, [f32; DOTS]),
) {
    macro_rules! by {
        ($rows:literal) => {
            sums::<$rows>(encoding, x, k, w).into_iter().enumerate().for_each(|(i, s)| to(i, s))
        };
    }
    match x.len() / k {
        1 => by!(1),
        2 => by!(2),
        3 => by!(3),
        _ => by!(4),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt,movbe")]
unsafe fn sums<const R: usize>(
    encoding: Encoding,
    x: &[f32],
    k: usize,
    w: [&[u8]; DOTS],
) -> [[f32; DOTS]; R] {
    // (rows of x, rows of w)
    type Lanes<const R: usize> = [[__m512; DOTS]; R];
    let mut sums: Lanes<R> = [[_mm512_setzero_ps(); DOTS]; R];
    let parts = k.div_ceil(32 * PART);
    let mut all = [const { MaybeUninit::<Lanes<R>>::uninit() }; PARTS];
    let mut next = [PART; DOTS];
    groups(
        encoding,
        w,
        #[inline(always)]
        |j, c, q, d, m| {
            if c == next[j] {
                let part: *mut Lanes<R> = all[c / PART - 1].as_mut_ptr();
                for (i, sum) in sums.iter_mut().enumerate() {
                    (*part)[i][j] = sum[j];
                    sum[j] = _mm512_setzero_ps();
                }
                next[j] += PART;
            }
            for half in 0..2 {
                let whole = _mm_loadu_si128(q.as_ptr().add(16 * half).cast());
                let v = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(whole));
                let v = _mm512_mul_ps(v, _mm512_set1_ps(d[half]));
                let v = _mm512_sub_ps(v, _mm512_set1_ps(m[half]));
                for (i, sum) in sums.iter_mut().enumerate() {
                    let x = _mm512_loadu_ps(x.as_ptr().add(i * k + 32 * c + 16 * half));
                    sum[j] = _mm512_fmadd_ps(x, v, sum[j]);
                }
            }
        },
    );
    all[parts - 1].write(sums);
    added_512(std::slice::from_raw_parts(all.as_ptr().cast(), parts))
}
