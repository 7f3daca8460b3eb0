//! Mean shifts in a plane of two directions.
//!
//! A plane is spanned by two directions that are asked about, or by those along which the means of
//! conditions lie furthest apart. The region of a mean counts texts alone: directions and fine-tunes are
//! held fixed.

use super::check::{at_least, shape};
use super::error::Result;
use crate::stats::linalg::thin_svd;
use ndarray::{Array1, ArrayView2, Axis};

/// A mean with the ellipse that holds the true one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// The mean.
    pub at: [f64; 2],
    /// Half axes, the longer first; NaN below 3 points.
    pub half: [f64; 2],
    /// From the first coordinate's axis to the longer half axis, in radians from -pi / 2 to pi / 2.
    pub angle: f64,
}

/// The mean of `points (n, 2)` with its region at `level`, by Hotelling's T^2.
///
/// # Errors
/// No points, or points of another dimension.
pub fn region(points: ArrayView2<f64>, level: f64) -> Result<Region> {
    let n = points.nrows();
    at_least("points of a plane", 1, n)?;
    shape("points of a plane", &[n, 2], points.shape())?;
    let mean = points.sum_axis(Axis(0)) / n as f64;
    let off = &points - &mean; // (n, 2)
    let over = |i: usize, j: usize| off.column(i).dot(&off.column(j)) / (n as f64 - 1.0);
    let (xx, yy, xy) = (over(0, 0), over(1, 1), over(0, 1));
    let (middle, apart) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
    // 2 (n - 1) / (n - 2) times the quantile of F with 2 and n - 2 degrees of freedom, which is closed.
    let reach = (n as f64 - 1.0) * ((1.0 - level).powf(-2.0 / (n as f64 - 2.0)) - 1.0);
    let half = |variance: f64| match n {
        0..=2 => f64::NAN,
        _ => (variance.max(0.0) / n as f64 * reach).sqrt(),
    };
    Ok(Region {
        at: [mean[0], mean[1]],
        half: [half(middle + apart), half(middle - apart)],
        angle: 0.5 * (2.0 * xy).atan2(xx - yy),
    })
}

/// The plane of the first two principal components.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// Unit vectors `(d)`, each signed so that the point furthest along it lies on its positive side.
    pub axes: [Array1<f64>; 2],
    /// Share of the points' squared distances from their mean along each.
    pub share: [f64; 2],
}

/// First two principal components of `points (k, d)`, which are not centred beforehand; none where the
/// points lie on a line.
///
/// # Errors
/// Values that are not finite.
pub fn components(points: ArrayView2<f64>) -> Result<Option<Components>> {
    if points.nrows() < 3 || points.ncols() < 2 {
        return Ok(None);
    }
    let mean = points.sum_axis(Axis(0)) / points.nrows() as f64;
    let svd = thin_svd((&points - &mean).view())?;
    let all: f64 = svd.s.iter().map(|s| s * s).sum();
    if svd.s.len() < 2 || svd.s[1] <= 1e-9 * svd.s[0] {
        return Ok(None);
    }
    let axis = |i: usize| {
        let axis = svd.vt.row(i).to_owned();
        let along = points.dot(&axis);
        let far = along.iter().fold(0.0, |far: f64, v| if v.abs() > far.abs() { *v } else { far });
        axis * if far < 0.0 { -1.0 } else { 1.0 }
    };
    let share = [0, 1].map(|i| svd.s[i] * svd.s[i] / all);
    Ok(Some(Components { axes: [axis(0), axis(1)], share }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::{fill_normal, stream};
    use ndarray::{array, Array2};

    /// Correlated points about (2, -1).
    fn points(n: usize, seed: u64) -> Array2<f64> {
        let mut raw = vec![0f32; 2 * n];
        fill_normal(&mut stream(seed, "plane", 0), &mut raw);
        Array2::from_shape_fn((n, 2), |(i, j)| {
            let (a, b) = (f64::from(raw[2 * i]), f64::from(raw[2 * i + 1]));
            if j == 0 {
                2.0 + 3.0 * a
            } else {
                -1.0 + 2.0 * a + 0.5 * b
            }
        })
    }

    fn holds(r: &Region, (x, y): (f64, f64)) -> bool {
        let (sin, cos) = r.angle.sin_cos();
        let (x, y) = (x - r.at[0], y - r.at[1]);
        let (u, v) = (x * cos + y * sin, -x * sin + y * cos);
        (u / r.half[0]).powi(2) + (v / r.half[1]).powi(2) <= 1.0
    }

    #[test]
    fn regions_of_few_points_hold_the_true_mean_as_often_as_they_say() {
        let hit = |seed| holds(&region(points(8, seed).view(), 0.95).unwrap(), (2.0, -1.0));
        let hits = (0..2000).filter(|&seed| hit(seed)).count();
        assert!((1900 - 35..=1900 + 35).contains(&hits), "{hits} of 2000");
    }

    #[test]
    fn the_longer_half_axis_lies_along_the_points() {
        let r = region(array![[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]].view(), 0.95).unwrap();
        assert_eq!(r.at, [1.0, 2.0]);
        assert!((r.angle - 2f64.atan()).abs() < 1e-12 && r.half[1] < 1e-6 && r.half[0] > 1.0);
        let two = region(array![[0.0, 0.0], [1.0, 2.0]].view(), 0.95).unwrap();
        assert!(two.half[0].is_nan() && two.at == [0.5, 1.0]);
    }

    #[test]
    fn planted_components_are_found_in_order_and_signed() {
        let at = array![[0.0, 0.0, 0.0], [0.0, -6.0, 0.0], [2.0, -3.0, 0.0], [-1.0, -3.0, 0.0]];
        let found = components(at.view()).unwrap().unwrap();
        assert!(found.axes[0][1] < -0.9 && found.axes[1][0] > 0.9);
        assert!(found.share[0] > found.share[1]);
        assert!((found.share[0] + found.share[1] - 1.0).abs() < 1e-12);
        let line = array![[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]];
        assert!(components(line.view()).unwrap().is_none());
    }
}
