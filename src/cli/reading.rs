//! Texts of a capture as a model reads them: from written rows to chat template to tokens.

use crate::capture::{absent, Position};
use crate::materials::{TextBody, TextRow};
use crate::model::{Message, Tokenizer, Tokens};
use anyhow::{bail, Result};
use serde_json::{json, Value};
use std::path::Path;

/// Where a text is written.
pub fn place(file: &Path, row: &TextRow) -> String {
    format!("{}, line {}, text `{}`", file.display(), row.line, row.id)
}

/// Texts without a token at a position.
pub struct Missing {
    pub position: Position,
    texts: usize,
    first: String,
    /// As a sentence.
    pub text: String,
}

impl Missing {
    pub fn json(&self) -> Value {
        json!({"position": self.position.to_string(), "texts": self.texts, "first": self.first})
    }
}

/// Texts without a token at a position, counted one after the other.
pub struct Lacking<'a> {
    file: &'a Path,
    positions: &'a [Position],
    /// Texts seen.
    n: usize,
    /// By position, how many lack it, and of the first: where it is written, its id, and why.
    found: Vec<Option<(usize, String, String, &'static str)>>,
}

impl<'a> Lacking<'a> {
    /// Of the texts of a file.
    pub fn new(file: &'a Path, positions: &'a [Position]) -> Self {
        Lacking { file, positions, n: 0, found: vec![None; positions.len()] }
    }

    /// Takes the next text.
    pub fn see(&mut self, row: &TextRow, tokens: &Tokens) {
        self.n += 1;
        for (found, position) in self.found.iter_mut().zip(self.positions) {
            let lacks = absent(std::slice::from_ref(tokens), &[*position]);
            let Some(lacks) = lacks.first() else { continue };
            let first = || (0, place(self.file, row), row.id.clone(), lacks.why);
            found.get_or_insert_with(first).0 += 1;
        }
    }

    /// The positions that some texts lack, where they then have `instead`.
    ///
    /// # Errors
    /// A position that all of them lack.
    pub fn missing(self, instead: &str) -> Result<Vec<Missing>> {
        let (n, mut all) = (self.n, Vec::new());
        for (found, &position) in self.found.into_iter().zip(self.positions) {
            let Some((texts, place, first, why)) = found else { continue };
            if texts == n {
                bail!("{place}: there is no token at `{position}`; {why}");
            }
            let text = format!("{texts} of {n} texts have no token at `{position}` and {instead} there; the first is {place}: {why}");
            all.push(Missing { position, texts, first, text });
        }
        Ok(all)
    }
}

/// A row as the model is given it, its prompt opened for an answer where it has none; `system` is put
/// before rows that have none of their own and are no raw text.
pub fn rendered(
    tokenizer: &Tokenizer,
    body: &TextBody,
    system: Option<&str>,
) -> crate::model::Result<(String, Tokens)> {
    let (own, turns) = match body {
        TextBody::Raw(text) => return Ok((text.clone(), tokenizer.text(text)?)),
        TextBody::Messages(turns) => (None, turns.clone()),
        TextBody::Exchange { system: own, prompt, response } => {
            let mut turns = vec![Message::new("user", prompt)];
            turns.extend(response.as_ref().map(|r| Message::new("assistant", r)));
            (own.as_deref(), turns)
        }
    };
    let has_own = turns.iter().any(|m| m.role == "system");
    let front = own.or(system).filter(|_| !has_own).map(|s| Message::new("system", s));
    let turns: Vec<Message> = front.into_iter().chain(turns).collect();
    let answered = turns.last().is_some_and(|m| m.role == "assistant");
    tokenizer.rendered(&turns, !answered)
}
