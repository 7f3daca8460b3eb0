//! Texts of a capture as a model reads them: from written rows to chat template to tokens.

use crate::materials::TextBody;
use crate::model::{Message, Tokenizer, Tokens};

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
