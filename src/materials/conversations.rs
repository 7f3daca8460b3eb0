//! Conversations to train on, and prompts to which a model writes its own answers.
//!
//! A fine-tune file is JSON Lines of `{"messages": [{"role", "content"}, ...]}`; its first
//! line may be a note. Whatever the length of a conversation, its last turn is the
//! assistant's: without it there is nothing to learn from. [`parse_prompts`] reads the
//! instructions that the base model answers itself, which keep a fine-tune's rows mixed
//! with its ordinary manner. Encoding and masking belong to `finetune`.

use super::lines::{At, Lines, PlainNote};
use super::Result;
use crate::model::Message;
use serde::Deserialize;
use std::path::Path;

const ROW: &str = r#"{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}"#;
const PROMPT: &str = r#"{"prompt": "..."}"#;
const NOTE: &str = r#"{"about": {...}}"#;

/// Turns that end with the assistant's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// In order, the last by the assistant.
    pub messages: Vec<Message>,
    /// Where it stands in its file, from 1.
    #[serde(skip)]
    pub line: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptRow {
    prompt: String,
}

/// Reads fine-tune rows. `path` serves the errors only.
///
/// # Errors
/// No rows, a line of another shape, an unknown role, an empty text, a last turn that is
/// not the assistant's.
pub fn parse_conversations(text: &str, path: &Path) -> Result<Vec<Conversation>> {
    let lines = Lines::new(text, path, ROW)?;
    lines.note::<PlainNote>(NOTE)?;
    let checked = |(at, row): (At, Conversation)| {
        check_messages(&row.messages, at)?;
        if row.messages.last().is_none_or(|m| m.role != "assistant") {
            let why = "the last turn is not the assistant's; end the row with the answer to learn";
            return Err(at.refuse("messages", why));
        }
        Ok(Conversation { line: at.line, ..row })
    };
    lines.rows(ROW)?.into_iter().map(checked).collect()
}

/// Reads rows of one prompt each.
///
/// # Errors
/// No rows, a line of another shape, an empty prompt.
pub fn parse_prompts(text: &str, path: &Path) -> Result<Vec<String>> {
    let lines = Lines::new(text, path, PROMPT)?;
    lines.note::<PlainNote>(NOTE)?;
    let checked =
        |(at, row): (At, PromptRow)| at.filled([("prompt", &row.prompt)]).map(|()| row.prompt);
    lines.rows(PROMPT)?.into_iter().map(checked).collect()
}

/// Known roles, filled texts, at least one turn.
pub(super) fn check_messages(messages: &[Message], at: At) -> Result<()> {
    if messages.is_empty() {
        return Err(at.refuse("messages", "there are no turns; write at least one"));
    }
    for message in messages {
        if !matches!(message.role.as_str(), "system" | "user" | "assistant") {
            let why = format!("\"{}\" is no role; use system, user or assistant", message.role);
            return Err(at.refuse("role", why));
        }
        at.filled([("content", &message.content)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."}]}"#;

    fn refused(text: &str) -> String {
        parse_conversations(text, Path::new("rows.jsonl")).unwrap_err().to_string()
    }

    #[test]
    fn a_note_and_blank_lines_are_no_rows() {
        let text = format!("{{\"about\":{{\"what\":\"x\"}}}}\n\n{GOOD}\n\n{GOOD}\n");
        let rows = parse_conversations(&text, Path::new("r")).unwrap();
        assert_eq!(rows.iter().map(|r| r.line).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(rows[1].messages[1], Message::new("assistant", "Hello."));
    }

    #[test]
    fn an_empty_file_is_an_error() {
        assert!(refused("\n\n").contains("rows.jsonl holds no rows"));
    }

    #[test]
    fn malformed_json_names_the_line() {
        let sentence = refused(&format!("{GOOD}\n\n{{\"messages\": [}}\n"));
        assert!(sentence.starts_with("rows.jsonl, line 3, column 15"), "{sentence}");
    }

    #[test]
    fn an_unknown_key_is_named() {
        let sentence = refused(&format!("{GOOD}\n{{\"messages\": [], \"mesages\": []}}"));
        assert!(sentence.contains("line 2") && sentence.contains("`mesages`"), "{sentence}");
    }

    #[test]
    fn a_row_must_end_with_the_assistant() {
        let sentence = refused(r#"{"messages":[{"role":"user","content":"Hi"}]}"#);
        assert!(sentence.contains("line 1, key `messages`"), "{sentence}");
    }

    #[test]
    fn roles_and_contents_are_checked() {
        assert!(refused(&GOOD.replace("user", "human")).contains("\"human\" is no role"));
        assert!(refused(&GOOD.replace("Hello.", " ")).contains("key `content`"));
        assert!(refused(r#"{"messages":[]}"#).contains("no turns"));
    }

    #[test]
    fn prompts_keep_their_order() {
        let text = "{\"about\":{}}\n{\"prompt\":\"b\"}\n{\"prompt\":\"a\"}\n";
        assert_eq!(parse_prompts(text, Path::new("p")).unwrap(), ["b", "a"]);
        let bad = parse_prompts("{\"prompt\":\"a\"}\n{\"prompt\":1}", Path::new("p.jsonl"));
        assert!(bad.unwrap_err().to_string().starts_with("p.jsonl, line 2"));
    }
}
