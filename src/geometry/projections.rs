//! A shift on every axis that is asked of it, with its nulls.
//!
//! The axes are directions of concepts, as base has them or as extracted anew in the tuned state, or
//! what one concept's direction has beyond another's, where a shift along the other alone shows
//! nothing. Along the population direction of an axis the interval counts texts and pairs (`crossed`).
//! Each projection has four p-values of its own:
//! signs of whole texts' shifts flipped (is there any shift along the axis?), the axis' pairs with their
//! labels permuted (is it the concept, or what its pairs share beside it?),
//! random directions from N(0, layer covariance) in the axis' place (is the axis
//! more than any direction in which this layer varies?) and unrelated concepts'
//! directions (more than any concept?). The null of matched random adapters is
//! made of whole states: see `nulls`.

use super::check::{count, each, shape};
use super::crossed::{crossed, Crossed, Drawn, Texts};
use super::error::Result;
use super::nulls::{among_placebos, Against};
use super::population::Source;
use super::random_directions::RandomDirections;
use super::shift::{checked, counts, Layer, Measured, OnDirection, ShiftInput};
use crate::stats::corrections::max_t;
use crate::stats::interval::{percentile, Interval};
use crate::stats::linalg::cosine;
use crate::stats::permutation::{p_value, sign_flips, Tail};
use crate::stats::Resampling;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// What a shift is measured by. Directions are `(n_layers, d)`, of any length.
#[derive(Debug, Clone, Copy)]
pub struct Ruler<'a> {
    /// Directions that the shift is projected on.
    pub axes: &'a [ArrayView2<'a, f64>],
    /// The pairs behind each axis.
    pub sources: &'a [Source<'a>],
    /// Unrelated concepts' directions of base.
    pub placebos: &'a [ArrayView2<'a, f64>],
    /// Random directions of base's neutral texts.
    pub random: &'a RandomDirections,
}

/// A shift on all axes; arrays of p are `(layer, axis)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Projections {
    /// `[layer][axis]`.
    pub on: Vec<Vec<OnDirection>>,
    /// Shift along the population direction, in activation units, with its interval over texts and
    /// pairs; `[layer][axis]`.
    pub crossed: Vec<Vec<Measured>>,
    /// Band of the shift's cosines with the axis' pairs under permuted labels, `[layer][axis]`.
    pub permuted: Vec<Vec<Interval>>,
    /// p of the cosine among them, two-sided.
    pub p_permuted: Array2<f64>,
    /// The cosine over the root mean square of its permuted ones, which differs among layers several-fold.
    pub standard: Array2<f64>,
    /// Largest of the permuted cosines over layers and axes, each over its root mean square as well,
    /// `[permutation]`.
    pub largest_permuted: Vec<f64>,
    /// Signs of texts' shifts flipped, two-sided.
    pub p_flip: Array2<f64>,
    /// The same adjusted over layers by max-T.
    pub p_flip_max: Array2<f64>,
    /// Band of the shift's cosines with random directions, by layer.
    pub random: Vec<Interval>,
    /// p of the cosine among them, two-sided.
    pub p_random: Array2<f64>,
    /// The same adjusted over layers by max-T.
    pub p_random_max: Array2<f64>,
    /// The shift's cosines with the placebos, `(layer, placebo)`.
    pub placebo: Array2<f64>,
    /// The cosine among them, `[axis]`.
    pub against_placebos: Vec<Against>,
    /// Texts.
    pub n: usize,
    /// Text clusters.
    pub n_clusters: usize,
}

/// Projects a shift on every axis of the ruler; `options.draws` is also the number of flips.
///
/// Errors as [`super::shift::project`], and when the ruler's shapes differ from the shift's.
pub fn every_projection(
    input: &ShiftInput,
    ruler: &Ruler,
    options: Resampling,
) -> Result<Projections> {
    let clusters = checked(input)?;
    let (n, layers, d) = input.tuned.dim();
    let (of_random, width) = ruler.random.dim();
    shape("random directions of the ruler", &[layers, d], &[of_random, width])?;
    for (what, views) in
        [("an axis of the ruler", ruler.axes), ("a placebo of the ruler", ruler.placebos)]
    {
        views.iter().try_for_each(|v| shape(what, &[layers, d], v.shape()))?;
    }
    count("sources of the ruler's axes", ruler.axes.len(), ruler.sources.len())?;
    let drawn: Vec<Drawn> = ruler.sources.iter().map(|s| Drawn::new(s, options)).collect();
    let counts = counts(&clusters, options);
    let signs = sign_flips(clusters.count(), options.draws, options.seed, "shift/flip");
    let signs = signs.mapv(f64::from); // (draws, C)
    let (narrow, sizes) = (counts.mapv(|w| w as f32), clusters.sizes.iter().map(|&k| k as f32));
    let sizes: Array1<f32> = sizes.collect();
    let one = |l: usize| {
        let layer = Layer::new(input, l, &clusters, &counts)?;
        let shift = layer.mean(); // (d)
        let axes = || ruler.axes.iter().map(|axis| axis.row(l));
        let texts = Texts { sums: &layer.sums, sizes: &sizes, counts: &narrow };
        let length = shift.dot(&shift).sqrt();
        let crossed = |of| crossed(&texts, of, l, length, options.level);
        Ok(Cell {
            crossed: ruler.sources.iter().zip(&drawn).map(crossed).collect::<Result<_>>()?,
            on: axes().map(|v| layer.on(v, options.level)).collect(),
            flipped: axes().map(|v| layer.flipped(v, &signs)).collect(),
            random: ruler.random.cosines(l, shift.view()),
            placebo: ruler.placebos.iter().map(|p| cosine(shift.view(), p.row(l))).collect(),
        })
    };
    gather(each(layers, one)?, clusters.count(), n, options)
}

