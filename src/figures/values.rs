//! Values that figures draw, and the checks that come before drawing.
//!
//! An `Estimate` is a value with its interval. NaN stands for missing in all
//! three numbers: CSV leaves the field empty, and a figure leaves a gap. `Check` carries the
//! figure's name so that each refusal can say which figure and which entry is
//! wrong; after a figure's checks have passed, its drawing code assumes finite
//! or missing values and matching lengths and checks nothing again.

use std::collections::BTreeSet;

use super::{theme, FigureError, Result};

/// A value with the ends of its interval, in the unit of the figure's axis.
/// NaN in `value` is a missing value; NaN in `lo` or `hi` draws no interval.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Lower end of its interval.
    pub lo: f64,
    /// Upper end of its interval.
    pub hi: f64,
}

impl Estimate {
    /// A value that does not exist.
    pub const MISSING: Estimate = Estimate { value: f64::NAN, lo: f64::NAN, hi: f64::NAN };

    /// A value with the ends of its interval.
    pub fn new(value: f64, lo: f64, hi: f64) -> Self {
        Estimate { value, lo, hi }
    }

    /// A value without an interval.
    pub fn point(value: f64) -> Self {
        Estimate { value, lo: f64::NAN, hi: f64::NAN }
    }

    /// True when there is no value.
    pub fn is_missing(&self) -> bool {
        self.value.is_nan()
    }

    /// True when both ends of the interval are known.
    pub fn has_interval(&self) -> bool {
        !self.lo.is_nan() && !self.hi.is_nan()
    }

    pub(super) fn numbers(&self) -> [f64; 3] {
        [self.value, self.lo, self.hi]
    }
}

/// The value with its interval, in three decimals.
impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{:+.3}", self.value)?;
        match self.has_interval() {
            true => write!(f, " [{:+.3}, {:+.3}]", self.lo, self.hi),
            false => Ok(()),
        }
    }
}

/// A number as the CSV holds it: shortest exact form, empty when missing.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        String::new()
    } else {
        value.to_string()
    }
}

/// The checks of one figure's input.
pub(super) struct Check<'a> {
    figure: &'a str,
}

impl<'a> Check<'a> {
    /// Starts with the check of the name, which becomes three file names, and makes the embedded font
    /// known, without which no text can be measured.
    pub fn new(figure: &'a str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if figure.is_empty() || !figure.chars().all(fits) {
            return Err(FigureError::Name { figure: figure.into() });
        }
        theme::register().map_err(|font| FigureError::Font { figure: figure.into(), font })?;
        Ok(Check { figure })
    }

    pub fn not_empty(&self, what: &str, count: usize) -> Result<()> {
        match count {
            0 => Err(FigureError::Empty { figure: self.figure.into(), what: what.into() }),
            _ => Ok(()),
        }
    }

    pub fn length(&self, what: &str, want: usize, got: usize) -> Result<()> {
        if want == got {
            return Ok(());
        }
        Err(FigureError::Length { figure: self.figure.into(), what: what.into(), want, got })
    }

    /// Refuses infinities; NaN passes as missing.
    pub fn finite(&self, what: &str, values: &[f64]) -> Result<()> {
        let Some(&value) = values.iter().find(|v| v.is_infinite()) else {
            return Ok(());
        };
        Err(FigureError::NotFinite { figure: self.figure.into(), what: what.into(), value })
    }

    /// Refuses infinities and an interval whose ends are swapped.
    pub fn estimates(&self, what: &str, list: &[Estimate]) -> Result<()> {
        for e in list {
            self.finite(what, &e.numbers())?;
            if e.lo > e.hi {
                let (figure, what) = (self.figure.into(), what.into());
                return Err(FigureError::Interval { figure, what, lo: e.lo, hi: e.hi });
            }
        }
        Ok(())
    }

    /// Refuses numbers of another count than `want`, and infinities.
    pub fn numbers(&self, what: &str, want: usize, list: &[f64]) -> Result<()> {
        self.length(what, want, list.len())?;
        self.finite(what, list)
    }

    /// Refuses estimates of another count than `want`, and what [`estimates`](Self::estimates) does.
    pub fn series(&self, what: &str, want: usize, list: &[Estimate]) -> Result<()> {
        self.length(what, want, list.len())?;
        self.estimates(what, list)
    }

    /// Refuses a value below `lo` or above `hi`; NaN passes as missing.
    pub fn within(&self, what: &str, value: f64, (lo, hi): (f64, f64)) -> Result<()> {
        if value.is_nan() || (lo..=hi).contains(&value) {
            return Ok(());
        }
        Err(FigureError::Outside { figure: self.figure.into(), what: what.into(), value, lo, hi })
    }

    /// Refuses a figure in which every value is missing.
    pub fn any_value<'v>(
        &self,
        what: &str,
        values: impl IntoIterator<Item = &'v f64>,
    ) -> Result<()> {
        self.not_empty(what, values.into_iter().filter(|v| !v.is_nan()).count())
    }

    /// Refuses a repeated key, which would be drawn over its twin.
    pub fn distinct<T: Ord>(
        &self,
        what: impl Fn(&T) -> String,
        keys: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        let mut seen = BTreeSet::new();
        match keys.into_iter().find_map(|key| seen.replace(key)) {
            None => Ok(()),
            Some(twin) => Err(FigureError::Twice { figure: self.figure.into(), what: what(&twin) }),
        }
    }

    /// Refuses positions that do not increase along a line.
    pub fn increasing<T: PartialOrd>(&self, what: &str, list: &[T]) -> Result<()> {
        if list.windows(2).all(|w| w[0] < w[1]) {
            return Ok(());
        }
        Err(FigureError::Order { figure: self.figure.into(), what: what.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_value_is_refused_with_the_figures_name() {
        let check = Check::new("coupling").unwrap();
        let error = check.finite("base", &[0.0, f64::INFINITY]).unwrap_err();
        assert!(error.to_string().contains("`coupling`"));
        assert!(error.to_string().contains("base"));
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        for name in ["", "../up", "a b", "a.svg"] {
            assert!(Check::new(name).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn a_swapped_interval_is_refused() {
        let check = Check::new("shift").unwrap();
        assert!(check.estimates("conscious", &[Estimate::new(0.0, 1.0, -1.0)]).is_err());
    }
}
