//! Text to token ids, and which part of a chat every token belongs to.
//!
//! A tokenizer comes from `tokenizer.json` or is rebuilt from GGUF metadata (byte-level BPE).
//! [`Tokenizer::chat`] renders and encodes a conversation and gives each token a [`Role`]: the
//! contents of the turns are found in the rendered string and tokens fall to them by character
//! offset; everything else, an inserted default system prompt included, is template.

use super::error::{ModelError, Result};
use super::template::{Message, Template};
use ahash::AHashMap;
use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, PreTokenizerWrapper};

/// The part of a text that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Markup, and a system prompt that the template inserts by itself.
    Template,
    System,
    User,
    /// An earlier assistant turn.
    Assistant,
    /// The last assistant turn.
    Response,
    /// A text without turns.
    Text,
}

/// Token ids with the role of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tokens {
    pub ids: Vec<u32>,
    pub roles: Vec<Role>,
}

impl Tokens {
    /// Indices of the tokens with a role, position 0 left out.
    pub fn with_role(&self, role: Role) -> Vec<usize> {
        (1..self.ids.len())
            .filter(|&i| self.roles[i] == role)
            .collect()
    }

    /// Index of the first token of the response.
    pub fn response_start(&self) -> Option<usize> {
        self.roles.iter().position(|r| *r == Role::Response)
    }
}

/// The model's tokenizer with its chat template.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    template: Option<Template>,
    eos: Vec<u32>,
    context: usize,
}

/// What GGUF metadata says of a tokenizer.
pub struct GgufTokens {
    pub kind: String,
    pub pre: String,
    pub tokens: Vec<String>,
    pub types: Vec<i32>,
    pub merges: Vec<String>,
}

fn tok(e: impl std::fmt::Display) -> ModelError {
    ModelError::Tokenizer(e.to_string())
}

/// The pre-tokenizer by the name that GGUF files give it.
fn pre_tokenizer(pre: &str) -> Result<PreTokenizerWrapper> {
    let byte_level = ByteLevel::new(false, true, true);
    match pre {
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => {
            let digits = Digits::new(true);
            Ok(Sequence::new(vec![digits.into(), byte_level.into()]).into())
        }
        "gpt-2" | "default" | "" => Ok(byte_level.into()),
        other => Err(tok(format!(
            "the file's pre-tokenizer `{other}` is not known; use the model's Hugging Face folder"
        ))),
    }
}

impl Tokenizer {
    /// Byte-level BPE from GGUF metadata; control and user-defined tokens are added tokens.
    pub fn from_gguf(g: GgufTokens) -> Result<tokenizers::Tokenizer> {
        if g.kind != "gpt2" {
            return Err(tok(format!(
                "the file's tokenizer kind `{}` is not supported, only byte-level BPE (gpt2); use the model's Hugging Face folder",
                g.kind
            )));
        }
        let vocab: AHashMap<String, u32> = g.tokens.iter().cloned().zip(0..).collect();
        let merges = g
            .merges
            .iter()
            .map(|m| match m.split_once(' ') {
                Some((a, b)) => Ok((a.to_string(), b.to_string())),
                None => Err(tok(format!("merge `{m}` is not two tokens"))),
            })
            .collect::<Result<Vec<_>>>()?;
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .build()
            .map_err(tok)?;
        let mut t = tokenizers::Tokenizer::new(bpe);
        t.with_pre_tokenizer(Some(pre_tokenizer(&g.pre)?));
        t.with_decoder(Some(ByteLevel::new(false, true, true)));
        const CONTROL: i32 = 3;
        const USER_DEFINED: i32 = 4;
        let added = |kind: i32| -> Vec<AddedToken> {
            g.tokens
                .iter()
                .zip(&g.types)
                .filter(|(_, &t)| t == kind)
                .map(|(s, _)| AddedToken::from(s.clone(), kind == CONTROL))
                .collect()
        };
        t.add_special_tokens(added(CONTROL)).map_err(tok)?;
        t.add_tokens(added(USER_DEFINED)).map_err(tok)?;
        Ok(t)
    }

