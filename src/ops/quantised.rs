//! Linear maps read from quantised weights, for a few rows at a time.
//!
//! One to a few rows, as when one text is continued, take no more time than reading the weights
//! does, and quantised ones are a fifth or a quarter of the bytes. Rows of the weight are decoded
//! into a buffer that stays in the nearest cache and meet the dot kernel there, so the product is
//! that of the decoded f32 weights to the bit. With more rows arithmetic is what takes the time, and
//! decoding would only add to it.
//!
//! Blocks of 32 values as ggml stores them (little-endian): Q4_0 holds f16 d and 16 bytes of
//! nibbles, `d (q - 8)`; Q4_1 f16 d and m and the nibbles, `d q + m`; Q8_0 f16 d and 32 signed bytes,
//! `d q`. The low nibbles are the first half of a block.

use candle_core::quantized::GgmlDType;
use candle_core::{Tensor, TensorId};
use std::sync::Arc;

/// Rows of x up to which reading quantised weights is faster.
pub const FEW: usize = 16;

/// Values of a block.
const BLOCK: usize = 32;

/// How a block is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Q4_0,
    Q4_1,
    Q8_0,
}

impl Kind {
    fn of(dtype: GgmlDType) -> Option<Self> {
        match dtype {
            GgmlDType::Q4_0 => Some(Kind::Q4_0),
            GgmlDType::Q4_1 => Some(Kind::Q4_1),
            GgmlDType::Q8_0 => Some(Kind::Q8_0),
            _ => None,
        }
    }

    /// Bytes of a block.
    fn bytes(self) -> usize {
        match self {
            Kind::Q4_0 => 18,
            Kind::Q4_1 => 20,
            Kind::Q8_0 => 34,
        }
    }
}

/// Bytes that a weight is read from, such as a mapped file.
pub type Source = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A quantised weight `(O, I)` where it was loaded from, beside the f32 tensor that it decodes to.
#[derive(Clone)]
pub struct Quantised {
    source: Source,
    /// Byte at which the first row begins.
    at: usize,
    kind: Kind,
    rows: usize,
    width: usize,
    /// Heads whose rows are stored as interleaved pairs; none: rows are in order.
    heads: Option<usize>,
    decoded: Option<TensorId>,
}

impl std::fmt::Debug for Quantised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ({}, {})", self.kind, self.rows, self.width)
    }
}

impl Quantised {
    /// A weight `(rows, width)` stored at byte `at` of `source`; none where this machine or the type
    /// has no kernel, or the bytes end too soon. `heads`: rows of each head are stored as interleaved
    /// pairs, (i, half) for (half, i).
    pub fn new(
        source: Source,
        at: usize,
        dtype: GgmlDType,
        (rows, width): (usize, usize),
        heads: Option<usize>,
    ) -> Option<Self> {
        let kind = Kind::of(dtype)?;
        let len = rows.checked_mul(width / BLOCK)?.checked_mul(kind.bytes())?;
        let whole = (*source).as_ref().len() >= at.checked_add(len)?;
        let even =
            heads.is_none_or(|h| h > 0 && rows.is_multiple_of(h) && (rows / h).is_multiple_of(2));
        let usable = kernel::here() && width % BLOCK == 0 && width >= super::matmul::MIN_DOTS;
        (whole && even && usable).then_some(Quantised {
            source,
            at,
            kind,
            rows,
            width,
            heads,
            decoded: None,
        })
    }

    /// Bound to the tensor that holds its decoded values: another one, such as a merged weight, is
    /// not served by it.
    pub fn of(mut self, decoded: &Tensor) -> Self {
        self.decoded = Some(decoded.id());
        self
    }

    /// Whether it stands for this weight.
    pub fn stands_for(&self, weight: &Tensor) -> bool {
        self.decoded == Some(weight.id())
    }

    /// The stored bytes of row `r` of the decoded weight.
    fn row(&self, r: usize) -> &[u8] {
        let stored = match self.heads {
            None => r,
            Some(heads) => {
                let per_head = self.rows / heads;
                let (head, i) = (r / per_head, r % per_head);
                let (half, pair) = (i / (per_head / 2), i % (per_head / 2));
                head * per_head + 2 * pair + half
            }
        };
        let len = self.width / BLOCK * self.kind.bytes();
        let from = self.at + stored * len;
        &(*self.source).as_ref()[from..from + len]
    }

