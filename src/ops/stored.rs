//! Frozen matrices that stay as their file stores them.
//!
//! The bytes are those of a mapped file. A product decodes a panel of the matrix at a time into a buffer
//! that stays in a core's cache, and multiplies it there by the kernels of f32 matrices; no arithmetic of
//! those depends on where a panel ends, so every product, forward and backward, is that of the decoded
//! matrix to the bit. Each value is decoded once a product.

use super::blocks::Encoding;
use super::matmul::{gemm_raw, product, View, ALONE, CACHED, NEAR, PANEL, SUM_BLOCK};
use super::Shared;
#[cfg(target_arch = "x86_64")]
use super::{few, matmul::MIN_DOTS, microkernel::DOTS, simd::Simd};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// Rows of x up to which reading what is stored takes less time than reading f32 values does.
pub const FEW: usize = 16;

/// Rows of a panel at least: as many as the kernels take at once.
const LEAST: usize = 4;

/// Values that a task decodes in passing over a whole matrix.
const PART: usize = 1 << 18;

/// Bytes that a matrix is read from, such as a mapped file.
pub type Source = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A matrix `(O, I)` in a file.
#[derive(Clone)]
pub struct Stored {
    source: Source,
    /// Byte at which the first row begins.
    at: usize,
    encoding: Encoding,
    rows: usize,
    width: usize,
    /// Heads whose rows are stored as interleaved pairs; none: rows are in order.
    heads: Option<usize>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {})", self.encoding.name(), self.rows, self.width)
    }
}

thread_local! {
    /// A decoded panel.
    static DECODED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Gives `f` a buffer of this thread; `f` must not wait for tasks of others, which may want it too.
fn buffered<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    DECODED.with_borrow_mut(|held| {
        if held.len() < len {
            held.resize(len, 0.0);
        }
        f(&mut held[..len])
    })
}

impl Stored {
    /// A matrix `(rows, width)` stored at byte `at` of `source`; none where the bytes end too soon, a row
    /// is not of whole blocks or rows do not divide into heads. `heads`: rows of each head are stored as
    /// interleaved pairs, (i, half) for (half, i).
    pub fn new(
        source: Source,
        at: usize,
        encoding: Encoding,
        (rows, width): (usize, usize),
        heads: Option<usize>,
    ) -> Option<Self> {
        let (values, size) = encoding.block();
        let len = rows.checked_mul(width / values)?.checked_mul(size)?;
        let whole = (*source).as_ref().len() >= at.checked_add(len)?;
        let even =
            heads.is_none_or(|h| h > 0 && rows.is_multiple_of(h) && (rows / h).is_multiple_of(2));
        let usable = whole && even && rows > 0 && width > 0 && width.is_multiple_of(values);
        usable.then_some(Stored { source, at, encoding, rows, width, heads })
    }

    /// `(O, I)`.
    pub fn dims(&self) -> (usize, usize) {
        (self.rows, self.width)
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes of a row.
    fn row_bytes(&self) -> usize {
        let (values, size) = self.encoding.block();
        self.width / values * size
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &(*self.source).as_ref()[self.at..self.at + self.rows * self.row_bytes()]
    }

    /// The bytes of a row.
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
        &self.bytes()[stored * self.row_bytes()..][..self.row_bytes()]
    }

    /// Decodes a part of rows, `to (rows, columns)`; columns are of whole blocks.
    fn decode(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        let (values, size) = self.encoding.block();
        let part = columns.start / values * size..columns.end / values * size;
        for (r, to) in rows.zip(to.chunks_exact_mut(columns.len())) {
            self.encoding.decode(&self.row(r)[part.clone()], to);
        }
    }

    /// The values themselves, where they lie as this machine has them in memory.
    fn in_place(&self) -> Option<&[f32]> {
        if self.encoding != Encoding::F32 || self.heads.is_some() || cfg!(target_endian = "big") {
            return None;
        }
        // SAFETY: any four bytes are an f32.
        let (before, values, after) = unsafe { self.bytes().align_to() };
        (before.is_empty() && after.is_empty()).then_some(values)
    }

