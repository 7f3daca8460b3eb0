//! Text to token ids, and which part of a chat every token belongs to.
//!
//! [`Tokenizer::chat`] renders and encodes a conversation and gives each token a [`Role`]. Where
//! the contents of the turns stand comes from the rendering ([`super::turns`]); a token that
//! holds any character of a content has its role, also where it joins markup and content, and one
//! that holds any of the response is a response token. Everything else, an inserted default
//! system prompt included, is template. Raw texts get the tokens that the tokenizer itself adds,
//! such as a beginning-of-text token, as in transformers.

use super::date::Date;
use super::error::{ModelError, Result};
use super::sandbox::{shortened, Sandbox};
use super::template::{Message, Template};
use super::thinking::Thinking;
use super::turns;
use crate::store::digest;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper};

/// The part of a text that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Role {
    /// Markup, and a system prompt that the template inserts by itself.
    Template,
    /// A system prompt that was given.
    System,
    /// A user's turn.
    User,
    /// An earlier assistant turn.
    Assistant,
    /// The last assistant turn.
    Response,
    /// A text without turns.
    #[cfg_attr(feature = "cli", value(skip))]
    Text,
}

impl Role {
    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Role::Template => "template",
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Response => "response",
            Role::Text => "text",
        }
    }
}

/// Token ids with the role of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tokens {
    /// `(T)`.
    pub ids: Vec<u32>,
    /// `(T)`.
    pub roles: Vec<Role>,
    /// The prompt of the response, as the model is given it to answer; none where the text has no
    /// response.
    pub prompt: Option<Prompt>,
}

/// Where the prompt of a response ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// It is the first so many tokens.
    First(usize),
    /// It is no beginning of the text's tokens: one of them joins prompt and response, or the
    /// template writes an answered prompt in another way. The prompt's own tokens.
    Joined {
        /// `(T)`.
        ids: Vec<u32>,
        /// `(T)`.
        roles: Vec<Role>,
    },
}

impl Tokens {
    /// Tokens whose prompt ends where the response begins.
    pub fn new(ids: Vec<u32>, roles: Vec<Role>) -> Self {
        let prompt = roles.iter().position(|r| *r == Role::Response);
        Tokens { prompt: prompt.map(Prompt::First), ids, roles }
    }

    /// Indices of the tokens with a role, position 0 left out.
    pub fn with_role(&self, role: Role) -> Vec<usize> {
        (1..self.ids.len()).filter(|&i| self.roles[i] == role).collect()
    }
}

/// Whether a raw text begins with the beginning-of-text token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bos {
    /// It does.
    On,
    /// It does not.
    Off,
    /// As the tokenizer's own files say.
    #[default]
    Model,
}

impl FromStr for Bos {
    type Err = String;

    fn from_str(s: &str) -> std::result::Result<Self, String> {
        let known = [("on", Bos::On), ("off", Bos::Off), ("model", Bos::Model)];
        let found = known.into_iter().find(|(name, _)| *name == s);
        found.map(|(_, bos)| bos).ok_or_else(|| "write on, off or model".into())
    }
}

/// The name of the template that is taken unless another is asked for.
pub(super) const DEFAULT_TEMPLATE: &str = "default";

/// Heading of these options in the help of commands.
#[cfg(feature = "cli")]
const HEADING: &str = "How texts become tokens";

/// What a user may choose of how texts become tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct TextOptions {
    /// Whether a raw text begins with the beginning-of-text token: on, off, or as the model's
    /// tokenizer does
    #[cfg_attr(feature = "cli", arg(long, value_name = "on|off|model", default_value = "model", help_heading = HEADING, hide_short_help = true))]
    pub bos: Bos,
    /// Chat template: by name where the model has several; chatml, llama-2, gemma or alpaca, or a
    /// Jinja file, for a model without one
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME|FILE", help_heading = HEADING))]
    pub template: Option<String>,
    /// Models that can think before they answer: off, keep the thoughts in answers, strip them, or
    /// leave it to the template
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "off|keep|strip|model", default_value = "model", help_heading = HEADING, hide_short_help = true)
    )]
    pub thinking: Thinking,
    /// Date for a chat template that asks for one [default: today]
    #[cfg_attr(feature = "cli", arg(long, value_name = "YYYY-MM-DD", help_heading = HEADING, hide_short_help = true))]
    pub date: Option<Date>,
}

