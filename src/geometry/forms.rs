//! One way of measuring a cosine, with its interval, plain and relative.
//!
//! A form is raw, cleaned or whitened; all three are the same arithmetic on a
//! different Gram matrix, and live here once. *Plain* is the cosine of the two
//! mean differences as measured with this many pairs. *Relative* divides by the
//! ceiling sqrt(r_a r_b) that noise sets, r = U / |mean|^2 being the reliability
//! (the limit of the split-half value over all splits): an estimate of the
//! cosine that infinitely many pairs would show. It is not bounded by 1, and is
//! NaN where a direction is not above its noise floor.
//!
//! Spread is corrected too. To second order a cosine's variance is L + Q, L from
//! errors along the other concept's true direction, Q from products of two
//! errors. A bootstrap works around directions that already hold an error and
//! shows L + 3 Q. Q has a closed form in the centred inner products, so draws
//! are drawn in towards the estimate by sqrt(1 - 2 Q / variance), at most to
//! sqrt(1/3), and out for few clusters as a t interval is. Tests hold the intervals to their level where noise is strong.

use super::resample::{
    length, noise_product, noiseless_draws, product, product_draws, quadratic, Draws, Layout,
};
use crate::stats::interval::percentile;
use ndarray::{s, Array1, Array2, Array4};

/// Cosines of one form, each array `[state, concept, concept, layer]`, symmetric in the concepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Cosine as measured.
    pub value: Array4<f64>,
    /// Lower end of its interval over prompts.
    pub lo: Array4<f64>,
    /// Upper end of its interval over prompts.
    pub hi: Array4<f64>,
    /// Cosine relative to its ceiling.
    pub relative: Array4<f64>,
    /// Lower end of its interval.
    pub relative_lo: Array4<f64>,
    /// Upper end of its interval.
    pub relative_hi: Array4<f64>,
}

impl Form {
    pub(super) fn new(shape: (usize, usize, usize, usize)) -> Self {
        let blank = || Array4::from_elem(shape, f64::NAN);
        Form {
            value: blank(),
            lo: blank(),
            hi: blank(),
            relative: blank(),
            relative_lo: blank(),
            relative_hi: blank(),
        }
    }

    pub(super) fn put(&mut self, state: usize, layer: usize, cell: &FormCell) {
        for (whole, part) in [
            (&mut self.value, &cell.value),
            (&mut self.lo, &cell.lo),
            (&mut self.hi, &cell.hi),
            (&mut self.relative, &cell.relative),
            (&mut self.relative_lo, &cell.relative_lo),
            (&mut self.relative_hi, &cell.relative_hi),
        ] {
            whole.slice_mut(s![state, .., .., layer]).assign(part);
        }
    }
}

/// The same for one state and layer, arrays `(concept, concept)`.
pub(super) struct FormCell {
    pub value: Array2<f64>,
    pub lo: Array2<f64>,
    pub hi: Array2<f64>,
    pub relative: Array2<f64>,
    pub relative_lo: Array2<f64>,
    pub relative_hi: Array2<f64>,
    /// Reliability of each concept.
    pub reliability: Array1<f64>,
    /// Draws of the designated pair, plain.
    pub pair: Vec<f32>,
    /// Draws of the designated pair, relative.
    pub pair_relative: Vec<f32>,
}

/// What is the same for every state and layer.
pub(super) struct FormContext<'a> {
    pub layout: &'a Layout,
    pub draws: &'a Draws,
    pub pair: (usize, usize),
    pub level: f64,
    /// Widening for few clusters, one a concept.
    pub expansion: &'a [f64],
}

