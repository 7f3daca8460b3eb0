//! Order in time: which of two quantities moves first over a fine-tune.
//!
//! A quantity's half-way step is where its change since step 0 first reaches half of its final
//! change, interpolated linearly in log(1 + step), the scale on which checkpoints are spaced. One
//! quantity leads another if its half-way step is earlier: the lead is the ratio of the two, with
//! its interval over the draws (prompts and seeds) behind the quantities. Moving first is not
//! causing, but what moves after cannot have caused the start.

use super::resample::{means, prompt_shares, seed_shares};
use super::{CausalError, Result, Warning};
use crate::stats::interval::percentile;
use crate::stats::Interval;
use ndarray::{Array2, ArrayView1, ArrayView3, Axis};
use serde::Serialize;

/// One quantity by training step.
#[derive(Debug, Clone)]
pub struct Series {
    /// What it is called in results, warnings and errors.
    pub name: String,
    /// Increasing; the first is 0, the model before training.
    pub steps: Vec<usize>,
    /// Estimate at each step.
    pub value: Vec<f64>,
    /// Bootstrap draws `(draws, steps)`; all NaN where a single prompt is behind the series.
    pub draws: Array2<f64>,
}

/// When a quantity has gone half of its way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HalfWay {
    /// Name of the series.
    pub series: String,
    /// Final less first value.
    pub change: f64,
    /// 95 % interval of `change` over the draws.
    pub change_interval: Interval,
    /// Training step; NaN, with a warning, where the change may be zero or has no interval.
    pub step: f64,
    /// 95 % interval of `step`, over the draws that reach half.
    pub step_interval: Interval,
    /// Doubts about it.
    pub warnings: Vec<Warning>,
}

/// Which of two comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The interval of the ratio is above 1.
    FirstLeads,
    /// The interval of the ratio is below 1.
    SecondLeads,
    /// The interval of the ratio holds 1, or a half-way step is undefined.
    Undecided,
}

/// The lead of one quantity over another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lead {
    /// Name of the first series.
    pub first: String,
    /// Name of the second.
    pub second: String,
    /// Half-way step of the second over that of the first, (1 + step) of both; above 1 the first
    /// leads.
    pub ratio: f64,
    /// 95 % interval of `ratio` over the draws.
    pub interval: Interval,
    /// Share of draws in which the first is the earlier; ties count half.
    pub earlier: f64,
    /// What the interval says.
    pub order: Order,
    /// Doubts about either series.
    pub warnings: Vec<Warning>,
}

impl Series {
    /// A series from estimates and draws made elsewhere, such as a coupling's.
    ///
    /// # Errors
    /// `Shape` where lengths differ, steps do not increase from 0 or are fewer than 3;
    /// `NotFinite`.
    pub fn new(name: &str, steps: Vec<usize>, value: Vec<f64>, draws: Array2<f64>) -> Result<Self> {
        let shape = |got: String, expected: &str| {
            CausalError::shape(format!("series `{name}`"), got, expected)
        };
        let increasing = steps.windows(2).all(|w| w[0] < w[1]);
        if steps.len() < 3 || steps[0] != 0 || !increasing {
            let expected = "at least 3 increasing steps, the first 0";
            return Err(shape(format!("steps {steps:?}"), expected));
        }
        if value.len() != steps.len() || draws.ncols() != steps.len() {
            let got = format!("{} values and {} drawn", value.len(), draws.ncols());
            return Err(shape(got, "one of each a step"));
        }
        let single = draws.iter().all(|v| v.is_nan());
        let known = |v: &f64| v.is_finite();
        if !value.iter().all(known) || !(single || draws.iter().all(known)) {
            return Err(CausalError::NotFinite { what: format!("series `{name}`: a value") });
        }
        Ok(Series { name: name.into(), steps, value, draws })
    }

