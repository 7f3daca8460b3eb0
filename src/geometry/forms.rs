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
//! What an interval is for: the plain one holds the plain cosine that other studies with as many
//! pairs would average, ceiling included; the relative one holds the cosine itself.
//!
//! Intervals are symmetric bootstrap-t intervals on an even scale (see `studentised` and
//! `stats::link`), widened for few clusters as a t interval is. A percentile interval would not do:
//! in many dimensions resampling works around directions that already hold an error, and its spread
//! L + 3 Q is more than the true L + Q, L being errors along the other concept's true direction
//! and Q products of two errors. The quotient with a standard error made in the same draw has no
//! such excess. Where more than 1 - level of the draws have a length that is not positive the
//! relative interval is NaN: nothing can be said.
//! The designated pairs' draws are kept for contrasts between states, where a quotient is of no
//! use: there Q has a closed form and draws are drawn in towards the estimate by
//! sqrt(1 - 2 Q / variance), at most to sqrt(1/3), and out for few clusters.

use super::resample::{length, noise_product, product, Context, Length};
use super::studentised::Moments;
use crate::stats::interval::{quantile, Interval};
use crate::stats::link;
use ndarray::{Array1, Array2, Array4};

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

/// The same for one state and layer.
pub(super) struct FormCell {
    /// In the order of the fields of [`Form`], `(concept, concept)` each.
    pub cosines: [Array2<f64>; 6],
    /// Reliability of each concept.
    pub reliability: Array1<f64>,
    /// Draws of each designated pair, plain.
    pub pairs: Vec<Vec<f32>>,
    /// Draws of each designated pair, relative.
    pub pairs_relative: Vec<Vec<f32>>,
}

/// Cosines of one state and layer from the Gram matrix of cluster sums.
pub(super) fn form(context: &Context, gram: &Array2<f64>, active: &[bool]) -> FormCell {
    let (layout, options) = (&context.layout, context.options);
    let k = layout.concepts();
    let mut cell = FormCell {
        cosines: std::array::from_fn(|_| Array2::from_elem((k, k), f64::NAN)),
        reliability: Array1::from_elem(k, f64::NAN),
        pairs: vec![Vec::new(); options.pairs.len()],
        pairs_relative: vec![Vec::new(); options.pairs.len()],
    };
    let narrow = gram.mapv(|v| v as f32);
    let ones: Vec<_> = layout.clusters.iter().map(|c| Array2::ones((1, c.count()))).collect();
    let data = Moments::new(layout, &ones, &narrow, active);
    let draws = Moments::new(layout, &context.draws, &narrow, active);
    let lengths: Vec<_> = (0..k).map(|a| length(layout, gram, a)).collect();
    for a in (0..k).filter(|&a| active[a]) {
        cell.reliability[a] = lengths[a].noiseless / lengths[a].measured;
        for plain in &mut cell.cosines[..3] {
            plain[[a, a]] = 1.0;
        }
        for b in (a + 1..k).filter(|&b| active[b]) {
            let pair = Pair {
                at: (a, b),
                lengths: (lengths[a], lengths[b]),
                inner: product(layout, gram, a, b),
                widening: context.expansion[a].max(context.expansion[b]),
                level: options.level,
            };
            let (plain, relative) = (pair.plain(), pair.relative());
            let noise = (lengths[a].noise(), lengths[b].noise());
            let around = pair.interval(plain, noise, &data, &draws).within(-1.0, 1.0);
            let free = pair.interval(relative, (0.0, 0.0), &data, &draws);
            let values = [plain, around.lo, around.hi, relative, free.lo, free.hi];
            for (whole, value) in cell.cosines.iter_mut().zip(values) {
                whole[[a, b]] = value;
                whole[[b, a]] = value;
            }
            if let Some(i) = options.place(a, b) {
                let excess =
                    [(a, b), (a, a), (b, b)].map(|(x, y)| noise_product(layout, gram, x, y));
                let plain = pair.draws(plain, noise, &draws, excess);
                cell.pairs[i] = plain.map(|v| v.clamp(-1.0, 1.0)).collect();
                cell.pairs_relative[i] = pair.draws(relative, (0.0, 0.0), &draws, excess).collect();
            }
        }
    }
    cell
}