/// Cosines of one state and layer from the Gram matrix of cluster sums, of
/// which only blocks on and above the diagonal are read.
pub(super) fn form(context: &FormContext, gram: &Array2<f64>, active: &[bool]) -> FormCell {
    let (layout, draws) = (context.layout, context.draws);
    let k = layout.concepts();
    let blank = || Array2::from_elem((k, k), f64::NAN);
    let mut cell = FormCell {
        value: blank(),
        lo: blank(),
        hi: blank(),
        relative: blank(),
        relative_lo: blank(),
        relative_hi: blank(),
        reliability: Array1::from_elem(k, f64::NAN),
        pair: Vec::new(),
        pair_relative: Vec::new(),
    };
    let forms = quadratic(layout, &draws.weights, &gram.mapv(|v| v as f32), active);
    let lengths: Vec<_> = (0..k).map(|a| length(layout, gram, a)).collect();
    let resampled: Vec<Array1<f64>> = (0..k)
        .map(|a| match active[a] {
            true => noiseless_draws(layout, draws, gram, &forms, a),
            false => Array1::zeros(0),
        })
        .collect();
    let own_noise: Vec<f64> = (0..k).map(|a| noise_product(layout, gram, a, a)).collect();
    for a in (0..k).filter(|&a| active[a]) {
        cell.reliability[a] = lengths[a].noiseless / lengths[a].measured;
        for whole in [&mut cell.value, &mut cell.lo, &mut cell.hi] {
            whole[[a, a]] = 1.0;
        }
        for b in (a + 1..k).filter(|&b| active[b]) {
            let (one, two) = (lengths[a], lengths[b]);
            let inner = product(layout, gram, a, b);
            let (noise_a, noise_b) = (one.measured - one.noiseless, two.measured - two.noiseless);
            let products = product_draws(layout, draws, &forms, a, b);
            let with = |extra_a: f64, extra_b: f64| -> Vec<f64> {
                products
                    .iter()
                    .zip(&resampled[a])
                    .zip(&resampled[b])
                    .map(|((&p, &u), &v)| ratio(p, u + extra_a, v + extra_b))
                    .collect()
            };
            let above_floor = one.noiseless > 0.0 && two.noiseless > 0.0;
            let plain_value = ratio(inner, one.measured, two.measured);
            let relative_value = match above_floor {
                true => ratio(inner, one.noiseless, two.noiseless),
                false => f64::NAN,
            };
            let noise = Noise {
                across: noise_product(layout, gram, a, b),
                first: own_noise[a],
                second: own_noise[b],
            };
            let expansion = context.expansion[a].max(context.expansion[b]);
            let mut plain = with(noise_a, noise_b);
            draw_in(
                &mut plain,
                plain_value,
                noise.excess(plain_value, one.measured, two.measured),
                expansion,
            );
            let mut relative = with(0.0, 0.0);
            let excess = noise.excess(relative_value, one.noiseless, two.noiseless);
            draw_in(&mut relative, relative_value, excess, expansion);
            if (a, b) == context.pair || (b, a) == context.pair {
                cell.pair = plain.iter().map(|&v| v as f32).collect();
                cell.pair_relative = relative.iter().map(|&v| v as f32).collect();
            }
            let plain = percentile(&mut plain, context.level);
            let relative = percentile(&mut relative, context.level);
            for (whole, value) in [
                (&mut cell.value, plain_value),
                (&mut cell.lo, plain.lo),
                (&mut cell.hi, plain.hi),
                (&mut cell.relative, relative_value),
                (&mut cell.relative_lo, finite(relative.lo, above_floor)),
                (&mut cell.relative_hi, finite(relative.hi, above_floor)),
            ] {
                whole[[a, b]] = value;
                whole[[b, a]] = value;
            }
        }
    }
    cell
}

/// Noise that means lend to products, see [`noise_product`].
struct Noise {
    /// Between the two concepts.
    across: f64,
    /// Of the first concept with itself.
    first: f64,
    /// Of the second concept with itself.
    second: f64,
}

impl Noise {
    /// 2 Q of a cosine with squared lengths x and y: what a bootstrap's variance has too much.
    fn excess(&self, cosine: f64, x: f64, y: f64) -> f64 {
        let own = self.first / (x * x) + self.second / (y * y);
        2.0 * self.across / (x * y) + cosine * cosine * own
    }
}

/// Draws values in towards `centre` until `excess` is gone from their variance,
/// at most by the factor sqrt(1/3), and out for few clusters. Nothing moves when a value is not finite.
fn draw_in(values: &mut [f64], centre: f64, excess: f64, expansion: f64) {
    let n = values.iter().filter(|v| v.is_finite()).count() as f64;
    let mean = values.iter().filter(|v| v.is_finite()).sum::<f64>() / n;
    let squares = values
        .iter()
        .filter(|v| v.is_finite())
        .map(|v| (v - mean) * (v - mean));
    let kept = 1.0 - excess / (squares.sum::<f64>() / n);
    if centre.is_finite() && kept.is_finite() {
        let factor = kept.clamp(1.0 / 3.0, 1.0).sqrt() * expansion;
        for value in values {
            *value = centre + factor * (*value - centre);
        }
    }
}

/// Cosine from an inner product and two squared lengths. A length that is not
/// positive makes it infinite with the sign of the product: beyond any value.
fn ratio(product: f64, x: f64, y: f64) -> f64 {
    if x > 0.0 && y > 0.0 {
        product / (x * y).sqrt()
    } else if product.is_nan() || x.is_nan() || y.is_nan() {
        f64::NAN
    } else {
        f64::INFINITY.copysign(product)
    }
}

fn finite(value: f64, above_floor: bool) -> f64 {
    if above_floor && value.is_finite() {
        value
    } else {
        f64::NAN
    }
}