    /// `x W'` of `x (n, I)`, `(n, O)`.
    pub fn product(&self, x: &[f32], n: usize) -> Vec<f32> {
        kernel::product(self, x, n)
    }
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use super::super::microkernel::{dots, dots_rows, Rows, DOTS};
    use super::super::simd::Simd;
    use super::super::Shared;
    use super::{Kind, Quantised, BLOCK};
    use rayon::prelude::*;
    use std::arch::x86_64::*;

    /// Whether this machine can run them.
    pub fn here() -> bool {
        Simd::here() >= Simd::Avx2
    }

    pub fn product(w: &Quantised, x: &[f32], n: usize) -> Vec<f32> {
        let (o, k) = (w.rows, w.width);
        assert_eq!(x.len(), n * k);
        let simd = Simd::here();
        let mut y = vec![0f32; n * o];
        let out = Shared(y.as_mut_ptr());
        let part = o.div_ceil(rayon::current_num_threads()).next_multiple_of(DOTS);
        let high = dots_rows(simd);
        (0..o.div_ceil(part)).into_par_iter().for_each(|task| {
            let mut decoded = vec![0f32; DOTS * k];
            for j in (task * part..o.min((task + 1) * part)).step_by(DOTS) {
                let live = DOTS.min(o - j);
                for (c, to) in decoded.chunks_exact_mut(k).take(live).enumerate() {
                    // SAFETY: the machine has the instructions (`here`).
                    unsafe { decode(w.kind, w.row(j + c), to) }
                }
                // Past the last row it is given again and left out of the output.
                let rows = std::array::from_fn(|c| decoded[c.min(live - 1) * k..].as_ptr());
                for i in (0..n).step_by(high) {
                    let block = Rows { k, a: x[i * k..].as_ptr(), a_rs: k, w: rows };
                    // SAFETY: all rows hold k values, and columns j.. are this task's alone.
                    unsafe {
                        dots(simd, high.min(n - i), block, |row, sums| {
                            for (c, s) in sums.into_iter().take(live).enumerate() {
                                *out.at((i + row) * o + j + c) = s;
                            }
                        });
                    }
                }
            }
        });
        y
    }