    /// The mean of `cells (seeds, prompts, steps)`. Series of the same prompts share draws when
    /// given one `purpose`, and are then paired.
    ///
    /// # Errors
    /// As [`Series::new`]; `Empty` without prompts.
    pub fn of_prompts(
        name: &str,
        steps: Vec<usize>,
        cells: ArrayView3<f64>,
        draws: usize,
        seed: u64,
        purpose: &str,
    ) -> Result<Self> {
        let (s, p, t) = cells.dim();
        if s == 0 || p == 0 {
            return Err(CausalError::Empty("a trajectory of no prompts"));
        }
        let prompts = prompt_shares(p, draws, seed, purpose);
        let seeds = seed_shares(s, s - 1, draws, seed, &format!("{purpose}-seeds"));
        let by_step: Vec<Vec<f64>> =
            cells.axis_iter(Axis(2)).map(|step| means(&prompts, &seeds, step)).collect();
        let value = cells.axis_iter(Axis(2)).map(|step| step.mean().unwrap_or(f64::NAN)).collect();
        let drawn = Array2::from_shape_fn((draws, t), |(draw, step)| by_step[step][draw]);
        Series::new(name, steps, value, drawn)
    }
}

/// log(1 + step) at which values first reach half of their final change; NaN where they do not
/// change.
fn half(steps: &[usize], values: ArrayView1<f64>) -> f64 {
    let (first, change) = (values[0], values[values.len() - 1] - values[0]);
    if change == 0.0 {
        return f64::NAN;
    }
    let mut before = (0.0, 0.0);
    for (&step, value) in steps.iter().zip(values) {
        let (at, share) = ((1.0 + step as f64).ln(), (value - first) / change);
        if share >= 0.5 {
            let part = (0.5 - before.1) / (share - before.1);
            return before.0 + part * (at - before.0);
        }
        before = (at, share);
    }
    f64::NAN
}

struct Halves {
    way: HalfWay,
    value: f64,
    draws: Vec<f64>,
}

fn halves(series: &Series) -> Halves {
    let last = series.steps.len() - 1;
    let mut changes = series.draws.rows().into_iter().map(|r| r[last] - r[0]).collect();
    let change_interval = percentile(&mut changes, 0.95);
    let mut way = HalfWay {
        series: series.name.clone(),
        change: series.value[last] - series.value[0],
        change_interval,
        step: f64::NAN,
        step_interval: Interval::UNDEFINED,
        warnings: Vec::new(),
    };
    let n = series.draws.nrows();
    let name = || series.name.clone();
    let doubt = match change_interval {
        i if i.lo.is_nan() => Some(Warning::SinglePrompt { series: name() }),
        i if i.contains(0.0) => Some(Warning::NoChange { series: name() }),
        _ => None,
    };
    if let Some(doubt) = doubt {
        way.warnings.push(doubt);
        return Halves { way, value: f64::NAN, draws: vec![f64::NAN; n] };
    }
    let value = half(&series.steps, ArrayView1::from(&series.value));
    let draws: Vec<f64> =
        series.draws.rows().into_iter().map(|row| half(&series.steps, row)).collect();
    let reached = draws.iter().filter(|d| !d.is_nan()).count() as f64 / n as f64;
    if reached < 1.0 {
        way.warnings.push(Warning::PartlyReached { series: name(), share: reached });
    }
    way.step = value.exp() - 1.0;
    let mut steps = draws.iter().map(|d| d.exp() - 1.0).collect();
    way.step_interval = percentile(&mut steps, 0.95);
    Halves { way, value, draws }
}

/// The half-way step of a quantity with its 95 % interval.
pub fn half_way(series: &Series) -> HalfWay {
    halves(series).way
}