/// One pair of concepts.
struct Pair {
    at: (usize, usize),
    lengths: (Length, Length),
    inner: f64,
    /// For few clusters.
    widening: f64,
    level: f64,
}

impl Pair {
    fn plain(&self) -> f64 {
        ratio(self.inner, self.lengths.0.measured, self.lengths.1.measured)
    }

    /// NaN where a direction is not above its noise.
    fn relative(&self) -> f64 {
        let (x, y) = (self.lengths.0.noiseless, self.lengths.1.noiseless);
        match x > 0.0 && y > 0.0 {
            true => ratio(self.inner, x, y),
            false => f64::NAN,
        }
    }

    /// Symmetric bootstrap-t interval of a cosine whose squared lengths hold `noise`.
    fn interval(&self, value: f64, noise: (f64, f64), data: &Moments, draws: &Moments) -> Interval {
        let Some(own) = data.cosine(self.at, noise, 0).filter(|_| value.is_finite()) else {
            return Interval::UNDEFINED;
        };
        let centre = link::even(value);
        let quotient = |draw: usize| {
            let drawn = draws.cosine(self.at, noise, draw)?;
            let off = (link::even(drawn.cosine) - centre).abs();
            let error = drawn.variance.sqrt() * link::slope(drawn.cosine);
            Some(if off == 0.0 { 0.0 } else { off / error }).filter(|t| !t.is_nan())
        };
        let mut quotients: Vec<f64> =
            (0..draws.draws()).map(|draw| quotient(draw).unwrap_or(f64::INFINITY)).collect();
        if quotients.is_empty() {
            return Interval::UNDEFINED;
        }
        let reach = quantile(&mut quotients, self.level)
            * self.widening
            * own.variance.sqrt()
            * link::slope(value);
        let interval = Interval::around(centre, reach).map(link::back);
        match interval.lo.is_finite() && interval.hi.is_finite() {
            true => interval,
            false => Interval::UNDEFINED,
        }
    }

    /// Draws for contrasts: infinite, with the sign of the product, where a length is not positive.
    /// The last argument is the noise that means lend to products ([`noise_product`]): between the two
    /// concepts, of the first with itself, of the second with itself.
    fn draws(
        &self,
        value: f64,
        noise: (f64, f64),
        draws: &Moments,
        [across, first, second]: [f64; 3],
    ) -> impl Iterator<Item = f32> {
        let (a, b) = self.at;
        let (x, y) = match noise {
            (0.0, 0.0) => (self.lengths.0.noiseless, self.lengths.1.noiseless),
            _ => (self.lengths.0.measured, self.lengths.1.measured),
        };
        let cosine = |draw: usize| {
            let (u, v) = (draws.squared(a, draw), draws.squared(b, draw));
            ratio(draws.product(a, b, draw), u + noise.0, v + noise.1)
        };
        let mut out: Vec<f64> = (0..draws.draws()).map(cosine).collect();
        // 2 Q of a cosine with squared lengths x and y: what a bootstrap's variance has too much.
        let own = first / (x * x) + second / (y * y);
        let excess = 2.0 * across / (x * y) + value * value * own;
        draw_in(&mut out, value, excess, self.widening);
        out.into_iter().map(|v| v as f32)
    }
}

/// Draws values in towards `centre` until `excess` is gone from their variance,
/// at most by the factor sqrt(1/3), and out for few clusters. Nothing moves when a value is not finite.
fn draw_in(values: &mut [f64], centre: f64, excess: f64, expansion: f64) {
    let n = values.iter().filter(|v| v.is_finite()).count() as f64;
    let mean = values.iter().filter(|v| v.is_finite()).sum::<f64>() / n;
    let squares = values.iter().filter(|v| v.is_finite()).map(|v| (v - mean) * (v - mean));
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