/// One layer.
struct Cell {
    on: Vec<OnDirection>,
    crossed: Vec<Crossed>,
    /// The statistic of each axis, as it is and flipped.
    flipped: Vec<(f64, Vec<f64>)>,
    random: Vec<f64>,
    placebo: Vec<f64>,
}

fn gather(
    cells: Vec<Cell>,
    n_clusters: usize,
    n: usize,
    options: Resampling,
) -> Result<Projections> {
    let layers = cells.len();
    let axes = cells.first().map_or(0, |c| c.on.len());
    let [mut p_flip, mut p_flip_max, mut p_random, mut p_random_max, mut p_permuted] =
        std::array::from_fn(|_| Array2::from_elem((layers, axes), f64::NAN));
    let draws = options.draws;
    let drawn = cells.first().map_or(0, |c| c.random.len());
    let random = Array2::from_shape_fn((drawn, layers), |(i, l)| cells[l].random[i]);
    let placebos = cells.first().map_or(0, |c| c.placebo.len());
    let placebo = Array2::from_shape_fn((layers, placebos), |(l, i)| cells[l].placebo[i]);
    let mut ranked = Vec::new();
    for axis in 0..axes {
        let observed: Vec<f64> = cells.iter().map(|c| c.flipped[axis].0).collect();
        let flipped = Array2::from_shape_fn((draws, layers), |(i, l)| cells[l].flipped[axis].1[i]);
        let cosines: Vec<f64> = cells.iter().map(|c| c.on[axis].cosine.value).collect();
        for l in 0..layers {
            p_permuted[[l, axis]] =
                p_value(cosines[l], &cells[l].crossed[axis].permuted, Tail::TwoSided);
        }
        for (whole, adjusted, values, null) in [
            (&mut p_flip, &mut p_flip_max, &observed, &flipped),
            (&mut p_random, &mut p_random_max, &cosines, &random),
        ] {
            let over_layers = max_t(values, null.view());
            for l in 0..layers {
                let own = null.column(l).to_vec();
                whole[[l, axis]] = p_value(values[l], &own, Tail::TwoSided);
                adjusted[[l, axis]] = over_layers[l];
            }
        }
        ranked.push(among_placebos(&cosines, placebo.t(), options.level)?);
    }
    let spread = |c: &Crossed| {
        (c.permuted.iter().map(|v| v * v).sum::<f64>() / c.permuted.len() as f64).sqrt()
    };
    let standard = Array2::from_shape_fn((layers, axes), |(l, axis)| {
        cells[l].on[axis].cosine.value / spread(&cells[l].crossed[axis])
    });
    let every = cells.iter().flat_map(|c| &c.crossed).map(|c| (&c.permuted, spread(c)));
    let every: Vec<(&Vec<f64>, f64)> = every.collect();
    let largest = |draw: usize| every.iter().map(|(p, s)| (p[draw] / s).abs()).fold(0.0, f64::max);
    let largest_permuted = (0..draws).map(largest).collect();
    let band = |c: &Crossed| percentile(&mut c.permuted.clone(), options.level);
    let of = |c: &Crossed| Measured { value: c.value, interval: c.interval };
    Ok(Projections {
        crossed: cells.iter().map(|c| c.crossed.iter().map(of).collect()).collect(),
        permuted: cells.iter().map(|c| c.crossed.iter().map(band).collect()).collect(),
        p_permuted,
        standard,
        largest_permuted,
        random: (random.columns().into_iter())
            .map(|c| percentile(&mut c.to_vec(), options.level))
            .collect(),
        on: cells.into_iter().map(|c| c.on).collect(),
        p_flip,
        p_flip_max,
        p_random,
        p_random_max,
        placebo,
        against_placebos: ranked,
        n,
        n_clusters,
    })
}