/// Whether one quantity moves before another; their draws are matched in order.
///
/// # Errors
/// `Shape` where the numbers of draws differ.
pub fn lead(first: &Series, second: &Series) -> Result<Lead> {
    if first.draws.nrows() != second.draws.nrows() {
        return Err(CausalError::Shape {
            what: format!("series `{}`", second.name),
            got: format!("{} draws", second.draws.nrows()),
            expected: format!("as many as `{}`, {}", first.name, first.draws.nrows()),
        });
    }
    let (a, b) = (halves(first), halves(second));
    let apart = a.draws.iter().zip(&b.draws).map(|(a, b)| b - a);
    let known: Vec<f64> = apart.filter(|d| !d.is_nan()).collect();
    let won = |d: &f64| if *d > 0.0 { 1.0 } else { f64::from(u8::from(*d == 0.0)) / 2.0 };
    let earlier: f64 = known.iter().map(won).sum();
    let mut ratios = known.iter().map(|d| d.exp()).collect();
    let interval = percentile(&mut ratios, 0.95);
    let order = match interval {
        Interval { lo, .. } if lo > 1.0 => Order::FirstLeads,
        Interval { hi, .. } if hi < 1.0 => Order::SecondLeads,
        _ => Order::Undecided,
    };
    Ok(Lead {
        first: first.name.clone(),
        second: second.name.clone(),
        ratio: (b.value - a.value).exp(),
        interval,
        earlier: earlier / known.len() as f64,
        order,
        warnings: a.way.warnings.into_iter().chain(b.way.warnings).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::stream;
    use ndarray::Array3;
    use rand_distr::{Distribution, StandardNormal};

    const STEPS: [usize; 8] = [0, 1, 3, 7, 15, 31, 63, 127]; // even in log(1 + step)

    /// Prompts that rise by a logistic curve in log2(1 + step), centred at `centre`, to `height`.
    fn rising(name: &str, centre: f64, height: f64, noise: f64, repeat: u64) -> Series {
        let mut rng = stream(6, name, repeat);
        let mut normal = || Distribution::<f64>::sample(&StandardNormal, &mut rng);
        let cells = Array3::from_shape_fn((1, 30, STEPS.len()), |(_, _, t)| {
            let at = (1.0 + STEPS[t] as f64).log2();
            height / (1.0 + (-3.0 * (at - centre)).exp()) + noise * normal()
        });
        Series::of_prompts(name, STEPS.to_vec(), cells.view(), 400, repeat, name).unwrap()
    }

    #[test]
    fn the_half_way_step_is_where_half_of_the_change_is_reached() {
        let steps = vec![0, 1, 3, 7];
        let draws = Array2::from_shape_vec((1, 4), vec![1.0, 1.0, 2.0, 5.0]).unwrap();
        let s = Series::new("k", steps, vec![1.0, 1.0, 2.0, 5.0], draws).unwrap();
        let h = half_way(&s);
        // Half of 4 is reached at 3, a third of the way from step 3 to step 7 in log(1 + step).
        let want = 4f64 * 2f64.powf(1.0 / 3.0) - 1.0;
        assert!((h.step - want).abs() < 1e-9, "{} {want}", h.step);
        assert_eq!(h.change, 4.0);
    }

    #[test]
    fn what_is_planted_first_leads_by_the_planted_factor() {
        let early = rising("early", 2.0, 1.0, 0.1, 1);
        let late = rising("late", 4.0, -2.0, 0.1, 1);
        let l = lead(&early, &late).unwrap();
        assert_eq!(l.order, Order::FirstLeads);
        assert!((l.ratio / 4.0 - 1.0).abs() < 0.2, "{l:?}"); // two doublings
        assert!(l.interval.contains(l.ratio) && l.earlier > 0.99);
        let back = lead(&late, &early).unwrap();
        assert_eq!(back.order, Order::SecondLeads);
        assert!((back.ratio * l.ratio - 1.0).abs() < 1e-9);
    }

    #[test]
    fn simultaneous_series_are_undecided_at_the_level_of_the_interval() {
        let decided = (0..100)
            .filter(|&r| {
                let (a, b) = (rising("a", 3.0, 1.0, 0.5, r), rising("b", 3.0, 1.0, 0.5, r));
                lead(&a, &b).unwrap().order != Order::Undecided
            })
            .count();
        assert!(decided <= 12, "{decided} of 100");
    }

    #[test]
    fn a_series_that_does_not_move_neither_leads_nor_lags() {
        let still = rising("still", 3.0, 0.0, 0.5, 2);
        let l = lead(&rising("a", 3.0, 1.0, 0.1, 2), &still).unwrap();
        assert!(l.order == Order::Undecided && l.ratio.is_nan() && l.earlier.is_nan());
        assert!(matches!(&l.warnings[..], [Warning::NoChange { series }] if series == "still"));
        let one = Array3::from_shape_fn((1, 1, 8), |(_, _, t)| t as f64);
        let one = Series::of_prompts("one", STEPS.to_vec(), one.view(), 400, 1, "one").unwrap();
        let l = lead(&rising("a", 3.0, 1.0, 0.1, 2), &one).unwrap();
        assert!(l.order == Order::Undecided && half_way(&one).change == 7.0);
        assert!(matches!(&l.warnings[..], [Warning::SinglePrompt { series }] if series == "one"));
        let e = Series::new("x", vec![1, 2, 3], vec![0.0; 3], Array2::zeros((1, 3)));
        assert!(e.unwrap_err().to_string().contains("the first 0"));
    }
}
