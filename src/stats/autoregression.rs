//! How long does a deviation last? AR(1) over the turns of conversations.
//!
//! x(t) - m = phi (x(t-1) - m) + noise; the half-life is ln 2 / -ln phi turns. The
//! question decides what m is. [`Centre::Turn`] takes the mean over conversations
//! at that turn: a conversation that stays high all along is sticky, which is
//! what a region that sustains itself means. [`Centre::Conversation`] takes the
//! conversation's own mean: only returns to its own level count. That estimate is
//! far too low in short conversations (Nickell 1981, Econometrica 49:1417,
//! equation 18); the known bias is inverted. Intervals are jackknives over
//! conversations.

use super::error::{enough, same_length, Result};
use super::interval::Interval;
use super::jackknife::{jackknife_of, Jackknifed};
use super::moments::mean;
use super::StatsError;
use serde::{Deserialize, Serialize};

/// What a turn's value is a deviation from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Centre {
    /// The mean over conversations at the same turn.
    Turn,
    /// The conversation's own mean over its turns.
    Conversation,
}

/// Persistence over turns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Persistence {
    /// phi with its jackknife over conversations.
    pub phi: Jackknifed,
    /// Turns until half of a deviation is left: 0 for phi <= 0, infinite for phi >= 1.
    pub half_life: f64,
    /// The ends of phi's interval as half-lives.
    pub half_life_interval: Interval,
    /// Turns of a conversation.
    pub turns: usize,
    /// What was removed.
    pub centre: Centre,
}

/// AR(1) of `conversations`, each its value at every turn, all of one length.
///
/// Errors below 3 conversations, below 3 turns, on differing lengths and on values that are
/// not finite.
pub fn persistence(conversations: &[Vec<f64>], centre: Centre, level: f64) -> Result<Persistence> {
    enough("a half-life over turns", 3, "conversations", conversations.len())?;
    let turns = conversations[0].len();
    enough("a half-life over turns", 3, "turns", turns)?;
    for (row, conversation) in conversations.iter().enumerate() {
        same_length("the turns of two conversations", turns, conversation.len())?;
        if conversation.iter().any(|v| !v.is_finite()) {
            return Err(StatsError::NotFinite { what: "the list of conversations", row });
        }
    }
    let all: Vec<&[f64]> = conversations.iter().map(Vec::as_slice).collect();
    let without = |i: usize| slope(&[&all[..i], &all[i + 1..]].concat(), centre);
    let phi = jackknife_of(slope(&all, centre), all.len(), without, level);
    Ok(Persistence {
        phi,
        half_life: half_life(phi.value),
        half_life_interval: phi.interval.map(half_life),
        turns,
        centre,
    })
}

/// Turns until half of a deviation is left.
pub fn half_life(phi: f64) -> f64 {
    match phi {
        p if p.is_nan() => f64::NAN,
        p if p <= 0.0 => 0.0,
        p if p >= 1.0 => f64::INFINITY,
        p => -(2f64.ln()) / p.ln(),
    }
}

/// phi by least squares after centring; NaN without variance.
fn slope(conversations: &[&[f64]], centre: Centre) -> f64 {
    let turns = conversations[0].len();
    let at =
        |t: usize| conversations.iter().map(|c| c[t]).sum::<f64>() / conversations.len() as f64;
    let by_turn: Vec<f64> = (0..turns).map(at).collect();
    let (mut across, mut own) = (0.0, 0.0);
    for c in conversations {
        let (before, after) = (mean(&c[..turns - 1]), mean(&c[1..]));
        for t in 1..turns {
            let (before, after) = match centre {
                Centre::Turn => (by_turn[t - 1], by_turn[t]),
                Centre::Conversation => (before, after),
            };
            across += (c[t - 1] - before) * (c[t] - after);
            own += (c[t - 1] - before).powi(2);
        }
    }
    match centre {
        Centre::Turn => across / own,
        Centre::Conversation => without_bias(across / own, (turns - 1) as f64),
    }
}

