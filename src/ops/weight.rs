//! The frozen matrix of a linear map, of the embeddings or of the head: f32 values in memory, or what a
//! file stores, decoded as it is read.

use super::matmul::{gemm_into, product, View};
use super::stored::{Stored, FEW};
use super::{bf16, with_all, with_values};
use candle_core::{bail, CpuStorage, DType, Device, Result, Storage, Tensor};
use std::sync::Arc;

/// `b a` times a scale, beside a matrix: `a (r, I)`, `b (O, r)`.
#[derive(Debug, Clone)]
pub struct LowRank {
    a: Tensor,
    b: Tensor,
    scale: f32,
}

/// A frozen matrix `(O, I)`. Cloning shares the values.
#[derive(Debug, Clone)]
pub enum Weight {
    /// Values in memory.
    Dense {
        /// In f32 on a CPU.
        values: Tensor,
        /// What they were decoded from, which for few rows is sooner read.
        few: Option<Arc<Stored>>,
    },
    /// Bytes of a file.
    Stored {
        /// They.
        stored: Arc<Stored>,
        /// What was added to them, which stays beside.
        added: Option<Arc<LowRank>>,
        /// Products are in bf16, which is what the file stores.
        halves: bool,
    },
}

impl From<Tensor> for Weight {
    fn from(values: Tensor) -> Self {
        Weight::Dense { values, few: None }
    }
}

impl From<Stored> for Weight {
    fn from(stored: Stored) -> Self {
        Weight::Stored { stored: Arc::new(stored), added: None, halves: false }
    }
}

