//! Texts as a model reads them: from written rows to tokens to pooled activations.
//!
//! [`tokens`] puts a row into the chat template. [`contrast`] reads both sides of a concept in
//! one capture, so that the sides share their prompt's rows, in one of two [`Reading`]s; and
//! [`neutral`] reads the neutral exchanges; both hand back arrays `(n, layers, d)` for the
//! geometry rooms. [`rms`] is the scale of the stream that doses are given in.

use super::Console;
use crate::capture::{self, CaptureError, Position, Request};
use crate::directions::Pairs;
use crate::materials::{self, Concept, NeutralText, Split, TextBody, TextRow};
use crate::model::packed::plan;
use crate::model::{
    Decoder, HookPoint, Hooks, Interventions, Message, Packed, Site, Tokenizer, Tokens,
};
use crate::ops::with_values;
use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use ndarray::{s, Array3, Axis};
use std::collections::BTreeMap;
use std::path::Path;

/// A row as turns; `system` is put before rows that have none of their own. None: a raw text.
pub fn messages(body: &TextBody, system: Option<&str>) -> Option<Vec<Message>> {
    let (own, turns) = match body {
        TextBody::Exchange {
            system: own,
            prompt,
            response,
        } => {
            let mut turns = vec![Message::new("user", prompt)];
            turns.extend(response.as_ref().map(|r| Message::new("assistant", r)));
            (own.as_deref(), turns)
        }
        TextBody::Messages(turns) => (None, turns.clone()),
        TextBody::Raw(_) => return None,
    };
    let has_own = turns.iter().any(|m| m.role == "system");
    let front = own.or(system).filter(|_| !has_own);
    let front = front.map(|s| Message::new("system", s));
    Some(front.into_iter().chain(turns).collect())
}

/// A row as the model is given it, its prompt opened for an answer where it has none.
pub fn rendered(
    tokenizer: &Tokenizer,
    body: &TextBody,
    system: Option<&str>,
) -> crate::model::Result<(String, Tokens)> {
    match (messages(body, system), body) {
        (None, TextBody::Raw(text)) => Ok((text.clone(), tokenizer.text(text)?)),
        (turns, _) => {
            let turns = turns.unwrap_or_default();
            let answered = turns.last().is_some_and(|m| m.role == "assistant");
            tokenizer.rendered(&turns, !answered)
        }
    }
}

/// The tokens of a row.
pub fn tokens(tokenizer: &Tokenizer, row: &TextRow, system: Option<&str>) -> Result<Tokens> {
    Ok(rendered(tokenizer, &row.body, system)?.1)
}

/// How the two sides of a concept are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reading {
    /// Each prompt with the response of either side: the words differ
    Response,
    /// The same neutral exchange behind the system prompt of either side: the words are equal
    Identical,
}

impl Reading {
    pub fn name(self) -> &'static str {
        match self {
            Reading::Response => "response",
            Reading::Identical => "identical",
        }
    }
}

/// Both sides of a concept's pairs at one position.
pub struct ConceptReading {
    /// `(n, layers, d)`.
    pub positive: Array3<f32>,
    /// `(n, layers, d)`.
    pub negative: Array3<f32>,
    /// Prompt of each pair: pairs of one prompt have one number.
    pub prompt: Vec<usize>,
    pub template: Vec<usize>,
    /// Whether a pair may be used to choose a layer.
    pub is_dev: Vec<bool>,
}

impl ConceptReading {
    /// Positive less negative, `(n, layers, d)`.
    pub fn differences(&self) -> Array3<f32> {
        &self.positive - &self.negative
    }

    /// The pairs at layer index `l`.
    pub fn pairs(&self, l: usize) -> Pairs {
        Pairs {
            positive: self.positive.index_axis(Axis(1), l).to_owned(),
            negative: self.negative.index_axis(Axis(1), l).to_owned(),
            prompt: self.prompt.clone(),
            template: self.template.clone(),
            is_dev: self.is_dev.clone(),
        }
    }
}

/// A number for each distinct text, in order of first appearance.
fn numbered<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    texts
        .map(|t| {
            let next = seen.len();
            *seen.entry(t).or_insert(next)
        })
        .collect()
}

/// Tokens of both sides of a concept's pairs, positive and negative by turns.
pub struct Contrast {
    pub texts: Vec<Tokens>,
    pub prompt: Vec<usize>,
    pub template: Vec<usize>,
    pub is_dev: Vec<bool>,
}

/// Of the exchanges behind one pair of system prompts, every this many is for choosing.
const DEV_SHARE: usize = 4;

