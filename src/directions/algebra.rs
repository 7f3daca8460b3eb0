//! Algebra of directions.
//!
//! Directions add, scale, and are projected out of one another. The results are
//! plain directions again, so their length means what it meant before: distance
//! in activation units. Cleaning removes a whole nuisance subspace at once (an
//! orthonormal basis by QR), because removing nuisance directions one after the
//! other leaves some of each behind when they are not orthogonal.

use super::error::{same_width, Result};
use super::warning::NUISANCE_COSINE;
use super::{Direction, DirectionError, Warning};
use crate::stats::linalg::orthonormal_rows;
use ndarray::{Array1, Array2};

/// The direction as a vector in activation units, `raw_norm * unit`, `(d)`.
pub fn vector(direction: &Direction) -> Array1<f64> {
    direction.unit.mapv(f64::from) * direction.raw_norm
}

/// A direction from a vector `(d)`; errors when it is zero.
pub fn from_vector(v: Array1<f64>, sign_rule: &str) -> Result<Direction> {
    let length = v.dot(&v).sqrt();
    if length.is_nan() || length <= 0.0 {
        return Err(DirectionError::Zero { what: "the resulting direction".to_string() });
    }
    Ok(Direction {
        unit: v.mapv(|x| (x / length) as f32),
        raw_norm: length,
        sign_rule: sign_rule.to_string(),
    })
}

/// Sum of two directions as vectors in activation units.
pub fn add(a: &Direction, b: &Direction) -> Result<Direction> {
    combine(&[(1.0, a), (1.0, b)])
}

/// Weighted sum of directions as vectors in activation units; errors when it is zero
/// and without a term. The sign rule is that of the first.
pub fn combine(terms: &[(f64, &Direction)]) -> Result<Direction> {
    let Some((_, first)) = terms.first() else {
        return Err(DirectionError::Zero { what: "a sum of no directions".to_string() });
    };
    let mut sum = Array1::zeros(first.unit.len());
    for (weight, direction) in terms {
        like(first, direction)?;
        sum.scaled_add(*weight, &vector(direction));
    }
    from_vector(sum, &first.sign_rule)
}

/// `factor` times a direction; a negative factor turns it round, zero is an error.
pub fn scale(a: &Direction, factor: f64) -> Result<Direction> {
    from_vector(vector(a) * factor, &a.sign_rule)
}

/// `a` without its part along `b`.
pub fn project_out(a: &Direction, b: &Direction) -> Result<Direction> {
    clean(a, std::slice::from_ref(b))
}

/// `direction` without its part in the span of `nuisances`.
///
/// Its `raw_norm` becomes the length of what is left. Errors on differing
/// widths and when less than 1e-6 of the length is left.
pub fn clean(direction: &Direction, nuisances: &[Direction]) -> Result<Direction> {
    nuisances.iter().try_for_each(|n| like(direction, n))?;
    let basis = orthonormal_rows(stack(nuisances, direction.unit.len()).view()); // (k, d)
    let start = direction.unit.mapv(f64::from);
    let mut rest = &start - &basis.t().dot(&basis.dot(&start));
    rest -= &basis.t().dot(&basis.dot(&rest));
    if rest.dot(&rest).sqrt() < 1e-6 {
        return Err(DirectionError::Zero { what: "the cleaned direction".to_string() });
    }
    from_vector(rest * direction.raw_norm, &direction.sign_rule)
}

/// Each direction without its part in the span of those before it (Gram-Schmidt); the
/// first stays as it is, and lengths are those of what is left.
///
/// Errors on differing widths and on a direction that depends on those before it.
pub fn orthogonalise(directions: &[Direction]) -> Result<Vec<Direction>> {
    let each = |i: usize| match i {
        0 => Ok(directions[0].clone()),
        _ => clean(&directions[i], &directions[..i]),
    };
    (0..directions.len()).map(each).collect()
}

/// Cosines `(k, k)` between directions, for example of several estimators.
pub fn agreement(directions: &[Direction]) -> Result<Array2<f64>> {
    directions.iter().try_for_each(|other| like(&directions[0], other))?;
    let k = directions.len();
    Ok(Array2::from_shape_fn((k, k), |(i, j)| directions[i].cosine(&directions[j])))
}

/// Cosine of `direction` with each nuisance, and a warning for each from
/// [`super::warning::NUISANCE_COSINE`] on; nuisances come with their names.
pub fn nuisance_cosines(
    direction: &Direction,
    nuisances: &[(&str, &Direction)],
) -> Result<(Vec<f64>, Vec<Warning>)> {
    let (mut cosines, mut warnings) = (Vec::new(), Vec::new());
    for (name, nuisance) in nuisances {
        like(direction, nuisance)?;
        let value = direction.cosine(nuisance);
        cosines.push(value);
        if value.abs() >= NUISANCE_COSINE {
            warnings.push(Warning::NearNuisance { nuisance: (*name).to_string(), cosine: value });
        }
    }
    Ok((cosines, warnings))
}