impl Weight {
    /// `(O, I)`.
    ///
    /// # Errors
    /// Where it is no matrix.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Weight::Dense { values, .. } => values.dims2(),
            Weight::Stored { stored, .. } => Ok(stored.dims()),
        }
    }

    /// Number of values.
    pub fn elem_count(&self) -> usize {
        match self {
            Weight::Dense { values, .. } => values.elem_count(),
            Weight::Stored { stored, .. } => stored.dims().0 * stored.dims().1,
        }
    }

    /// The type of the numbers that it computes in.
    pub fn dtype(&self) -> DType {
        match self {
            Weight::Dense { values, .. } => values.dtype(),
            Weight::Stored { halves: true, .. } => DType::BF16,
            Weight::Stored { .. } => DType::F32,
        }
    }

    /// Where it is.
    pub fn device(&self) -> &Device {
        match self {
            Weight::Dense { values, .. } => values.device(),
            Weight::Stored { .. } => &Device::Cpu,
        }
    }

    /// Bytes of its values in memory.
    pub fn bytes(&self) -> u64 {
        match self {
            Weight::Dense { values, .. } => {
                (values.elem_count() * values.dtype().size_in_bytes()) as u64
            }
            Weight::Stored { .. } => 0,
        }
    }

    /// The bytes of a file that it reads.
    pub fn stored(&self) -> Option<&Arc<Stored>> {
        match self {
            Weight::Dense { few, .. } => few.as_ref(),
            Weight::Stored { stored, .. } => Some(stored),
        }
    }

    /// Whether it is the very same matrix in memory.
    pub fn is(&self, other: &Weight) -> bool {
        match (self, other) {
            (Weight::Dense { values: a, .. }, Weight::Dense { values: b, .. }) => a.id() == b.id(),
            (Weight::Stored { stored: a, .. }, Weight::Stored { stored: b, .. }) => {
                Arc::ptr_eq(a, b)
            }
            _ => false,
        }
    }

    /// Its values `(O, I)`.
    ///
    /// # Errors
    /// Of memory.
    pub fn tensor(&self) -> Result<Tensor> {
        match self {
            Weight::Dense { values, .. } => Ok(values.clone()),
            Weight::Stored { stored, added, .. } => {
                let w = Tensor::from_vec(stored.values(), stored.dims(), &Device::Cpu)?;
                match added {
                    None => Ok(w),
                    Some(l) => w + (l.b.matmul(&l.a)? * l.scale as f64)?,
                }
            }
        }
    }

    /// The same for products in bf16 on a CPU: what a file stores in bf16 stays there, all else is rounded.
    ///
    /// # Errors
    /// Of memory.
    pub fn in_bf16(&self) -> Result<Weight> {
        match self {
            Weight::Stored { stored, added, .. } if stored.halves().is_some() => {
                Ok(Weight::Stored { stored: stored.clone(), added: added.clone(), halves: true })
            }
            other => Ok(other.tensor()?.to_dtype(DType::BF16)?.into()),
        }
    }

    /// Its rows of these numbers, `(rows, I)`, as those of embeddings.
    ///
    /// # Errors
    /// Where there is no such row.
    pub fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match self {
            Weight::Dense { values, .. } => {
                let ids = Tensor::new(ids, &Device::Cpu)?.to_device(values.device())?;
                values.index_select(&ids, 0)
            }
            Weight::Stored { stored, .. } => {
                let (o, i) = stored.dims();
                if let Some(id) = ids.iter().find(|&&id| id as usize >= o) {
                    bail!("row {id} of a matrix of {o}");
                }
                Tensor::from_vec(stored.gather(ids), (ids.len(), i), &Device::Cpu)
            }
        }
    }

    /// `x W'` of `x (n, I)`, `(n, O)`: where W is in bf16 x is rounded to it too.
    pub(crate) fn product(&self, x: &[f32], n: usize) -> Result<Vec<f32>> {
        match self {
            Weight::Dense { few: Some(stored), .. } if n <= FEW => Ok(stored.product(x, n)),
            Weight::Dense { values, .. } => {
                let (o, i) = values.dims2()?;
                match in_bf16(values, |w| bf16::product(x, w, (o, i)))? {
                    Some(y) => Ok(y),
                    None => with_values(values, |w| {
                        Ok(product((n, o, i), View::rows(x, i), View::rows(w, i).t(), 1.0))
                    }),
                }
            }
            Weight::Stored { stored, added, halves } => {
                let mut y = match stored.halves().filter(|_| *halves) {
                    Some(w) => bf16::product(x, w, stored.dims()),
                    None => stored.product(x, n),
                };
                if let Some(l) = added {
                    let ((r, _), (o, _)) = (l.a.dims2()?, l.b.dims2()?);
                    with_all([&l.a, &l.b], |[a, b]| {
                        add_branch((n, o, r), &mut y, x, a, b, l.scale);
                        Ok(())
                    })?;
                }
                Ok(y)
            }
        }
    }

    /// `g W` of `g (n, O)`, `(n, I)`.
    pub(crate) fn back(&self, g: &[f32], n: usize) -> Result<Vec<f32>> {
        match self {
            Weight::Dense { values, .. } => {
                let (o, i) = values.dims2()?;
                match in_bf16(values, |w| bf16::back(g, w, (o, i)))? {
                    Some(dx) => Ok(dx),
                    None => with_values(values, |w| {
                        Ok(product((n, i, o), View::rows(g, o), View::rows(w, i), 1.0))
                    }),
                }
            }
            Weight::Stored { stored, added, halves } => {
                let mut dx = match stored.halves().filter(|_| *halves) {
                    Some(w) => bf16::back(g, w, stored.dims()),
                    None => stored.back(g, n),
                };
                if let Some(l) = added {
                    let ((r, i), (o, _)) = (l.a.dims2()?, l.b.dims2()?);
                    with_all([&l.a, &l.b], |[a, b]| {
                        let gb = product((n, r, o), View::rows(g, o), View::rows(b, r), l.scale);
                        let (gb, a) = (View::rows(&gb, r), View::rows(a, i));
                        gemm_into((n, i, r), &mut dx, gb, a, 1.0, true);
                        Ok(())
                    })?;
                }
                Ok(dx)
            }
        }
    }

    /// `W + s b a`, of `a (r, I)` and `b (O, r)`: in memory another matrix, of a file the product beside what
    /// is stored. None where what is added is not finite.
    ///
    /// # Errors
    /// Factors of other shapes.
    pub fn plus(&self, (a, b): (&Tensor, &Tensor), scale: f32) -> Result<Option<Weight>> {
        let finite = |t: &Tensor| -> Result<bool> {
            Ok(t.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?.is_finite())
        };
        match self {
            Weight::Dense { values, .. } => {
                let delta = (b.matmul(a)? * scale as f64)?;
                if !finite(&delta)? {
                    return Ok(None);
                }
                // Rounded once: a change may be smaller than what bf16 tells apart.
                let sum = (values.to_dtype(DType::F32)? + delta.to_device(values.device())?)?;
                Ok(Some(sum.to_dtype(values.dtype())?.into()))
            }
            Weight::Stored { stored, added, halves } => {
                let ((r, i), (o, also)) = (a.dims2()?, b.dims2()?);
                if (o, i) != stored.dims() || r != also {
                    bail!("factors ({o}, {also}) and ({r}, {i}) for a matrix {:?}", stored.dims());
                }
                // A bound on every entry of the product, and on its sum.
                let bound = (b.abs()?.sum_all()? * a.abs()?.sum_all()?)?;
                if !finite(&(bound * scale as f64)?)? {
                    return Ok(None);
                }
                let added = match added {
                    None => LowRank { a: a.clone(), b: b.clone(), scale },
                    Some(l) => LowRank {
                        a: Tensor::cat(&[&l.a, a], 0)?,
                        b: Tensor::cat(&[&(&l.b * l.scale as f64)?, &(b * scale as f64)?], 1)?,
                        scale: 1.0,
                    },
                };
                let (stored, added) = (stored.clone(), Some(Arc::new(added)));
                Ok(Some(Weight::Stored { stored, added, halves: *halves }))
            }
        }
    }
}

