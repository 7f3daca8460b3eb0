//! Where a conversation stands on a direction, turn by turn.
//!
//! Each assistant turn is read at its own tokens, with all that went before it in view and
//! nothing that came after, as the model itself was when it wrote it. The series of one
//! conversation is what the half-life of a persona is computed from: does it stay where it was
//! put, or drift back?

use super::error::Result;
use crate::capture::{capture, Position, Request};
use crate::model::{Decoder, Interventions, Message, ModelError, Role, Tokenizer, Tokens};
use ndarray::Array2;
use std::collections::BTreeSet;

/// A direction at the output of one block.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruler {
    /// What errors call it.
    pub name: String,
    /// The block, counted from 0.
    pub layer: usize,
    /// `(D)`, of any length but 0.
    pub direction: Vec<f32>,
}

/// The projections of one conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnProjections {
    /// Id of the conversation.
    pub id: String,
    /// `(turns, rulers)`: the mean residual over the turn's response tokens times the unit
    /// direction, in the units of the residual stream. NaN for a turn without tokens.
    pub values: Array2<f64>,
    /// Response tokens of each turn.
    pub tokens: Vec<usize>,
}

impl TurnProjections {
    /// The series on one ruler, in the order of the turns.
    pub fn series(&self, ruler: usize) -> Vec<f64> {
        self.values.column(ruler).to_vec()
    }
}

/// Projects every assistant turn of conversations (id and messages) on every ruler.
/// `interventions` are those under which the model spoke.
///
/// # Errors
/// A ruler that is zero, of another width or beyond the depth; a conversation too long.
pub fn project_turns(
    model: &Decoder,
    tokenizer: &Tokenizer,
    conversations: &[(&str, &[Message])],
    rulers: &[Ruler],
    interventions: &Interventions,
) -> Result<Vec<TurnProjections>> {
    let units = units(rulers, model.hidden())?;
    let mut layers: BTreeSet<usize> = rulers.iter().map(|r| r.layer).collect();
    let mut out = Vec::with_capacity(conversations.len());
    // Texts that have tokens to read, with the conversation and turn of each.
    let (mut texts, mut places): (Vec<Tokens>, Vec<(usize, usize)>) = Default::default();
    for (c, (id, messages)) in conversations.iter().enumerate() {
        let ends = (0..messages.len()).filter(|&i| messages[i].role == "assistant");
        let mut tokens = Vec::new();
        for (turn, end) in ends.enumerate() {
            let text = tokenizer.chat(&messages[..=end], false)?;
            tokens.push(text.with_role(Role::Response).len());
            if tokens[turn] > 0 {
                texts.push(text);
                places.push((c, turn));
            }
        }
        out.push(TurnProjections {
            id: id.to_string(),
            values: Array2::from_elem((tokens.len(), rulers.len()), f64::NAN),
            tokens,
        });
    }
    if texts.is_empty() || rulers.is_empty() {
        return Ok(out);
    }
    if !interventions.is_empty() {
        // An edit above the rulers must be met, or it would be taken for one that touches nothing.
        layers.insert(model.layers().saturating_sub(1));
    }
    let request = Request::new(&[Position::ResponseMean], layers.iter().copied().collect());
    let mut keep = |text: usize, _: usize, residuals: Array2<f32>| {
        let (c, turn) = places[text];
        for (r, (ruler, unit)) in rulers.iter().zip(&units).enumerate() {
            let row = residuals.row(layers.range(..ruler.layer).count());
            let dot = row.iter().zip(unit).map(|(x, u)| f64::from(*x) * u);
            out[c].values[[turn, r]] = dot.sum();
        }
        Ok(())
    };
    capture(model, &texts, &request, interventions, &mut keep)?;
    Ok(out)
}

/// Unit vectors of rulers.
fn units(rulers: &[Ruler], hidden: usize) -> Result<Vec<Vec<f64>>> {
    let unit = |r: &Ruler| {
        let norm = r.direction.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if r.direction.len() != hidden || !norm.is_finite() || norm == 0.0 {
            let why = format!(
                    "direction `{}` at layer {} has {} dimensions and length {norm}; the model has {hidden} dimensions, and a direction needs a length",
                    r.name, r.layer, r.direction.len()
                );
            return Err(ModelError::NothingTouched(why).into());
        }
        Ok(r.direction.iter().map(|x| f64::from(*x) / norm).collect())
    };
    rulers.iter().map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_without_length_or_of_another_width_is_refused() {
        let ruler = |direction: &[f32]| Ruler {
            name: "persona".into(),
            layer: 3,
            direction: direction.to_vec(),
        };
        assert_eq!(units(&[ruler(&[3.0, 4.0])], 2).unwrap(), [[0.6, 0.8]]);
        for wrong in [&[0.0, 0.0][..], &[1.0], &[f32::NAN, 1.0]] {
            let text = units(&[ruler(wrong)], 2).unwrap_err().to_string();
            assert!(text.contains("`persona` at layer 3"), "{text}");
        }
    }
}