    /// The values themselves in bf16, where that is what is stored, in order.
    pub fn halves(&self) -> Option<&[half::bf16]> {
        if self.encoding != Encoding::Bf16 || self.heads.is_some() || cfg!(target_endian = "big") {
            return None;
        }
        // SAFETY: any two bytes are a bf16.
        let (before, values, after) = unsafe { self.bytes().align_to() };
        (before.is_empty() && after.is_empty()).then_some(values)
    }

    /// All values, `(O, I)`.
    pub fn values(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.rows * self.width];
        let high = (PART / self.width).max(1);
        out.par_chunks_mut(high * self.width).enumerate().for_each(|(part, to)| {
            let first = part * high;
            self.decode(first..first + to.len() / self.width, 0..self.width, to);
        });
        out
    }

    /// Values of chosen rows, `(rows, I)`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn gather(&self, rows: &[u32]) -> Vec<f32> {
        let mut out = vec![0f32; rows.len() * self.width];
        out.par_chunks_mut(self.width).zip(rows).for_each(|(to, &r)| {
            assert!((r as usize) < self.rows, "row {r} of {}", self.rows);
            self.decode(r as usize..r as usize + 1, 0..self.width, to);
        });
        out
    }

    /// What `f` finds in the first part in which it finds anything; it is given the place of a part's
    /// first value among all, and the part's values, whole rows.
    pub fn find<R: Send>(&self, f: impl Fn(usize, &[f32]) -> Option<R> + Sync) -> Option<R> {
        let high = (PART / self.width).max(1);
        (0..self.rows.div_ceil(high)).into_par_iter().find_map_first(|part| {
            let rows = part * high..self.rows.min((part + 1) * high);
            let first = rows.start * self.width;
            let mut values = vec![0f32; rows.len() * self.width];
            self.decode(rows, 0..self.width, &mut values);
            f(first, &values)
        })
    }

    /// `x W'` of `x (n, I)`, `(n, O)`.
    pub fn product(&self, x: &[f32], n: usize) -> Vec<f32> {
        let (o, k) = self.dims();
        if let Some(w) = self.in_place() {
            return product((n, o, k), View::rows(x, k), View::rows(w, k).t(), 1.0);
        }
        #[cfg(target_arch = "x86_64")]
        if self.is_read_by_few(n) {
            return self.product_of_few(x, n);
        }
        let high = match n {
            ..=FEW => (NEAR / k).max(LEAST) / LEAST * LEAST,
            _ => (CACHED / k).max(PANEL) / PANEL * PANEL,
        };
        filled(n, o, k, PANEL.min(high), |out, part| {
            buffered(high.min(part.len()) * k, |panel| {
                for j in part.clone().step_by(high) {
                    let rows = j..part.end.min(j + high);
                    let panel = &mut panel[..rows.len() * k];
                    self.decode(rows.clone(), 0..k, panel);
                    let (x, w) = (View::rows(x, k), View::rows(panel, k).t());
                    // SAFETY: these columns of the output are this task's alone.
                    unsafe {
                        gemm_raw((n, rows.len(), k), out.at(j), o, x, w, 1.0, false, false);
                    }
                }
            });
        })
    }

    /// Whether `n` rows are multiplied by the kernels of [`few`]: fewer terms than those of dot products have
    /// another order in [`super::matmul`].
    #[cfg(target_arch = "x86_64")]
    fn is_read_by_few(&self, n: usize) -> bool {
        let fits = (1..=few::MOST).contains(&n) && (MIN_DOTS..=few::LONGEST).contains(&self.width);
        fits && few::serves(self.encoding) && Simd::here() >= Simd::Avx512
    }

    /// [`Stored::product`] by the kernels of [`few`].
    #[cfg(target_arch = "x86_64")]
    fn product_of_few(&self, x: &[f32], n: usize) -> Vec<f32> {
        let (o, k) = self.dims();
        filled(n, o, k, DOTS, |out, part| {
            for j in part.clone().step_by(DOTS) {
                // Past the last row it is given again and left out of the output.
                let w = std::array::from_fn(|c| self.row((j + c).min(o - 1)));
                let live = DOTS.min(part.end - j);
                // SAFETY: the machine has AVX-512, and these columns of the output are this task's alone.
                unsafe {
                    few::dots(self.encoding, x, k, w, |i, sums| {
                        let to = out.at(i * o + j);
                        sums.iter().take(live).enumerate().for_each(|(c, s)| *to.add(c) = *s);
                    });
                }
            }
        })
    }

    /// `g W` of `g (n, O)`, `(n, I)`.
    pub fn back(&self, g: &[f32], n: usize) -> Vec<f32> {
        let (o, i) = self.dims();
        if let Some(w) = self.in_place() {
            return product((n, i, o), View::rows(g, o), View::rows(w, i), 1.0);
        }
        let wide = CACHED / SUM_BLOCK;
        let blocks = self.encoding.block().0.max(PANEL);
        filled(n, i, o, blocks, |out, part| {
            buffered(SUM_BLOCK.min(o) * wide.min(part.len()), |panel| {
                for j in part.clone().step_by(wide) {
                    let columns = j..part.end.min(j + wide);
                    // As many terms at a time as one sum of the kernels has.
                    for from in (0..o).step_by(SUM_BLOCK) {
                        let rows = from..o.min(from + SUM_BLOCK);
                        let dims = (n, columns.len(), rows.len());
                        let panel = &mut panel[..dims.1 * dims.2];
                        self.decode(rows, columns.clone(), panel);
                        let g = View { data: &g[from..], rs: o, cs: 1 };
                        let w = View::rows(panel, dims.1);
                        // SAFETY: these columns of the output are this task's alone.
                        unsafe { gemm_raw(dims, out.at(j), i, g, w, 1.0, from > 0, false) }
                    }
                }
            });
        })
    }
}

