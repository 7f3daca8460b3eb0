//! One line of the calibration: what was measured, what it must be, whether it is.

use std::fmt;

/// A number with the bounds it must lie in.
#[derive(Debug, Clone)]
pub struct Check {
    pub what: String,
    pub got: f64,
    pub lo: f64,
    pub hi: f64,
    /// Planted data sets behind it.
    pub n: usize,
}

impl Check {
    pub fn new(what: impl Into<String>, got: f64, (lo, hi): (f64, f64), n: usize) -> Self {
        let what = what.into();
        Check { what, got, lo, hi, n }
    }

    /// A NaN does not pass.
    pub fn passed(&self) -> bool {
        self.lo <= self.got && self.got <= self.hi
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {:<74} {:>8.4}  {:>7.4} to {:<7.4} {:>6}",
            if self.passed() { "ok  " } else { "FAIL" },
            self.what,
            self.got,
            self.lo,
            self.hi,
            self.n
        )
    }
}

/// How much is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Planted data sets of a coverage.
    pub coverage: usize,
    /// Planted data sets of a distribution of p-values.
    pub null: usize,
    /// Bootstrap draws, flips and random directions of each.
    pub draws: usize,
    /// Bounds of the share of 95 % intervals that hold the planted value.
    pub bounds: (f64, f64),
}

impl Size {
    /// The whole calibration. A sound interval leaves 93 to 97 % of 2,000 trials once in 40,000.
    pub const WHOLE: Size = Size { coverage: 2000, null: 1000, draws: 999, bounds: (0.93, 0.97) };

    /// A reduced form for the tests. Of 400 trials a sound interval leaves these bounds, 3.5
    /// standard errors about 95 %, once in thousands; one that holds 88 % nearly always does.
    pub const REDUCED: Size = Size { coverage: 400, null: 200, draws: 199, bounds: (0.912, 0.988) };
}