/// What a tokenizer must fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// The longest text allowed.
    pub context: usize,
    /// Rows of the embedding.
    pub vocab: usize,
}

/// The model's tokenizer with its chat template.
pub struct Tokenizer {
    /// Once checked, without its post-processor, which would cut white space off offsets.
    pub(super) inner: Arc<tokenizers::Tokenizer>,
    pub(super) post: Option<Arc<PostProcessorWrapper>>,
    /// Where the library runs, which does what the file says.
    pub(super) sandbox: Sandbox,
    /// The chat template, or why it cannot be used; none where there is none.
    pub(super) template: Option<std::result::Result<Template, String>>,
    /// Name of that template among the model's.
    pub(super) template_name: String,
    /// The beginning-of-text token.
    pub(super) bos: Option<u32>,
    pub(super) add_bos: Bos,
    /// Ids that end generation.
    pub(super) eos: Vec<u32>,
    /// The longest text allowed.
    pub(super) context: usize,
    pub(super) date: Date,
    pub(super) thinking: Thinking,
    /// What a file beside the tokenizer's own says of the beginning-of-text token.
    pub(super) says_bos: Option<bool>,
}

/// Characters of an error of the library that are kept.
pub(super) const MESSAGE: usize = 400;

pub(super) fn tok(e: impl std::fmt::Display) -> ModelError {
    ModelError::Tokenizer(e.to_string())
}

impl Tokenizer {
    /// The tokenizer as its files give it, held against an embedding of `vocab` rows.
    ///
    /// # Errors
    /// A token beyond the embedding; a tokenizer that cannot encode.
    pub(super) fn checked(mut self, vocab: usize) -> Result<Self> {
        let inner = Arc::make_mut(&mut self.inner);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(tok)?;
        self.post = inner.get_post_processor().cloned().map(Arc::new);
        inner.with_post_processor(None::<PostProcessorWrapper>);
        let beyond = inner
            .get_vocab(true)
            .into_iter()
            .filter(|(_, id)| *id as usize >= vocab)
            .min_by_key(|(_, id)| *id);
        if let Some((token, id)) = beyond {
            let token = shortened(&token, 100);
            return Err(tok(format!(
                "token {token:?} has id {id}, but the embedding has {vocab} rows; the tokenizer is another model's"
            )));
        }
        if self.add_bos == Bos::On && self.bos.is_none() {
            return Err(tok("the model names no beginning-of-text token; leave --bos on out"));
        }
        // A damaged file shows at load, not at the first text.
        let ids = self.text("Is it 7 o'clock?\n Ja, é.")?.ids;
        self.decode(&ids)?;
        Ok(self)
    }

    /// The text of a `tokenizer.json` that gives this tokenizer.
    pub fn json(&self) -> Result<String> {
        let mut whole = tokenizers::Tokenizer::clone(&self.inner);
        whole.with_post_processor(self.post.as_deref().cloned());
        whole.to_string(true).map_err(tok)
    }

    /// The chat template, where there is one that can be used.
    pub fn template(&self) -> Option<&Template> {
        self.template.as_ref()?.as_ref().ok()
    }