    /// From `tokenizer.json`.
    pub fn from_file(path: &std::path::Path) -> Result<tokenizers::Tokenizer> {
        tokenizers::Tokenizer::from_file(path).map_err(|e| ModelError::File {
            path: path.into(),
            why: format!("not a usable tokenizer ({e})"),
        })
    }

    /// `eos` are the ids that end generation; `context` the longest text allowed.
    pub fn new(
        mut inner: tokenizers::Tokenizer,
        template: Option<Template>,
        eos: Vec<u32>,
        context: usize,
    ) -> Result<Self> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(tok)?;
        Ok(Tokenizer {
            inner,
            template,
            eos,
            context,
        })
    }

    /// The text of a `tokenizer.json` that gives this tokenizer.
    pub fn json(&self) -> Result<String> {
        self.inner.to_string(true).map_err(tok)
    }

    pub fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Ids after which generation stops.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    fn within(&self, n: usize) -> Result<()> {
        if n > self.context {
            return Err(ModelError::TooLong {
                tokens: n,
                context: self.context,
            });
        }
        Ok(())
    }

    /// Ids of a string, without special tokens added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let e = self.inner.encode_fast(text, false).map_err(tok)?;
        self.within(e.get_ids().len())?;
        Ok(e.get_ids().to_vec())
    }

    /// A raw text: every token has role [`Role::Text`].
    pub fn text(&self, text: &str) -> Result<Tokens> {
        let ids = self.encode(text)?;
        let roles = vec![Role::Text; ids.len()];
        Ok(Tokens { ids, roles })
    }

    /// Text of ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(tok)
    }

    /// Renders a conversation by the model's template.
    pub fn render(&self, messages: &[Message], generation_prompt: bool) -> Result<String> {
        self.template
            .as_ref()
            .ok_or(ModelError::NoTemplate)?
            .render(messages, generation_prompt)
    }

    /// Renders and encodes a conversation. If its last turn is the assistant's, that turn is the
    /// response; with `generation_prompt` the opening of an assistant turn is appended.
    pub fn chat(&self, messages: &[Message], generation_prompt: bool) -> Result<Tokens> {
        let text = self.render(messages, generation_prompt)?;
        let last = messages.len().saturating_sub(1);
        let mut spans = Vec::with_capacity(messages.len());
        let mut cursor = 0;
        for (i, m) in messages.iter().enumerate() {
            let content = m.content.trim();
            if content.is_empty() {
                continue;
            }
            let Some(at) = text[cursor..].find(content) else {
                return Err(ModelError::Template(format!(
                    "the {} turn {:?} does not stand in the rendered text",
                    m.role, m.content
                )));
            };
            let (from, to) = (cursor + at, cursor + at + content.len());
            let role = match m.role.as_str() {
                "system" => Role::System,
                "user" => Role::User,
                "assistant" if i == last => Role::Response,
                _ => Role::Assistant,
            };
            spans.push((from, to, role));
            cursor = to;
        }
        let e = self.inner.encode(text.as_str(), false).map_err(tok)?;
        self.within(e.get_ids().len())?;
        let roles = e
            .get_offsets()
            .iter()
            .map(|&(a, b)| {
                spans
                    .iter()
                    .find(|(from, to, _)| a >= *from && b <= *to && b > a)
                    .map_or(Role::Template, |s| s.2)
            })
            .collect();
        Ok(Tokens {
            ids: e.get_ids().to_vec(),
            roles,
        })
    }

    /// One exchange: system prompt if any, user turn, response.
    pub fn exchange(&self, system: Option<&str>, prompt: &str, response: &str) -> Result<Tokens> {
        let mut messages = prompt_messages(system, prompt);
        messages.push(Message::new("assistant", response));
        self.chat(&messages, false)
    }

    /// The prompt of one exchange, up to where the response would begin.
    pub fn prompt(&self, system: Option<&str>, prompt: &str) -> Result<Tokens> {
        self.chat(&prompt_messages(system, prompt), true)
    }
}

fn prompt_messages(system: Option<&str>, prompt: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    if let Some(s) = system {
        messages.push(Message::new("system", s));
    }
    messages.push(Message::new("user", prompt));
    messages
}