impl Contrast {
    /// The texts of a reading.
    ///
    /// In the identical reading a pair is a neutral exchange (the prompt, as a cluster) behind the
    /// two system prompts of one number (the template); exchanges go to the numbers by turns, and
    /// a quarter of each number's are development pairs.
    ///
    /// # Errors
    /// A concept without system prompts in the identical reading; a text that is too long.
    pub fn new(tokenizer: &Tokenizer, concept: &Concept, reading: Reading) -> Result<Self> {
        let mut texts = Vec::new();
        if reading == Reading::Response {
            for pair in &concept.pairs {
                for side in [&pair.positive, &pair.negative] {
                    let read = tokenizer.exchange(None, &pair.prompt, side);
                    let place = || format!("{}, pair `{}`", pair.place, pair.id);
                    texts.push(read.with_context(place)?);
                }
            }
            let pairs = || concept.pairs.iter();
            return Ok(Contrast {
                texts,
                prompt: numbered(pairs().map(|p| p.prompt.as_str())),
                template: numbered(pairs().map(|p| p.template.as_str())),
                is_dev: pairs().map(|p| p.split == Split::Dev).collect(),
            });
        }
        let sides: Vec<(&String, &String)> = concept
            .system_positive
            .iter()
            .zip(&concept.system_negative)
            .collect();
        if sides.is_empty() {
            bail!(
                "concept `{}` has no system prompts to read identical text behind; give its note system_positive and system_negative, or read the responses",
                concept.name
            );
        }
        let neutral = neutral_texts()?;
        for (i, text) in neutral.iter().enumerate() {
            let (positive, negative) = sides[i % sides.len()];
            for system in [positive, negative] {
                texts.push(tokenizer.exchange(Some(system), &text.prompt, &text.response)?);
            }
        }
        let n = neutral.len();
        Ok(Contrast {
            texts,
            prompt: (0..n).collect(),
            template: (0..n).map(|i| i % sides.len()).collect(),
            is_dev: (0..n)
                .map(|i| (i / sides.len()) % DEV_SHARE == DEV_SHARE - 1)
                .collect(),
        })
    }

    /// Without the development pairs.
    pub fn main_only(self) -> Self {
        let kept: Vec<usize> = (0..self.is_dev.len())
            .filter(|&i| !self.is_dev[i])
            .collect();
        let of = |from: &[usize]| kept.iter().map(|&i| from[i]).collect();
        let (prompt, template) = (of(&self.prompt), of(&self.template));
        let keep = |(i, t): (usize, Tokens)| (!self.is_dev[i / 2]).then_some(t);
        Contrast {
            texts: self
                .texts
                .into_iter()
                .enumerate()
                .filter_map(keep)
                .collect(),
            prompt,
            template,
            is_dev: vec![false; kept.len()],
        }
    }
}

/// Reads both sides of a concept at every position of the request.
pub fn contrast(
    model: &Decoder,
    contrast: &Contrast,
    request: &Request,
    out: &Console,
    what: &str,
) -> Result<Vec<ConceptReading>> {
    let side = |both: &Array3<f32>, from: isize| both.slice(s![from..;2, .., ..]).to_owned();
    let of = |both: Array3<f32>| ConceptReading {
        positive: side(&both, 0),
        negative: side(&both, 1),
        prompt: contrast.prompt.clone(),
        template: contrast.template.clone(),
        is_dev: contrast.is_dev.clone(),
    };
    let read = read_positions(model, &contrast.texts, request, out, what)?;
    Ok(read.into_iter().map(of).collect())
}

/// Reads the main pairs of a concept at the first position of the request.
pub fn concept(
    model: &Decoder,
    tokenizer: &Tokenizer,
    concept: &Concept,
    request: &Request,
    out: &Console,
    what: &str,
) -> Result<ConceptReading> {
    let texts = Contrast::new(tokenizer, concept, Reading::Response)?.main_only();
    let mut read = contrast(model, &texts, request, out, what)?;
    if read.is_empty() {
        bail!("no position to read");
    }
    Ok(read.swap_remove(0))
}

/// The embedded neutral exchanges.
pub fn neutral_texts() -> Result<Vec<NeutralText>> {
    let text = materials::embedded::neutral_texts();
    Ok(materials::neutral::parse(
        text,
        Path::new("the neutral texts"),
    )?)
}

/// Their tokens.
pub fn neutral_tokens(tokenizer: &Tokenizer, system: Option<&str>) -> Result<Vec<Tokens>> {
    let exchange = |t: &NeutralText| Ok(tokenizer.exchange(system, &t.prompt, &t.response)?);
    neutral_texts()?.iter().map(exchange).collect()
}