/// What `f` makes of a bf16 matrix on the CPU; none of any other.
fn in_bf16<R>(w: &Tensor, f: impl FnOnce(&[half::bf16]) -> R) -> Result<Option<R>> {
    let (storage, layout) = w.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::BF16(w)), Some((from, to))) => Ok(Some(f(&w[from..to]))),
        (Storage::Cpu(CpuStorage::BF16(_)), None) => bail!("a bf16 weight must be contiguous"),
        _ => Ok(None),
    }
}

/// `y += s (x A') B'` of `x (n, I)`, `a (r, I)`, `b (O, r)`, `y (n, O)`, the dimensions `(n, O, r)`.
pub(super) fn add_branch(
    (n, o, r): (usize, usize, usize),
    y: &mut [f32],
    x: &[f32],
    a: &[f32],
    b: &[f32],
    scale: f32,
) {
    let i = x.len() / n.max(1);
    let h = product((n, r, i), View::rows(x, i), View::rows(a, i).t(), 1.0); // (n, r)
    gemm_into((n, o, r), y, View::rows(&h, r), View::rows(b, r).t(), scale, true);
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Encoding;
    use super::super::stored::tests::matrix;
    use super::*;
    use crate::ops::check::{max_diff, random};

    #[test]
    fn what_is_added_to_stored_bytes_is_what_is_merged_into_values() {
        let stored: Weight = matrix(Encoding::Q4K, (40, 256)).into();
        let dense: Weight = stored.tensor().unwrap().into();
        let factors = |seed| (random(seed, 4, 256), random(seed + 1, 40, 4));
        let (first, second) = (factors(1), factors(3));
        let both = |w: &Weight| {
            let of = |w: &Weight, (a, b): &(candle_core::Var, candle_core::Var), scale| {
                w.plus((a.as_tensor(), b.as_tensor()), scale).unwrap().unwrap()
            };
            of(&of(w, &first, 0.5), &second, -2.0)
        };
        let (kept, merged) = (both(&stored), both(&dense));
        assert!(matches!(kept, Weight::Stored { .. }));
        assert!(max_diff(&kept.tensor().unwrap(), &merged.tensor().unwrap()) < 1e-5);
        for n in [3, 50] {
            let near = |a: Vec<f32>, b: Vec<f32>| {
                let scale = b.iter().fold(0f32, |m, v| m.max(v.abs()));
                a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5 * scale)
            };
            let flat = |v: candle_core::Var| v.flatten_all().unwrap().to_vec1().unwrap();
            let (x, g): (Vec<f32>, Vec<f32>) = (flat(random(7, n, 256)), flat(random(8, n, 40)));
            assert!(near(kept.product(&x, n).unwrap(), merged.product(&x, n).unwrap()));
            assert!(near(kept.back(&g, n).unwrap(), merged.back(&g, n).unwrap()));
        }
        let large = (first.0.as_tensor() * 1e30).unwrap();
        let none = stored.plus((&large, &(first.1.as_tensor() * 1e30).unwrap()), 1.0).unwrap();
        assert!(none.is_none());
    }

    #[test]
    fn bf16_in_a_file_is_multiplied_as_bf16_in_memory() {
        let stored: Weight = {
            let (o, i) = (40, 96);
            let values: Vec<f32> = random(1, o, i).flatten_all().unwrap().to_vec1().unwrap();
            let bytes: Vec<u8> =
                values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
            Stored::new(Arc::new(bytes), 0, Encoding::Bf16, (o, i), None).unwrap().into()
        };
        let there = stored.in_bf16().unwrap();
        assert!(there.is(&stored) && there.dtype() == DType::BF16 && stored.dtype() == DType::F32);
        let here: Weight = stored.tensor().unwrap().to_dtype(DType::BF16).unwrap().into();
        let flat = |v: candle_core::Var| v.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (x, g) = (flat(random(7, 50, 96)), flat(random(8, 50, 40)));
        assert_eq!(there.product(&x, 50).unwrap(), here.product(&x, 50).unwrap());
        assert_eq!(there.back(&g, 50).unwrap(), here.back(&g, 50).unwrap());
        assert_ne!(there.product(&x, 50).unwrap(), stored.product(&x, 50).unwrap());
        let other: Weight = matrix(Encoding::Q8_0, (40, 96)).into();
        assert!(matches!(other.in_bf16().unwrap(), Weight::Dense { .. }));
    }

    #[test]
    fn rows_are_those_of_the_values() {
        let stored: Weight = matrix(Encoding::Q5_1, (9, 64)).into();
        let dense: Weight = stored.tensor().unwrap().into();
        let of = |w: &Weight, ids: &[u32]| w.rows(ids).map(|t| t.to_vec2::<f32>().unwrap());
        assert_eq!(of(&stored, &[8, 0, 8]).unwrap(), of(&dense, &[8, 0, 8]).unwrap());
        assert!(of(&stored, &[9]).is_err() && of(&dense, &[9]).is_err());
        assert!(stored.is(&stored.clone()) && dense.is(&dense.clone()) && !stored.is(&dense));
    }
}
