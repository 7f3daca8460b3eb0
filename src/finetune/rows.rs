//! A conversation as training sees it: token ids and the tokens that the loss is taken at.

use super::{FinetuneError, RowFault};
use crate::model::{Message, Role, Tokenizer};

/// One row: ids, and indices of the tokens to be predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// `(T)`.
    pub ids: Vec<u32>,
    /// Indices into `ids`, increasing.
    pub learn: Vec<usize>,
    /// Whether it is a neutral row that is mixed in, whose part of a batch the recipe's share fixes.
    pub mixed: bool,
}

/// Encodes conversations, as rows of a fine-tune's own. Learned are the tokens of every assistant turn and the special token
/// that ends it, also where white space stands before that.
///
/// # Errors
/// No rows, or the first row that is too long, holds nothing to learn, or is refused by the
/// template, by its number: [`FinetuneError::in_file`] makes a line of it.
pub fn examples(
    tokenizer: &Tokenizer,
    rows: &[Vec<Message>],
    max_tokens: usize,
) -> Result<Vec<Example>, FinetuneError> {
    if rows.is_empty() {
        return Err(FinetuneError::Empty);
    }
    let each = rows.iter().enumerate().map(|(i, messages)| {
        let at = |fault| FinetuneError::Row { row: i + 1, fault };
        example(tokenizer, messages, max_tokens).map_err(at)
    });
    each.collect()
}

fn example(
    tokenizer: &Tokenizer,
    messages: &[Message],
    max_tokens: usize,
) -> Result<Example, RowFault> {
    let tokens = tokenizer.chat(messages, false)?;
    if tokens.ids.len() > max_tokens {
        return Err(RowFault::TooLong { tokens: tokens.ids.len(), limit: max_tokens });
    }
    let spoken =
        |i: usize| matches!(tokens.roles.get(i), Some(Role::Assistant) | Some(Role::Response));
    let mut learn: Vec<usize> = (1..tokens.ids.len()).filter(|&i| spoken(i)).collect();
    learn.extend(tokenizer.turn_ends(&tokens)?);
    learn.sort_unstable();
    if learn.is_empty() {
        return Err(RowFault::NothingToLearn);
    }
    Ok(Example { ids: tokens.ids, learn, mixed: false })
}
