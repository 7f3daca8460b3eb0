//! Texts of a capture as a model reads them: from written rows to chat template to tokens.

use crate::materials::{TextBody, TextRow};
use crate::model::{Message, Tokenizer, Tokens};
use anyhow::Result;

/// A row as turns; `system` is put before rows that have none of their own. None: a raw text.
pub fn messages(body: &TextBody, system: Option<&str>) -> Option<Vec<Message>> {
    let (own, turns) = match body {
        TextBody::Exchange { system: own, prompt, response } => {
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