    /// A row of blocks as f32, by the same two roundings a value as ggml's reference.
    #[target_feature(enable = "avx2,f16c")]
    pub unsafe fn decode(kind: Kind, row: &[u8], to: &mut [f32]) {
        assert_eq!(row.len() / kind.bytes() * BLOCK, to.len());
        let blocks = row.chunks_exact(kind.bytes());
        for (block, to) in blocks.zip(to.chunks_exact_mut(BLOCK)) {
            let to = to.as_mut_ptr();
            let head = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
            let scales = _mm_cvtph_ps(_mm_cvtsi32_si128(head as i32)); // d, and m in Q4_1
            let d = _mm256_broadcastss_ps(scales);
            match kind {
                Kind::Q8_0 => {
                    for part in 0..4 {
                        let q = _mm_loadl_epi64(block.as_ptr().add(2 + 8 * part).cast());
                        let q = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
                        _mm256_storeu_ps(to.add(8 * part), _mm256_mul_ps(q, d));
                    }
                }
                Kind::Q4_0 | Kind::Q4_1 => {
                    let from = kind.bytes() - BLOCK / 2;
                    let bytes = _mm_loadu_si128(block.as_ptr().add(from).cast());
                    let low = _mm_set1_epi8(15);
                    let high = _mm_and_si128(_mm_srli_epi16::<4>(bytes), low);
                    let m = _mm256_broadcastss_ps(_mm_movehdup_ps(scales));
                    for (half, q) in [_mm_and_si128(bytes, low), high].into_iter().enumerate() {
                        for (part, q) in [q, _mm_srli_si128::<8>(q)].into_iter().enumerate() {
                            let q = _mm256_cvtepu8_epi32(q);
                            let v = match kind {
                                Kind::Q4_0 => {
                                    let q = _mm256_sub_epi32(q, _mm256_set1_epi32(8));
                                    _mm256_mul_ps(_mm256_cvtepi32_ps(q), d)
                                }
                                _ => _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(q), d), m),
                            };
                            _mm256_storeu_ps(to.add(16 * half + 8 * part), v);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod kernel {
    use super::Quantised;

    pub fn here() -> bool {
        false
    }

    pub fn product(_: &Quantised, _: &[f32], _: usize) -> Vec<f32> {
        unreachable!("built only where the kernels run")
    }
}

#[cfg(test)]
mod tests {
    use super::super::matmul::{product, View};
    use super::*;
    use crate::ops::check::random;
    use candle_core::quantized::QTensor;
    use candle_core::Device;

    /// A weight quantised by candle, and the values that candle decodes it to.
    fn weight(dtype: GgmlDType, (rows, width): (usize, usize), seed: u64) -> (Quantised, Vec<f32>) {
        let q = QTensor::quantize(random(seed, rows, width).as_tensor(), dtype).unwrap();
        let decoded = q.dequantize(&Device::Cpu).unwrap();
        let mut bytes = vec![7u8; 5]; // begins somewhere
        bytes.extend_from_slice(&q.data().unwrap());
        let w = Quantised::new(Arc::new(bytes), 5, dtype, (rows, width), None).unwrap();
        (w, decoded.flatten_all().unwrap().to_vec1().unwrap())
    }

    #[test]
    fn the_product_is_that_of_the_decoded_weights_to_the_bit() {
        if !kernel::here() {
            return;
        }
        for dtype in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            for (rows, width) in [(1, 64), (7, 96), (70, 576), (33, 1536)] {
                let (w, decoded) = weight(dtype, (rows, width), 3);
                for n in [1, 2, 5, 9] {
                    let x = random(4, n, width);
                    let x: Vec<f32> = x.flatten_all().unwrap().to_vec1().unwrap();
                    let (a, b) = (View::rows(&x, width), View::rows(&decoded, width).t());
                    let want = product((n, rows, width), a, b, 1.0);
                    let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                    assert!(bits(w.product(&x, n)) == bits(want), "{dtype:?} {rows} x {width}");
                }
            }
        }
    }

    #[test]
    fn rows_of_interleaved_heads_come_out_in_halves() {
        if !kernel::here() {
            return;
        }
        let (rows, width) = (16, 64);
        let (w, decoded) = weight(GgmlDType::Q8_0, (rows, width), 5);
        let heads = Quantised { heads: Some(2), ..w };
        // With x the first unit vector a product is the first column.
        let mut x = vec![0f32; width];
        x[0] = 1.0;
        let first = |r: usize| decoded[r * width];
        let want = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15].map(first);
        assert_eq!(heads.product(&x, 1), want);
    }

    #[test]
    fn it_stands_for_its_own_tensor_and_needs_all_its_bytes() {
        if !kernel::here() {
            return;
        }
        let (w, _) = weight(GgmlDType::Q4_1, (4, 64), 1);
        let (a, b) = (random(1, 4, 64), random(1, 4, 64));
        let w = w.of(&a);
        assert!(w.stands_for(&a) && w.stands_for(&a.clone()) && !w.stands_for(&b));
        let short: Source = Arc::new(vec![0u8; 4 * 2 * 20 - 1]);
        assert!(Quantised::new(short, 0, GgmlDType::Q4_1, (4, 64), None).is_none());
        let short: Source = Arc::new(vec![0u8; 4096]);
        for (rows, width) in [(usize::MAX, 64), (1 << 60, 1 << 10), (4, usize::MAX & !31)] {
            let q = Quantised::new(short.clone(), 0, GgmlDType::Q4_0, (rows, width), None);
            assert!(q.is_none(), "{rows} x {width}");
        }
        let odd: Source = Arc::new(vec![0u8; 4096]);
        assert!(Quantised::new(odd.clone(), 0, GgmlDType::Q4_1, (4, 40), None).is_none());
        assert!(Quantised::new(odd, 0, GgmlDType::Q6K, (4, 256), None).is_none());
    }
}
