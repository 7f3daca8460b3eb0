//! Where the conditions of a figure by layer stand.
//!
//! Over many layers each condition is a line and all share the x of a layer.
//! With three layers or fewer, lines would claim values between layers that
//! nobody measured, so the conditions stand side by side at each layer, each in
//! a lane of its own.

use super::axes::Frame;

/// Lanes of one panel.
pub struct Lanes {
    /// x of each layer.
    pub x: Vec<f64>,
    /// Distance between neighbouring conditions at one layer; 0 for lines.
    pub step: f64,
    pub conditions: usize,
}

/// True when the conditions stand side by side.
pub fn side_by_side(layers: &[usize]) -> bool {
    layers.len() <= 3
}

impl Lanes {
    pub fn new(frame: &Frame, layers: &[usize], conditions: usize) -> Self {
        const WIDEST: f64 = 15.0;
        let step = if side_by_side(layers) {
            let room = frame.area.width() / (layers.len() as f64 + 1.0) * 0.75;
            (room / conditions as f64).min(WIDEST)
        } else {
            0.0
        };
        Lanes { x: layers.iter().map(|&l| frame.x.at(l as f64)).collect(), step, conditions }
    }

    /// x of each layer for the condition at `index`, `off` points to its right.
    pub fn across(&self, index: usize, off: f64) -> Vec<f64> {
        let apart = (index as f64 - (self.conditions as f64 - 1.0) / 2.0) * self.step;
        self.x.iter().map(|x| x + apart + off).collect()
    }
}
