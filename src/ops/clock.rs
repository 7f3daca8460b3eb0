//! Where the time of a run goes, by operation: what `--profile` prints.
//!
//! Operations of a pass follow one another on one thread (each is parallel inside), so their
//! seconds add up to the time spent computing. Off, a clock costs one relaxed load an operation.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Linear maps.
    Linear,
    /// Their backward pass.
    LinearBackward,
    /// Attention.
    Attention,
    /// Its backward pass.
    AttentionBackward,
    /// RMS norms.
    Norm,
    /// Rotary embeddings.
    Rope,
    /// Gated units of the feed-forward.
    Gated,
    /// Residual sums.
    Residual,
    /// Interventions.
    Edit,
    /// The language head.
    Head,
    /// Other elementwise work.
    Elementwise,
    /// The optimiser's steps.
    Optimiser,
    /// Pooling of captured activations.
    Pooling,
}

/// Every operation with the name it is printed under.
const ALL: [(Op, &str); 13] = [
    (Op::Linear, "linear maps"),
    (Op::LinearBackward, "linear maps, backward"),
    (Op::Attention, "attention"),
    (Op::AttentionBackward, "attention, backward"),
    (Op::Norm, "norms"),
    (Op::Rope, "rotary embedding"),
    (Op::Gated, "gated unit"),
    (Op::Residual, "residual sums"),
    (Op::Edit, "edits of the stream"),
    (Op::Head, "language head and loss"),
    (Op::Elementwise, "backward of norms, rope, gate"),
    (Op::Optimiser, "optimiser"),
    (Op::Pooling, "pooling of activations"),
];

static ON: AtomicBool = AtomicBool::new(false);
static NANOS: [AtomicU64; ALL.len()] = [const { AtomicU64::new(0) }; ALL.len()];
static CALLS: [AtomicU64; ALL.len()] = [const { AtomicU64::new(0) }; ALL.len()];

/// Starts counting.
pub fn start() {
    ON.store(true, Relaxed);
}

/// Counts until it is dropped.
pub(crate) struct Clock(Option<(Op, Instant)>);

/// A clock for one call of an operation.
pub(crate) fn clock(op: Op) -> Clock {
    Clock(ON.load(Relaxed).then(|| (op, Instant::now())))
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some((op, begun)) = self.0 {
            NANOS[op as usize].fetch_add(begun.elapsed().as_nanos() as u64, Relaxed);
            CALLS[op as usize].fetch_add(1, Relaxed);
        }
    }
}

/// Time of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// As it is printed.
    pub name: &'static str,
    /// Wall-clock seconds in all.
    pub seconds: f64,
    /// How often it was called.
    pub calls: u64,
}

/// What was counted since [`start`], the longest first; operations never called are left out.
pub fn spent() -> Vec<Spent> {
    let mut all: Vec<Spent> = ALL
        .iter()
        .map(|&(op, name)| Spent {
            name,
            seconds: NANOS[op as usize].load(Relaxed) as f64 / 1e9,
            calls: CALLS[op as usize].load(Relaxed),
        })
        .filter(|s| s.calls > 0)
        .collect();
    all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_stand_in_their_own_slots() {
        for (i, (op, _)) in ALL.iter().enumerate() {
            assert_eq!(*op as usize, i);
        }
    }

    #[test]
    fn a_clock_counts_its_operation_once_started() {
        start();
        drop(clock(Op::Pooling));
        let all = spent();
        assert!(all.iter().any(|s| s.name == "pooling of activations" && s.calls >= 1));
    }
}
