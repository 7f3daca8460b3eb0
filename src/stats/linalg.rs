//! The little linear algebra that several rooms share.
//!
//! Matrices are ndarrays in f64; singular values come from faer. The Cholesky
//! factor and the triangular solve are written out here: their matrices are as
//! small as the number of texts, and working row by row on ndarray needs no
//! copy. Rank decisions are relative to the largest value, never absolute,
//! because a residual stream's scale grows tenfold over depth.

use super::{Result, StatsError};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// Thin singular value decomposition `a = u diag(s) vt`, s descending.
pub struct Svd {
    /// Left vectors `(n, k)`, k = min(n, d).
    pub u: Array2<f64>,
    /// Singular values `(k)`.
    pub s: Array1<f64>,
    /// Right vectors as rows `(k, d)`.
    pub vt: Array2<f64>,
}

/// Thin singular value decomposition of `a (n, d)`.
pub fn thin_svd(a: ArrayView2<f64>) -> Result<Svd> {
    let (rows, cols) = a.dim();
    let matrix = faer::Mat::<f64>::from_fn(rows, cols, |i, j| a[[i, j]]);
    let svd = matrix.thin_svd().map_err(|_| StatsError::Svd { rows, cols })?;
    let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
    let k = rows.min(cols);
    Ok(Svd {
        u: Array2::from_shape_fn((rows, k), |(i, j)| u[(i, j)]),
        s: Array1::from_shape_fn(k, |i| s[i]),
        vt: Array2::from_shape_fn((k, cols), |(i, j)| v[(j, i)]),
    })
}

/// Eigenvalues `(n)`, descending, and eigenvectors as columns `(n, n)` of a symmetric matrix.
pub fn symmetric_eigen(a: ArrayView2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let n = a.nrows();
    let matrix = faer::Mat::<f64>::from_fn(n, n, |i, j| a[[i, j]]);
    let found = matrix
        .self_adjoint_eigen(faer::Side::Lower)
        .map_err(|_| StatsError::Svd { rows: n, cols: n })?;
    let (values, vectors) = (found.S().column_vector(), found.U()); // ascending
    Ok((
        Array1::from_shape_fn(n, |i| values[n - 1 - i]),
        Array2::from_shape_fn((n, n), |(i, j)| vectors[(i, n - 1 - j)]),
    ))
}

/// Lower Cholesky factor of a symmetric positive definite matrix `(n, n)`.
pub fn cholesky(a: ArrayView2<f64>) -> Result<Array2<f64>> {
    let n = a.nrows();
    let mut l = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| l[[i, k]] * l[[j, k]]).sum();
            let rest = a[[i, j]] - known;
            if i == j && (rest.is_nan() || rest <= 0.0) {
                return Err(StatsError::NotPositiveDefinite { size: n, pivot: i });
            }
            l[[i, j]] = if i == j { rest.sqrt() } else { rest / l[[j, j]] };
        }
    }
    Ok(l)
}

/// Solves `l x = b` for lower triangular `l (n, n)` and `b (n, m)`, in place.
pub fn solve_lower(l: ArrayView2<f64>, b: &mut Array2<f64>) {
    for i in 0..l.nrows() {
        let (done, mut rest) = b.view_mut().split_at(ndarray::Axis(0), i);
        let mut row = rest.row_mut(0); // (m)
        for j in 0..i {
            row.scaled_add(-l[[i, j]], &done.row(j));
        }
        row /= l[[i, i]];
    }
}

/// Solves `l^T x = b` for lower triangular `l (n, n)` and `b (n, m)`, in place.
pub fn solve_lower_transposed(l: ArrayView2<f64>, b: &mut Array2<f64>) {
    for i in (0..l.nrows()).rev() {
        let (mut rest, done) = b.view_mut().split_at(ndarray::Axis(0), i + 1);
        let mut row = rest.row_mut(i); // (m)
        for j in i + 1..l.nrows() {
            row.scaled_add(-l[[j, i]], &done.row(j - i - 1));
        }
        row /= l[[i, i]];
    }
}

/// Orthonormal basis `(k, d)` of the rows of `vectors`, k <= rows.
///
/// QR by Gram-Schmidt, each row orthogonalised twice; a row whose remainder is
/// below 1e-10 of its own length adds nothing and is dropped.
pub fn orthonormal_rows(vectors: ArrayView2<f64>) -> Array2<f64> {
    let mut basis: Vec<Array1<f64>> = Vec::new();
    for row in vectors.rows() {
        let length = row.dot(&row).sqrt();
        let mut rest = row.to_owned();
        for _ in 0..2 {
            for unit in &basis {
                let along = rest.dot(unit);
                rest.scaled_add(-along, unit);
            }
        }
        let left = rest.dot(&rest).sqrt();
        if left > 1e-10 * length {
            basis.push(rest / left);
        }
    }
    Array2::from_shape_fn((basis.len(), vectors.ncols()), |(i, j)| basis[i][j])
}

/// Cosine of the angle between two vectors; NaN when one is zero.
pub fn cosine(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// First row of `x` with a value that is not finite.
pub fn first_bad_row(x: ArrayView2<f32>) -> Option<usize> {
    x.rows().into_iter().position(|row| row.iter().any(|v| !v.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    fn matrix(n: usize, d: usize) -> impl Strategy<Value = Array2<f64>> {
        prop::collection::vec(-3.0f64..3.0, n * d)
            .prop_map(move |v| Array2::from_shape_vec((n, d), v).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn svd_multiplies_back(a in matrix(5, 9)) {
            let svd = thin_svd(a.view()).unwrap();
            let back = (&svd.u * &svd.s).dot(&svd.vt);
            prop_assert!((&back - &a).iter().all(|e| e.abs() < 1e-10));
        }

        #[test]
        fn eigenvectors_multiply_back(a in matrix(5, 7)) {
            let m = a.dot(&a.t());
            let (values, vectors) = symmetric_eigen(m.view()).unwrap();
            let back = (&vectors * &values).dot(&vectors.t());
            prop_assert!((&back - &m).iter().all(|e| e.abs() < 1e-9));
            prop_assert!(values.windows(2).into_iter().all(|w| w[0] >= w[1]));
        }

        #[test]
        fn cholesky_solves_the_normal_equations(a in matrix(6, 6), b in matrix(6, 2)) {
            let m = a.dot(&a.t()) + Array2::<f64>::eye(6);
            let l = cholesky(m.view()).unwrap();
            let mut x = b.clone();
            solve_lower(l.view(), &mut x);
            solve_lower_transposed(l.view(), &mut x);
            prop_assert!((m.dot(&x) - &b).iter().all(|e| e.abs() < 1e-8));
        }

        #[test]
        fn basis_is_orthonormal_and_spans_the_rows(a in matrix(4, 7)) {
            let q = orthonormal_rows(a.view());
            let gram = q.dot(&q.t());
            prop_assert!((gram - Array2::<f64>::eye(q.nrows())).iter().all(|e| e.abs() < 1e-9));
            let rest = &a - &a.dot(&q.t()).dot(&q);
            prop_assert!(rest.iter().all(|e| e.abs() < 1e-7));
        }
    }

    #[test]
    fn a_repeated_row_adds_nothing_to_a_basis() {
        let a = ndarray::array![[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]];
        assert_eq!(orthonormal_rows(a.view()).nrows(), 1);
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        let a = ndarray::array![[1.0, 2.0], [2.0, 1.0]];
        assert!(matches!(
            cholesky(a.view()),
            Err(StatsError::NotPositiveDefinite { pivot: 1, .. })
        ));
    }
}
