//! Contrast pairs at one layer.
//!
//! A pair is one prompt with a positive and a negative response; its two rows
//! are pooled activations at one layer. The prompt is the cluster that
//! resampling moves as a whole, the template is what held-out tests leave out,
//! and the development flag marks rows that may be used to choose things.
//! [`Pairs::check`] is called once by whoever builds one; the estimators call
//! it too, because it is cheap beside them.

use super::error::{same_width, Result};
use super::DirectionError;
use ndarray::{Array1, Array2, Axis};

/// Pooled activations of contrast pairs at one layer.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// Activations of the positive responses `(n, d)`.
    pub positive: Array2<f32>,
    /// Activations of the negative responses `(n, d)`.
    pub negative: Array2<f32>,
    /// Prompt of each pair: the cluster.
    pub prompt: Vec<usize>,
    /// Template of each pair.
    pub template: Vec<usize>,
    /// Whether a pair belongs to the development split.
    pub is_dev: Vec<bool>,
}

impl Pairs {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.positive.nrows()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width of the residual stream.
    pub fn width(&self) -> usize {
        self.positive.ncols()
    }

    /// Errors when shapes disagree or a value is not finite.
    pub fn check(&self) -> Result<()> {
        let n = self.len();
        for (field, got) in [
            ("negative", self.negative.nrows()),
            ("prompt", self.prompt.len()),
            ("template", self.template.len()),
            ("is_dev", self.is_dev.len()),
        ] {
            if got != n {
                return Err(DirectionError::Rows { field, expected: n, got });
            }
        }
        same_width(self.width(), self.negative.ncols())?;
        for (side, rows) in [("positive", &self.positive), ("negative", &self.negative)] {
            if let Some(pair) = crate::stats::linalg::first_bad_row(rows.view()) {
                return Err(DirectionError::NotFinite { side, pair });
            }
        }
        Ok(())
    }

    /// The pairs at `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Pairs {
        Pairs {
            positive: self.positive.select(Axis(0), rows),
            negative: self.negative.select(Axis(0), rows),
            prompt: rows.iter().map(|&i| self.prompt[i]).collect(),
            template: rows.iter().map(|&i| self.template[i]).collect(),
            is_dev: rows.iter().map(|&i| self.is_dev[i]).collect(),
        }
    }

    /// The development pairs (`true`) or the reported ones (`false`).
    pub fn split(&self, dev: bool) -> Pairs {
        let rows: Vec<usize> = (0..self.len()).filter(|&i| self.is_dev[i] == dev).collect();
        self.select(&rows)
    }

    /// Positive less negative `(n, d)`.
    pub fn differences(&self) -> Array2<f64> {
        self.positive.mapv(f64::from) - self.negative.mapv(f64::from)
    }

    /// Mean difference `(d)`; zero without pairs.
    pub fn mean_difference(&self) -> Array1<f64> {
        self.differences().sum_axis(Axis(0)) / self.len().max(1) as f64
    }
}