/// Limit of the estimate with own means removed, for many conversations of `steps` steps.
fn expected(phi: f64, steps: f64) -> f64 {
    let a = 1.0 - (1.0 - phi.powf(steps)) / (steps * (1.0 - phi));
    let rest = 1.0 - 2.0 * phi * a / ((1.0 - phi) * (steps - 1.0));
    phi - (1.0 + phi) / (steps - 1.0) * a / rest
}

/// The phi in 0..1 whose expected estimate is `estimate`, by bisection; the estimate's ends
/// are kept: below what phi = 0 would give it is 0, above what phi = .999 gives it is 1.
fn without_bias(estimate: f64, steps: f64) -> f64 {
    if estimate.is_nan() {
        return f64::NAN;
    }
    let (mut lo, mut hi) = (0.0, 0.999);
    if estimate <= expected(lo, steps) {
        return 0.0;
    }
    if estimate >= expected(hi, steps) {
        return 1.0;
    }
    for _ in 0..60 {
        let middle = (lo + hi) / 2.0;
        match expected(middle, steps) < estimate {
            true => lo = middle,
            false => hi = middle,
        }
    }
    (lo + hi) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    /// Stationary conversations with deviation `phi` and a level of their own of sd `level`.
    fn planted(n: usize, turns: usize, phi: f64, level: f64, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = stream(seed, "turns", 0);
        let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
        (0..n)
            .map(|_| {
                let own = level * draw();
                let mut x = draw() / (1.0 - phi * phi).sqrt();
                (0..turns)
                    .map(|t| {
                        if t > 0 {
                            x = phi * x + draw();
                        }
                        own + x + 3.0 * t as f64
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn planted_persistence_is_recovered_in_short_conversations() {
        for phi in [0.0, 0.4, 0.8] {
            let x = planted(2000, 8, phi, 0.0, 1);
            let got = persistence(&x, Centre::Turn, 0.95).unwrap();
            assert!((got.phi.value - phi).abs() < 0.03, "{phi}: {:?}", got.phi);
        }
        for phi in [0.2, 0.5, 0.8] {
            // Levels of their own, no trend.
            let mut x = planted(4000, 8, phi, 2.0, 2);
            for c in &mut x {
                for (t, v) in c.iter_mut().enumerate() {
                    *v -= 3.0 * t as f64;
                }
            }
            let own = persistence(&x, Centre::Conversation, 0.95).unwrap();
            assert!((own.phi.value - phi).abs() < 0.05, "{phi}: {:?}", own.phi);
            let common = persistence(&x, Centre::Turn, 0.95).unwrap();
            assert!(common.phi.value > phi + 0.05, "a lasting level is sticky");
        }
    }

    #[test]
    fn intervals_hold_the_planted_value_at_their_level() {
        let covered = (0..400)
            .filter(|&i| {
                let x = planted(24, 8, 0.6, 0.0, 100 + i);
                let got = persistence(&x, Centre::Turn, 0.95).unwrap();
                got.phi.interval.contains(0.6)
            })
            .count();
        assert!((364..=396).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn half_lives_have_ends() {
        assert!((half_life(0.5) - 1.0).abs() < 1e-12);
        assert_eq!(half_life(-0.2), 0.0);
        assert_eq!(half_life(1.0), f64::INFINITY);
        assert!(half_life(f64::NAN).is_nan());
    }

    #[test]
    fn few_short_or_ragged_conversations_are_refused() {
        let good = vec![vec![1.0, 2.0, 0.0]; 3];
        assert!(persistence(&good[..2], Centre::Turn, 0.95).is_err());
        assert!(persistence(&vec![vec![1.0, 2.0]; 3], Centre::Turn, 0.95).is_err());
        let mut ragged = good.clone();
        ragged[1].push(1.0);
        assert!(persistence(&ragged, Centre::Turn, 0.95).is_err());
    }
}
