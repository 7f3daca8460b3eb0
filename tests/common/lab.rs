//! The toy model with what its states are tested on.

use super::toy::{dot, sum, Toy, D, DEPTH};
use ndarray::{Array2, Array3, Axis};
use residuum::capture::{capture, Position, Request};
use residuum::causal::{Bench, Direction, Edited, Kind};
use residuum::materials::Preference;
use residuum::model::{Decoder, HookPoint, Hooks, Interventions, Packed, Tokens};

/// Prompts of each preference.
pub const N: usize = 24;

/// What a state of the toy is tested on.
pub struct Lab {
    pub toy: Toy,
    pub battery: Vec<Preference>,
    pub neutral: Vec<Tokens>,
}

impl Lab {
    pub fn new() -> Self {
        let toy = Toy::new();
        Lab { battery: toy.battery(N), neutral: toy.neutral(8), toy }
    }

    pub fn bench<'a>(&'a self, model: &'a Decoder) -> Bench<'a> {
        Bench {
            model,
            tokenizer: &self.toy.model.tokenizer,
            battery: &self.battery,
            system: None,
            neutral: &self.neutral,
        }
    }

    pub fn base(&self) -> &Decoder {
        &self.toy.model.decoder
    }

    /// The toy with every token moved by these amounts along its planted directions.
    pub fn tuned(&self, read: f64, second: f64, unread: f64) -> Decoder {
        let t = &self.toy;
        let shift = sum(&[(read, &t.read), (second, &t.second), (unread, &t.unread)]);
        self.base().merged(&t.moving(&shift)).unwrap()
    }

    /// The stream at the last token of each prompt, `(N, layers, D)`.
    pub fn last(&self, model: &Decoder) -> Array3<f32> {
        let texts: Vec<Tokens> = self
            .toy
            .prompts(N)
            .iter()
            .map(|p| self.toy.model.tokenizer.prompt(None, p).unwrap())
            .collect();
        let mut out = Array3::zeros((N, DEPTH, D));
        let request = Request::new(&[Position::PromptLast], (0..DEPTH).collect());
        let mut keep = |i: usize, _: usize, values: Array2<f32>| {
            out.index_axis_mut(Axis(0), i).assign(&values);
            Ok(())
        };
        capture(model, &texts, &request, &Interventions::none(), &mut keep).unwrap();
        out
    }
}

pub fn everywhere(name: &str, v: &[f32]) -> Direction {
    Direction::new(name, Kind::Own, (0..DEPTH).map(|l| (l, v.to_vec())).collect())
}

/// Scores of the planted preference, `(1, prompts)`.
pub fn claim(e: &Edited) -> Array2<f64> {
    let own: Vec<f64> = e.scores.iter().filter(|s| s.0 == "claim").map(|s| s.2).collect();
    Array2::from_shape_vec((1, own.len()), own).unwrap()
}

pub fn bits(e: &Edited) -> Vec<u64> {
    e.scores.iter().map(|s| s.2.to_bits()).collect()
}

/// The coordinates of all tokens but the first along `v` after every block.
pub fn coordinates(
    model: &Decoder,
    texts: &[Tokens],
    v: &[f32],
    edits: &Interventions,
) -> Vec<Vec<f64>> {
    let packed = Packed::of(&texts.iter().collect::<Vec<_>>());
    let mut seen = vec![Vec::new(); DEPTH];
    let mut hooks = Hooks::none();
    edits.install(&mut hooks, DEPTH, D).unwrap();
    hooks.on((0..DEPTH).map(HookPoint::resid_post), |point, x, places| {
        let rows = x.to_vec2::<f32>()?.into_iter().zip(&places.positions);
        let inner = rows.filter(|(_, p)| **p > 0).map(|(row, _)| dot(&row, v));
        seen[point.layer].extend(inner);
        Ok(None)
    });
    model.forward(&packed, &mut hooks).unwrap();
    drop(hooks);
    seen
}