    /// Why the model's chat template cannot be used, if it cannot.
    pub fn template_problem(&self) -> Option<&str> {
        self.template.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// Whether raw texts begin otherwise than `add_bos_token` says, which transformers 5 does not
    /// ask either where there is a tokenizer.json.
    pub fn bos_in_doubt(&self) -> Result<bool> {
        let begins = self.text("a")?.ids.first() == self.bos.as_ref();
        let said = self.says_bos.filter(|_| self.bos.is_some());
        Ok(self.add_bos == Bos::Model && said.is_some_and(|says| says != begins))
    }

    /// The day that the chat template is told.
    pub fn date(&self) -> Date {
        self.date
    }

    /// The choices that this tokenizer was loaded with.
    pub fn options(&self) -> TextOptions {
        TextOptions {
            bos: self.add_bos,
            template: self.template.as_ref().map(|_| self.template_name.clone()),
            thinking: self.thinking,
            date: Some(self.date),
        }
    }

    /// Whether the model thinks before it answers, though nobody said that it should.
    pub fn thinks_unasked(&self) -> bool {
        self.thinking == Thinking::Model && self.template().is_some_and(|t| t.thinks() || t.opens())
    }

    /// How texts become tokens, as far as it shows: how raw texts begin, the chat template's name,
    /// and a rendered prompt, which holds what the template inserts, a date among it.
    pub fn reading(&self) -> serde_json::Value {
        let example = [Message::new("user", "...")];
        let mut reading = serde_json::json!({
            "bos": self.add_bos,
            "raw_text_begins_with": self.text("").ok().and_then(|t| self.pieces(&t.ids).ok()),
            "template": self.template.as_ref().map(|_| &self.template_name),
            "prompt_example": self.render(&example, true).ok(),
        });
        if self.thinking != Thinking::Model {
            reading["thinking"] = serde_json::json!(self.thinking);
        }
        // The default is part of the model's files, whose digests are told beside this.
        if let Some(t) = self.template().filter(|_| self.template_name != DEFAULT_TEMPLATE) {
            reading["template_sha256"] = digest::of_bytes(t.source().as_bytes()).into();
        }
        reading
    }

    /// What stands in every file made with this tokenizer: [`Tokenizer::reading`] and the day.
    pub fn record(&self) -> serde_json::Value {
        let mut record = self.reading();
        record["date"] = self.date.to_string().into();
        record
    }

    /// Ids after which generation stops.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// The id of a token by its text, if the vocabulary has it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Runs the library's code, for `input` bytes or tokens.
    fn run<T: Send + 'static>(
        &self,
        input: usize,
        work: impl FnOnce(&tokenizers::Tokenizer) -> tokenizers::Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        let outcome = self.sandbox.run(input, move || work(&inner).map_err(|e| e.to_string()));
        let damaged = |why| tok(format!("its file {why}; it is damaged"));
        outcome.map_err(damaged)?.map_err(|e| tok(shortened(&e, MESSAGE)))
    }

    fn within(&self, n: usize) -> Result<()> {
        if n > self.context {
            return Err(ModelError::TooLong { tokens: n, context: self.context });
        }
        Ok(())
    }

    fn encoding(&self, text: &str) -> Result<Encoding> {
        let own = text.to_owned();
        let e = self.run(text.len(), |inner| inner.encode(own, false))?;
        self.within(e.get_ids().len())?;
        Ok(e)
    }