/// An output `(n, wide)` that `part` fills: the columns that it is given, multiples of `unit` in number but
/// for the last, each dealt out once. Sums have `k` terms.
fn filled(
    n: usize,
    wide: usize,
    k: usize,
    unit: usize,
    part: impl Fn(Shared, Range<usize>) + Sync,
) -> Vec<f32> {
    let threads = if n * wide * k < ALONE { 1 } else { rayon::current_num_threads() };
    let width = wide.div_ceil(threads).next_multiple_of(unit);
    let mut out: Vec<f32> = Vec::with_capacity(n * wide);
    if n > 0 {
        let to = Shared(out.as_mut_ptr());
        let tasks = 0..wide.div_ceil(width);
        tasks.into_par_iter().for_each(|t| part(to, t * width..wide.min((t + 1) * width)));
    }
    // SAFETY: the parts cover all columns, and a product writes a value before it reads it.
    unsafe { out.set_len(n * wide) };
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::blocks::tests::{sample, sampled};
    use super::*;
    use crate::ops::check::random;

    /// A matrix of blocks drawn at random, behind a few other bytes.
    pub fn matrix(encoding: Encoding, (rows, width): (usize, usize)) -> Stored {
        let (some, _) = sample(encoding);
        let (values, size) = encoding.block();
        let mut bytes = vec![7u8; 5];
        for block in 0..rows * width / values {
            let at = block * 7 % (some.len() / size) * size;
            bytes.extend_from_slice(&some[at..at + size]);
        }
        Stored::new(Arc::new(bytes), 5, encoding, (rows, width), None).unwrap()
    }

    fn vector(seed: u64, rows: usize, width: usize) -> Vec<f32> {
        random(seed, rows, width).flatten_all().unwrap().to_vec1().unwrap()
    }

    fn bits(v: Vec<f32>) -> Vec<u32> {
        v.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn products_both_ways_are_those_of_the_decoded_matrix_to_the_bit() {
        for encoding in sampled() {
            let narrow =
                (encoding.block().0 == 32).then_some([(5, 32), (6, 64)]).into_iter().flatten();
            for (o, i) in [(7, 256), (150, 512), (33, 1536)].into_iter().chain(narrow) {
                let w = matrix(encoding, (o, i));
                let decoded = w.values();
                for n in [1, 2, 3, 4, 5, 16, 17, 300] {
                    let (x, g) = (vector(4, n, i), vector(5, n, o));
                    let (xv, wv) = (View::rows(&x, i), View::rows(&decoded, i));
                    let want = product((n, o, i), xv, wv.t(), 1.0);
                    let name = encoding.name();
                    assert!(bits(w.product(&x, n)) == bits(want), "{name} {o} x {i}, {n} rows");
                    let want = product((n, i, o), View::rows(&g, o), wv, 1.0);
                    assert!(bits(w.back(&g, n)) == bits(want), "{name} {o} x {i}, {n} rows, back");
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let w = matrix(Encoding::Q4K, (300, 768));
        let (x, g) = (vector(1, 40, 768), vector(2, 40, 300));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (bits(w.product(&x, 40)), bits(w.back(&g, 40))))
        };
        let one = run(1);
        assert!([2, 3, 7].into_iter().all(|threads| run(threads) == one));
    }

    #[test]
    fn plain_numbers_of_any_width_and_place_are_multiplied() {
        for at in [4, 5] {
            let values = vector(3, 9, 37);
            let mut bytes = vec![0; at];
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            let w = Stored::new(Arc::new(bytes), at, Encoding::F32, (9, 37), None).unwrap();
            let x = vector(4, 20, 37);
            let (xv, wv) = (View::rows(&x, 37), View::rows(&values, 37));
            assert_eq!(w.product(&x, 20), product((20, 9, 37), xv, wv.t(), 1.0));
            let g = vector(5, 20, 9);
            assert_eq!(w.back(&g, 20), product((20, 37, 9), View::rows(&g, 9), wv, 1.0));
        }
    }

    #[test]
    fn rows_are_gathered_and_searched_as_they_are_decoded() {
        let w = matrix(Encoding::Q6K, (600, 512));
        let all = w.values();
        let want: Vec<f32> =
            [599, 0, 7].iter().flat_map(|r| &all[r * 512..][..512]).copied().collect();
        assert_eq!(w.gather(&[599, 0, 7]), want);
        let last = all.len() - 1;
        let found = w.find(|at, values| (at + values.len() > last).then(|| values[last - at]));
        assert_eq!(found, Some(all[last]));
        assert_eq!(
            w.find(|at, values| values.iter().position(|v| *v == all[900]).map(|i| at + i)),
            all.iter().position(|v| *v == all[900])
        );
    }

    #[test]
    fn rows_of_interleaved_heads_come_out_in_halves() {
        let plain = matrix(Encoding::Q8_0, (16, 64));
        let decoded = plain.values();
        let heads = Stored { heads: Some(2), ..plain };
        let order = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];
        let want: Vec<f32> = order.iter().flat_map(|r| &decoded[r * 64..][..64]).copied().collect();
        assert_eq!(heads.values(), want);
        assert_eq!(heads.gather(&[4]), decoded[64..128]);
        // With x the first unit vector a product is the first column.
        let mut x = vec![0f32; 64];
        x[0] = 1.0;
        assert_eq!(heads.product(&x, 1), order.map(|r| decoded[r * 64]));
        let mut g = vec![0f32; 16];
        g[4] = 1.0;
        assert_eq!(heads.back(&g, 1), decoded[64..128]);
    }

    #[test]
    fn a_matrix_needs_all_its_bytes_whole_blocks_and_even_heads() {
        let of = |len: usize, encoding, dims, heads| {
            Stored::new(Arc::new(vec![0u8; len]), 0, encoding, dims, heads).is_some()
        };
        let len = 4 * 2 * 20;
        assert!(of(len, Encoding::Q4_1, (4, 64), None));
        assert!(!of(len - 1, Encoding::Q4_1, (4, 64), None));
        assert!(!of(len, Encoding::Q4_1, (4, 40), None));
        assert!(of(len, Encoding::Q4_1, (4, 64), Some(2)));
        assert!(!of(len, Encoding::Q4_1, (4, 64), Some(3)));
        assert!(!of(len, Encoding::Q4_1, (4, 64), Some(4)));
        for dims in [(usize::MAX, 64), (1 << 60, 1 << 10), (4, usize::MAX & !255)] {
            assert!(!of(4096, Encoding::Q4K, dims, None), "{dims:?}");
        }
    }
}