/// Unit vectors as rows `(k, d)`.
pub(super) fn stack(directions: &[Direction], width: usize) -> Array2<f64> {
    Array2::from_shape_fn((directions.len(), width), |(i, j)| f64::from(directions[i].unit[j]))
}

fn like(a: &Direction, b: &Direction) -> Result<()> {
    same_width(a.unit.len(), b.unit.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn direction() -> impl Strategy<Value = Direction> {
        prop::collection::vec(-2.0f64..2.0, 6)
            .prop_filter("not zero", |v| v.iter().any(|x| x.abs() > 0.1))
            .prop_map(|v| from_vector(Array1::from(v), "test").unwrap())
    }

    proptest! {
        #[test]
        fn scaling_twice_is_scaling_once_by_the_product(a in direction(), s in 0.1f64..9.0) {
            let twice = scale(&scale(&a, -s).unwrap(), -2.0).unwrap();
            let once = scale(&a, 2.0 * s).unwrap();
            prop_assert!((vector(&twice) - vector(&once)).iter().all(|e| e.abs() < 1e-4));
        }

        #[test]
        fn addition_is_vector_addition(a in direction(), b in direction()) {
            if let Ok(sum) = add(&a, &b) {
                prop_assert!((vector(&sum) - vector(&a) - vector(&b)).iter().all(|e| e.abs() < 1e-5));
            }
        }

        #[test]
        fn a_weighted_sum_is_made_of_sums_and_scalings(a in direction(), b in direction(), s in -3.0f64..3.0) {
            if let (Ok(one), Ok(scaled)) = (combine(&[(2.0, &a), (s, &b)]), scale(&b, s)) {
                let two = vector(&scale(&a, 2.0).unwrap()) + vector(&scaled);
                prop_assert!((vector(&one) - two).iter().all(|e| e.abs() < 1e-4));
            }
        }

        #[test]
        fn agreement_is_one_with_itself_symmetric_and_turned_by_the_sign(a in direction(), b in direction()) {
            let turned = scale(&b, -0.3).unwrap();
            let m = agreement(&[a, b, turned]).unwrap();
            for i in 0..3 {
                prop_assert!((m[[i, i]] - 1.0).abs() < 1e-6);
                for j in 0..3 {
                    prop_assert_eq!(m[[i, j]], m[[j, i]]);
                    prop_assert!(m[[i, j]].abs() < 1.0 + 1e-6);
                }
            }
            prop_assert!((m[[1, 2]] + 1.0).abs() < 1e-6);
            prop_assert!((m[[0, 1]] + m[[0, 2]]).abs() < 1e-6);
        }

        #[test]
        fn orthogonalised_directions_are_orthogonal_and_span_the_same(
            a in direction(), b in direction(), c in direction()
        ) {
            let all = [a, b, c];
            if let Ok(got) = orthogonalise(&all) {
                prop_assert_eq!(&got[0], &all[0]);
                let m = agreement(&got).unwrap();
                prop_assert!([m[[0, 1]], m[[0, 2]], m[[1, 2]]].iter().all(|v| v.abs() < 1e-3));
                // Nothing of what came in lies outside the span of what came out.
                let basis = orthonormal_rows(stack(&got, 6).view());
                for direction in &all {
                    let v = direction.unit.mapv(f64::from);
                    let rest = &v - &basis.t().dot(&basis.dot(&v));
                    prop_assert!(rest.dot(&rest).sqrt() < 1e-3);
                }
            }
        }

        #[test]
        fn a_cleaned_direction_has_nothing_left_along_any_nuisance(
            a in direction(), n1 in direction(), n2 in direction()
        ) {
            if let Ok(cleaned) = clean(&a, &[n1.clone(), n2.clone()]) {
                let m = agreement(&[cleaned.clone(), n1, n2]).unwrap();
                prop_assert!(m[[0, 1]].abs() < 1e-4 && m[[0, 2]].abs() < 1e-4);
                prop_assert!((m[[0, 0]] - 1.0).abs() < 1e-6);
                prop_assert!(cleaned.raw_norm <= a.raw_norm * 1.000001);
            }
        }
    }

    #[test]
    fn only_a_close_nuisance_is_warned_of_and_by_name() {
        let make = |v: [f64; 3]| from_vector(Array1::from(v.to_vec()), "test").unwrap();
        let (a, near, far) = (make([1.0, 0.0, 0.0]), make([-1.0, 1.0, 0.0]), make([0.1, 0.0, 1.0]));
        let (cosines, warnings) =
            nuisance_cosines(&a, &[("polarity", &near), ("formality", &far)]).unwrap();
        assert!((cosines[0] + 0.5f64.sqrt()).abs() < 1e-6);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].to_string().contains("polarity"));
    }

    #[test]
    fn a_direction_cleaned_of_itself_is_refused() {
        let a = from_vector(ndarray::array![1.0, 2.0, 3.0], "test").unwrap();
        assert!(matches!(
            project_out(&a, &scale(&a, -3.0).unwrap()),
            Err(DirectionError::Zero { .. })
        ));
    }
}
