//! Edits of chosen rows of `(N, D)`: what steering, ablation and swapping compute, differentiable.
//!
//! Three forms serve every intervention. Rows that are not chosen keep their bits, and so does a
//! chosen row whose edit comes to nothing. Inner products are summed in f64: an ablation must leave
//! a projection that is zero up to the rounding of the stream itself.

use super::clock::{clock, Op};
use super::math::fill_rows;
use super::simd::vectorised;
use super::{fused, rows_cols, values, with_values, Computed};
use candle_core::{bail, CpuStorage, CustomOp1, DType, Layout, Result, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// What happens to a chosen row x.
#[derive(Debug, Clone)]
pub enum RowEdit {
    /// `x + v`, v `(D)`.
    Add(Arc<Vec<f32>>),
    /// `x - sum_k (r_k . x - o_k) l_k`: factors `left (k, D)` and `right (k, D)`, offsets `(N, k)`.
    Remove {
        /// l, `(k, D)`.
        left: Arc<Vec<Vec<f32>>>,
        /// r, `(k, D)`.
        right: Arc<Vec<Vec<f32>>>,
        /// o, `(N, k)`.
        offsets: Vec<f64>,
    },
    /// The row of these values `(N, D)`.
    Replace(Arc<Vec<f32>>),
}

struct Edit {
    rows: Arc<Vec<bool>>,
    edit: RowEdit,
}

#[inline(always)]
fn inner(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum()
}

impl CustomOp1 for Edit {
    fn name(&self) -> &'static str {
        "row-edit"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Computed {
        let _clock = clock(Op::Edit);
        let (n, d) = rows_cols(l)?;
        let x = values(s, l)?;
        let out = fill_rows!(n, d, |span, chunk| {
            let first = span.start / d;
            chunk.copy_from_slice(&x[span]);
            for (k, row) in chunk.chunks_mut(d).enumerate() {
                let i = first + k;
                if !self.rows[i] {
                    continue;
                }
                match &self.edit {
                    RowEdit::Add(v) => row.iter_mut().zip(&**v).for_each(|(x, v)| *x += v),
                    RowEdit::Replace(v) => row.copy_from_slice(&v[i * d..(i + 1) * d]),
                    RowEdit::Remove { left, right, offsets } => {
                        remove(row, left, right, &offsets[i * left.len()..])
                    }
                }
            }
        });
        Ok((CpuStorage::F32(out), (n, d).into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (n, d) = grad.dims2()?;
        let edit = match &self.edit {
            RowEdit::Add(_) => return Ok(Some(grad.clone())),
            RowEdit::Replace(_) => RowEdit::Replace(Arc::new(vec![0.0; n * d])),
            // The transpose of I - L'R is I - R'L.
            RowEdit::Remove { left, right, .. } => RowEdit::Remove {
                left: right.clone(),
                right: left.clone(),
                offsets: vec![0.0; n * left.len()],
            },
        };
        edit_rows(grad, &self.rows, edit).map(Some)
    }
}

#[inline(always)]
fn remove(row: &mut [f32], left: &[Vec<f32>], right: &[Vec<f32>], offsets: &[f64]) {
    let by: Vec<f64> = right.iter().zip(offsets).map(|(r, o)| inner(r, row) - o).collect();
    for (l, by) in left.iter().zip(by).filter(|(_, by)| *by != 0.0) {
        row.iter_mut().zip(l).for_each(|(x, l)| *x = (*x as f64 - by * *l as f64) as f32);
    }
}

fn check(n: usize, d: usize, rows: &[bool], edit: &RowEdit) -> Result<()> {
    let fits = match edit {
        RowEdit::Add(v) => v.len() == d,
        RowEdit::Replace(v) => v.len() == n * d,
        RowEdit::Remove { left, right, offsets } => {
            let wide = |m: &[Vec<f32>]| m.iter().all(|v| v.len() == d);
            let k = left.len();
            right.len() == k && offsets.len() == n * k && wide(left) && wide(right)
        }
    };
    if rows.len() != n || !fits {
        bail!("an edit of rows does not fit a tensor of {n} x {d}");
    }
    Ok(())
}

/// `x (N, D)` with its chosen `rows` edited.
pub fn edit_rows(x: &Tensor, rows: &Arc<Vec<bool>>, edit: RowEdit) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    check(n, d, rows, &edit)?;
    if !fused(x) {
        return edit_rows_twin(x, rows, &edit);
    }
    x.contiguous()?.apply_op1(Edit { rows: rows.clone(), edit })
}

/// The same from plain operations.
pub fn edit_rows_twin(x: &Tensor, rows: &[bool], edit: &RowEdit) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    let on = |v: &[f32], shape: (usize, usize)| -> Result<Tensor> {
        Tensor::from_slice(v, shape, x.device())?.to_dtype(x.dtype())
    };
    let chosen: Vec<f32> = rows.iter().map(|&r| f32::from(u8::from(r))).collect();
    let chosen = on(&chosen, (n, 1))?;
    match edit {
        RowEdit::Add(v) => x + chosen.broadcast_mul(&on(v, (1, d))?)?,
        RowEdit::Replace(v) => {
            let kept = x.broadcast_mul(&chosen.affine(-1.0, 1.0)?)?;
            kept + on(v, (n, d))?.broadcast_mul(&chosen)?
        }
        RowEdit::Remove { left, right, offsets } => {
            let k = left.len();
            let (left, right) = (on(&left.concat(), (k, d))?, on(&right.concat(), (k, d))?);
            let offsets: Vec<f32> = offsets.iter().map(|&o| o as f32).collect();
            let by = (x.matmul(&right.t()?)? - on(&offsets, (n, k))?)?; // (N, k)
            x - by.broadcast_mul(&chosen)?.matmul(&left)?
        }
    }
}

/// Coordinate of each row of `x (N, D)` along `u (D)`, in f64.
pub fn along(x: &Tensor, u: &[f32]) -> Result<Vec<f64>> {
    let (_, d) = x.dims2()?;
    if u.len() != d {
        bail!("a direction of {} dimensions meets rows of {d}", u.len());
    }
    with_values(&x.to_dtype(DType::F32)?, |x| {
        Ok(x.par_chunks(d).map(|row| vectorised!(inner(u, row))).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{random, same};

    const N: usize = 70;
    const D: usize = 12;

    fn rows() -> Arc<Vec<bool>> {
        Arc::new((0..N).map(|i| i % 3 != 0).collect())
    }

    fn vectors(seed: u64, k: usize) -> Arc<Vec<Vec<f32>>> {
        Arc::new(random(seed, k, D).to_vec2().unwrap())
    }

    fn edits() -> Vec<RowEdit> {
        let flat = |seed| Arc::new(random(seed, N, D).flatten_all().unwrap().to_vec1().unwrap());
        vec![
            RowEdit::Add(Arc::new(vectors(1, 1)[0].clone())),
            RowEdit::Remove {
                left: vectors(2, 3),
                right: vectors(3, 3),
                offsets: (0..3 * N).map(|i| (i % 7) as f64 * 0.1).collect(),
            },
            RowEdit::Replace(flat(4)),
        ]
    }

    #[test]
    fn values_and_gradients_agree_with_plain_operations() {
        let x = random(5, N, D);
        for edit in edits() {
            let twin = edit_rows_twin(&x, &rows(), &edit).unwrap();
            same(&edit_rows(&x, &rows(), edit).unwrap(), &twin, &[&x], 1e-5);
        }
    }

    #[test]
    fn rows_that_are_not_chosen_and_edits_of_nothing_keep_their_bits() {
        let x = random(5, N, D);
        let bits = |t: &Tensor| -> Vec<Vec<u32>> {
            let rows: Vec<Vec<f32>> = t.to_vec2().unwrap();
            let row = |r: &Vec<f32>| r.iter().map(|v| v.to_bits()).collect();
            rows.iter().map(row).collect()
        };
        let before = bits(&x);
        for edit in edits() {
            let after = bits(&edit_rows(&x, &rows(), edit).unwrap());
            for (i, (a, b)) in before.iter().zip(&after).enumerate() {
                assert_eq!(a == b, i % 3 == 0, "row {i}");
            }
        }
        let u = vectors(6, 1);
        let own = RowEdit::Remove { offsets: along(&x, &u[0]).unwrap(), left: u.clone(), right: u };
        assert_eq!(before, bits(&edit_rows(&x, &rows(), own).unwrap()));
    }
}