/// Activations on the neutral exchanges, `(n, layers, d)`.
pub fn neutral(
    model: &Decoder,
    tokenizer: &Tokenizer,
    request: &Request,
    out: &Console,
    what: &str,
) -> Result<Array3<f32>> {
    read(model, &neutral_tokens(tokenizer, None)?, request, out, what)
}

/// Activations of texts at the first position of the request, `(n, layers, d)`.
pub fn read(
    model: &Decoder,
    texts: &[Tokens],
    request: &Request,
    out: &Console,
    what: &str,
) -> Result<Array3<f32>> {
    let first = Request {
        positions: request.positions[..1.min(request.positions.len())].to_vec(),
        ..request.clone()
    };
    let mut all = read_positions(model, texts, &first, out, what)?;
    if all.is_empty() {
        bail!("no position to read");
    }
    Ok(all.swap_remove(0))
}

/// Activations of texts, `(n, layers, d)` for each position of the request.
pub fn read_positions(
    model: &Decoder,
    texts: &[Tokens],
    request: &Request,
    out: &Console,
    what: &str,
) -> Result<Vec<Array3<f32>>> {
    let shape = (texts.len(), request.layers.len(), model.hidden());
    let mut all = vec![Array3::zeros(shape); request.positions.len()];
    let mut progress = out.bar(what, texts.len());
    let mut keep = |text: usize, position: usize, values: ndarray::Array2<f32>| {
        all[position].index_axis_mut(Axis(0), text).assign(&values);
        if position == 0 {
            progress.step("");
        }
        Ok::<(), CaptureError>(())
    };
    capture::capture(model, texts, request, &Interventions::none(), &mut keep)?;
    Ok(all)
}

/// A request for one position.
pub fn request(position: Position, layers: &[usize]) -> Request {
    Request::new(&[position], layers.to_vec())
}

/// Root mean square of an entry of the stream after block `layer`, over the neutral exchanges and
/// all tokens but those at position 0; a beginning that several texts share counts once.
///
/// # Errors
/// A layer that the model does not have, or one whose RMS is 0 or not finite, so that no dose can
/// be given in it.
pub fn rms(model: &Decoder, tokenizer: &Tokenizer, layer: usize) -> Result<f64> {
    super::vectors::check_block(Some(layer), model.layers())?;
    rms_at(model, tokenizer, HookPoint::resid_post(layer))
}

/// As [`rms`], of the stream at a hook point; at one that is not of the stream, of its block's
/// output.
pub fn rms_at(model: &Decoder, tokenizer: &Tokenizer, point: HookPoint) -> Result<f64> {
    let last = model.layers().saturating_sub(1);
    let point = match point.site {
        Site::Embed | Site::ResidPre | Site::ResidMid | Site::ResidPost => point,
        Site::FinalNorm => HookPoint::resid_post(last),
        _ => HookPoint::resid_post(point.layer),
    };
    let texts = neutral_tokens(tokenizer, None)?;
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    let (mut sum, mut n) = (0f64, 0usize);
    for batch in plan(&ids, capture::BUDGET) {
        let held: Vec<&[u32]> = batch.iter().map(|&i| ids[i]).collect();
        let packed = Packed::new(&held);
        let mut hooks = Hooks::none();
        hooks.stop_after(point.layer);
        hooks.on([point], |_, x, at| {
            let (_, d) = x.dims2()?; // (N, d)
            with_values(x, |x| {
                for (row, _) in x.chunks(d).zip(&at.positions).filter(|(_, p)| **p > 0) {
                    sum += row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                    n += d;
                }
                Ok(())
            })?;
            Ok(None)
        });
        model.forward(&packed, &mut hooks)?;
    }
    let rms = (sum / n.max(1) as f64).sqrt();
    if !rms.is_finite() || rms == 0.0 {
        bail!("the stream at {point} has RMS {rms} on the neutral texts, and a dose is in units of it: choose another place");
    }
    Ok(rms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_pairs_keep_both_sides_beside_their_prompt() {
        let text = |id: u32| Tokens::new(vec![id], vec![crate::model::Role::Text]);
        let all = Contrast {
            texts: (0..8).map(text).collect(),
            prompt: vec![0, 1, 2, 3],
            template: vec![0, 1, 0, 1],
            is_dev: vec![false, true, false, true],
        };
        let main = all.main_only();
        let ids: Vec<u32> = main.texts.iter().map(|t| t.ids[0]).collect();
        assert_eq!(ids, [0, 1, 4, 5]);
        assert_eq!((main.prompt, main.template), (vec![0, 2], vec![0, 0]));
        assert_eq!(main.is_dev, [false, false]);
    }
}