impl Layer<'_> {
    /// Mean shift, `(d)`.
    fn mean(&self) -> Array1<f64> {
        self.sums.sum_axis(Axis(0)) / self.n
    }

    /// The mean projection on `v` in units of its root of squares, as it is and with the signs
    /// of whole clusters flipped; that unit does not change under flips, so layers compare.
    fn flipped(&self, v: ndarray::ArrayView1<f64>, signs: &Array2<f64>) -> (f64, Vec<f64>) {
        let projected = self.sums.dot(&v); // (C)
        let unit = projected.dot(&projected).sqrt();
        let flipped = signs.dot(&projected) / unit; // (draws)
        (projected.sum() / unit, flipped.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::kolmogorov::ks_uniform;
    use crate::stats::rng::{fill_normal, stream};
    use ndarray::Array3;

    fn noise(n: usize, layers: usize, d: usize, seed: u64, index: u64) -> Array3<f32> {
        let mut x = Array3::zeros((n, layers, d));
        fill_normal(&mut stream(seed, "projections", index), x.as_slice_mut().unwrap());
        x
    }

    fn axis(layers: usize, d: usize, parts: &[(usize, f64)]) -> Array2<f64> {
        let mut v = Array2::zeros((layers, d));
        for &(i, value) in parts {
            v.column_mut(i).fill(value);
        }
        v
    }

    const PAIRS: usize = 16;

    /// Texts of base, and a tuned state moved by `by` along axis 0.
    fn run(by: f32, seed: u64, draws: usize) -> Projections {
        let (n, layers, d) = (24, 3, 20);
        let base = noise(n, layers, d, seed, 0);
        let mut tuned = &base + &(noise(n, layers, d, seed, 1) * 0.3);
        tuned.index_axis_mut(Axis(2), 0).mapv_inplace(|v| v + by);
        let clusters: Vec<usize> = (0..n).collect();
        let one = axis(layers, d, &[(0, 2.0)]);
        let both = axis(layers, d, &[(0, 1.0), (1, 1.0)]);
        let beyond = axis(layers, d, &[(1, 1.0)]);
        let placebos: Vec<Array2<f64>> = (1..20).map(|i| axis(layers, d, &[(i, 1.0)])).collect();
        let views: Vec<ArrayView2<f64>> = placebos.iter().map(|p| p.view()).collect();
        let axes = [one.view(), both.view(), beyond.view()];
        let strata: Vec<usize> = (0..PAIRS).map(|i| i % 4).collect();
        let prompts: Vec<usize> = (0..PAIRS).collect();
        // Pairs around each axis.
        let pairs: Vec<Array3<f32>> = (axes.iter().zip(2..))
            .map(|(axis, index)| noise(PAIRS, layers, d, seed, index) + axis.mapv(|v| v as f32))
            .collect();
        let source =
            |p| Source { differences: p, clusters: &prompts, strata: &strata, beyond: None };
        let sources: Vec<Source> = pairs.iter().map(|p| source(p.view())).collect();
        let ruler = Ruler {
            axes: &axes,
            sources: &sources,
            placebos: &views,
            random: &RandomDirections::new(base.view(), draws, seed).unwrap(),
        };
        let input = ShiftInput { tuned: tuned.view(), base: base.view(), clusters: &clusters };
        let options = Resampling { draws, seed, ..Resampling::default() };
        every_projection(&input, &ruler, options).unwrap()
    }

    #[test]
    fn a_shift_along_one_axis_shows_on_another_but_not_beyond_the_first() {
        let got = run(1.5, 1, 199);
        for l in 0..3 {
            let on = &got.on[l];
            assert!(on[0].raw.interval.contains(1.5));
            assert!(on[1].raw.value > 0.8, "half of it lies along the other");
            assert!(on[2].cosine.value.abs() < 0.2);
            assert_eq!(got.p_flip[[l, 0]], 1.0 / 200.0);
            assert!(got.p_flip_max[[l, 0]] < 0.02 && got.p_random_max[[l, 0]] < 0.02);
            assert!(got.p_flip[[l, 2]] > 0.01);
            assert_eq!(got.against_placebos[0].p[l], 1.0 / 20.0);
        }
        assert_eq!((got.n, got.n_clusters), (24, 24));
    }

    #[test]
    fn no_layer_hides_another_among_the_largest_permuted_cosines() {
        let got = run(1.5, 1, 199);
        // Each over its own root mean square, so that the largest of nine lies beyond 1 and is none's alone.
        let most = got.largest_permuted.iter().fold(0.0, |a: f64, b| a.max(*b));
        let mean = got.largest_permuted.iter().sum::<f64>() / 199.0;
        assert!(1.0 < mean && mean < most && most < 6.0, "{mean} {most}");
        for l in 0..3 {
            let scale = got.on[l][0].cosine.value / got.standard[[l, 0]];
            assert!(0.0 < scale && scale < 1.0);
            assert!(got.standard[[l, 0]] > got.standard[[l, 2]].abs());
        }
    }

    #[test]
    fn p_values_are_uniform_without_a_shift() {
        let (mut flip, mut random, mut smallest) = (Vec::new(), Vec::new(), Vec::new());
        for seed in 0..150 {
            let got = run(0.0, 100 + seed, 99);
            flip.push(got.p_flip[[0, 0]]);
            random.push(got.p_random[[0, 0]]);
            let least = (0..3).map(|l| got.p_flip_max[[l, 0]]);
            smallest.push(least.fold(1.0, f64::min));
        }
        for p in [flip, random, smallest] {
            let found = ks_uniform(&p).unwrap();
            assert!(found.p > 0.01, "{found:?}");
        }
    }
}