    /// Ids of a string, without special tokens added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encoding(text)?.get_ids().to_vec())
    }

    /// A raw text, with the special tokens that the tokenizer adds to one: every token has role
    /// [`Role::Text`].
    pub fn text(&self, text: &str) -> Result<Tokens> {
        let plain = self.encoding(text)?;
        let ids = match (self.add_bos, &self.post, self.bos) {
            (Bos::Model, Some(post), _) => {
                let post = post.clone();
                let whole = self.run(text.len(), move |_| post.process(plain, None, true))?;
                whole.get_ids().to_vec()
            }
            (Bos::On, _, Some(bos)) => [&[bos], plain.get_ids()].concat(),
            _ => plain.get_ids().to_vec(),
        };
        self.within(ids.len())?;
        let roles = vec![Role::Text; ids.len()];
        Ok(Tokens::new(ids, roles))
    }

    /// Text of ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let own = ids.to_vec();
        self.run(ids.len(), move |inner| inner.decode(&own, true))
    }

    /// The answer that ids say, without the thoughts before it where they are to be stripped.
    pub fn decode_answer(&self, ids: &[u32]) -> Result<String> {
        let opened =
            self.thinking == Thinking::Strip && self.template().is_some_and(Template::opens);
        Ok(self.thinking.answer(self.decode(ids)?, opened))
    }

    /// The text of each token by itself.
    pub fn pieces(&self, ids: &[u32]) -> Result<Vec<String>> {
        let own = ids.to_vec();
        let each = move |inner: &tokenizers::Tokenizer| {
            own.iter().map(|id| inner.decode(&[*id], false)).collect()
        };
        self.run(ids.len(), each)
    }

    /// Renders a conversation by the model's template.
    pub fn render(&self, messages: &[Message], generation_prompt: bool) -> Result<String> {
        match &self.template {
            None => Err(ModelError::NoTemplate),
            Some(Err(why)) => Err(ModelError::Template(why.clone())),
            Some(Ok(template)) => template.render(messages, generation_prompt),
        }
    }

    /// Renders and encodes a conversation. If its last turn is the assistant's, that turn is the
    /// response; with `generation_prompt` the opening of an assistant turn is appended.
    ///
    /// # Errors
    /// A model without a template; what the template raises; a turn that it changes or leaves
    /// out; a text beyond the context.
    pub fn chat(&self, messages: &[Message], generation_prompt: bool) -> Result<Tokens> {
        Ok(self.rendered(messages, generation_prompt)?.1)
    }

    /// As [`Tokenizer::chat`], with the rendered text.
    pub fn rendered(
        &self,
        messages: &[Message],
        generation_prompt: bool,
    ) -> Result<(String, Tokens)> {
        let render = |m: &[Message]| self.render(m, generation_prompt);
        let (text, spans) = turns::render(messages, &render)?;
        let last = messages.len().saturating_sub(1);
        let role_of = |turn: usize| match messages[turn].role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" if turn == last => Role::Response,
            _ => Role::Assistant,
        };
        let parts: Vec<(Range<usize>, Role)> =
            spans.into_iter().map(|s| (s.bytes, role_of(s.turn))).collect();
        let e = self.encoding(&text)?;
        let special = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let roles = e.get_offsets().iter().zip(e.get_ids()).map(|(&(a, b), id)| {
            // A special token may take the white space beside it, which is not what it says.
            let said = text.get(a..b).filter(|_| special.contains_key(id));
            let left = said.map_or(0, |t| t.len() - t.trim_start().len());
            let right = said.map_or(0, |t| t.len() - t.trim_end().len());
            role(&parts, a + left, b.max(left + right + a) - right)
        });
        let mut tokens = Tokens::new(e.get_ids().to_vec(), roles.collect());
        if tokens.prompt.is_some() {
            tokens.prompt = self.prompt_of(&messages[..last], &tokens.ids)?.or(tokens.prompt);
        }
        Ok((text, tokens))
    }

    /// The prompt of an answered conversation: what the template gives for `messages` alone. None
    /// where it gives nothing or refuses.
    fn prompt_of(&self, messages: &[Message], whole: &[u32]) -> Result<Option<Prompt>> {
        let Ok(prompt) = self.render(messages, true) else {
            return Ok(None);
        };
        let ids = self.encode(&prompt)?;
        if ids.is_empty() || whole.starts_with(&ids) {
            return Ok(Some(ids.len()).filter(|n| *n > 0).map(Prompt::First));
        }
        let alone = self.rendered(messages, true);
        Ok(alone.ok().map(|(_, t)| Prompt::Joined { ids: t.ids, roles: t.roles }))
    }

    /// The tokens that end assistant turns, of a conversation of this tokenizer: after each turn
    /// the next token that is not white space, where it is a special one.
    pub fn turn_ends(&self, tokens: &Tokens) -> Result<Vec<usize>> {
        let spoken = |i: usize| matches!(tokens.roles[i], Role::Assistant | Role::Response);
        let mut ends = Vec::new();
        for i in 1..tokens.ids.len() {
            if spoken(i) || !spoken(i - 1) {
                continue;
            }
            let mut at = i;
            while at < tokens.ids.len() && tokens.roles[at] == Role::Template {
                let id = tokens.ids[at];
                let special = self.inner.get_added_vocabulary();
                let token = self.inner.id_to_token(id).unwrap_or_default();
                if self.eos.contains(&id) || special.is_special_token(&token) {
                    ends.push(at);
                    break;
                }
                if !self.pieces(&[id])?.concat().trim().is_empty() {
                    break;
                }
                at += 1;
            }
        }
        Ok(ends)
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

/// The role of the token of bytes `a..b`, of parts in the order of the text.
fn role(parts: &[(Range<usize>, Role)], a: usize, b: usize) -> Role {
    let within = |p: &&(Range<usize>, Role)| a.max(p.0.start) < b.min(p.0.end);
    let mut roles = parts.iter().filter(within).map(|p| p.1);
    let first = roles.next();
    match first.into_iter().chain(roles).any(|r| r == Role::Response) {
        true => Role::Response,
        false => first.unwrap_or(Role::Template),
    }
}

pub(crate) fn prompt_messages(system: Option<&str>, prompt: &str) -> Vec<Message> {
    let system = system.map(|s| Message::new("system", s));
    system.into_iter().chain([Message::new("user", prompt)]).collect()
}
