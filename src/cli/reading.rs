//! Texts as a model reads them: from written rows to tokens to pooled activations.
//!
//! [`tokens`] puts a row into the chat template. [`concept`] reads both sides of a concept's
//! pairs in one capture, so that the sides share their prompt's rows, and [`neutral`] reads the
//! neutral exchanges; both hand back arrays `(n, layers, d)` for the geometry rooms. [`rms`] is
//! the scale of the stream that doses are given in.

use super::Console;
use crate::capture::{self, CaptureError, Position, Request};
use crate::directions::Pairs;
use crate::materials::{self, Concept, NeutralText, Pair, Split, TextBody, TextRow};
use crate::model::packed::plan;
use crate::model::{Decoder, HookPoint, Hooks, Interventions, Message, Packed, Tokenizer, Tokens};
use crate::ops::with_values;
use anyhow::Result;
use ndarray::{s, Array3, Axis};
use std::collections::BTreeMap;
use std::path::Path;

/// A row in the model's template; `system` is put before rows that have none of their own.
pub fn tokens(tokenizer: &Tokenizer, row: &TextRow, system: Option<&str>) -> Result<Tokens> {
    let tokens = match &row.body {
        TextBody::Exchange {
            system: own,
            prompt,
            response,
        } => {
            let system = own.as_deref().or(system);
            match response {
                Some(response) => tokenizer.exchange(system, prompt, response)?,
                None => tokenizer.prompt(system, prompt)?,
            }
        }
        TextBody::Messages(messages) => {
            let own = messages.iter().any(|m| m.role == "system");
            let front = system.filter(|_| !own).map(|s| Message::new("system", s));
            let all: Vec<Message> = front.into_iter().chain(messages.iter().cloned()).collect();
            let answered = all.last().is_some_and(|m| m.role == "assistant");
            tokenizer.chat(&all, !answered)?
        }
        TextBody::Raw(text) => tokenizer.text(text)?,
    };
    Ok(tokens)
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
            is_dev: vec![false; self.prompt.len()],
        }
    }
}

/// The pairs of a concept that results are reported on: its main split.
pub fn main_pairs(concept: &Concept) -> Vec<&Pair> {
    let main = concept.pairs.iter().filter(|p| p.split == Split::Main);
    main.collect()
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

/// Reads the main pairs of a concept.
pub fn concept(
    model: &Decoder,
    tokenizer: &Tokenizer,
    concept: &Concept,
    request: &Request,
    out: &Console,
    what: &str,
) -> Result<ConceptReading> {
    let pairs = main_pairs(concept);
    let mut texts = Vec::with_capacity(2 * pairs.len());
    for pair in &pairs {
        for side in [&pair.positive, &pair.negative] {
            texts.push(tokenizer.exchange(None, &pair.prompt, side)?);
        }
    }
    let both = read(model, &texts, request, out, what)?;
    Ok(ConceptReading {
        positive: both.slice(s![..;2, .., ..]).to_owned(),
        negative: both.slice(s![1..;2, .., ..]).to_owned(),
        prompt: numbered(pairs.iter().map(|p| p.prompt.as_str())),
        template: numbered(pairs.iter().map(|p| p.template.as_str())),
    })
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
    let shape = (texts.len(), request.layers.len(), model.hidden());
    let mut all = Array3::zeros(shape);
    let mut progress = out.bar(what, texts.len());
    let mut keep = |text: usize, position: usize, values: ndarray::Array2<f32>| {
        if position == 0 {
            all.index_axis_mut(Axis(0), text).assign(&values);
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
pub fn rms(model: &Decoder, tokenizer: &Tokenizer, layer: usize) -> Result<f64> {
    let texts = neutral_tokens(tokenizer, None)?;
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    let (mut sum, mut n) = (0f64, 0usize);
    for batch in plan(&ids, capture::BUDGET) {
        let held: Vec<&[u32]> = batch.iter().map(|&i| ids[i]).collect();
        let packed = Packed::new(&held);
        let mut hooks = Hooks::none();
        hooks.stop_after(layer);
        hooks.on([HookPoint::resid_post(layer)], |_, x, at| {
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
    Ok((sum / n.max(1) as f64).sqrt())
}
