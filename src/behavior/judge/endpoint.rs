//! A judge behind an address: where it is, which model, with which key, how hard it may be asked.
//!
//! Any server with OpenAI's chat completions will do, a local one among them. The key comes from
//! an environment variable and nowhere else; it has no `Display`, its `Debug` hides it, and
//! [`Key::redact`] takes it out of whatever a server sends back. Fields of the request that some
//! servers want otherwise are set by options, which become part of the judge's name, because
//! another setting is another judge.

use super::{room, JudgeError};
use crate::store::digest;
use serde_json::{json, Map, Value};
use std::fmt;
use std::time::Duration;

const PATH: &str = "/chat/completions";
/// Names that servers have for the longest reply.
#[cfg_attr(not(feature = "judge"), allow(dead_code))]
const LIMITS: [&str; 4] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"];
/// Characters under which a key is a placeholder and no secret.
const PLACEHOLDER: usize = 8;

/// A secret that authorises requests.
#[derive(Clone)]
pub struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl Key {
    /// The key in an environment variable; none if the variable is not set or empty.
    ///
    /// # Errors
    /// A value that cannot stand in a header.
    pub fn from_env(name: &str) -> Result<Option<Key>, JudgeError> {
        let refuse = |why| JudgeError::KeyVariable { name: name.into(), why };
        match std::env::var(name) {
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(_) => Err(refuse("holds bytes that are no text; set it to the key")),
            Ok(value) => Key::new(&value).map_err(refuse),
        }
    }

    /// A key from its text, white space around it dropped; none if nothing is left.
    pub(super) fn new(value: &str) -> Result<Option<Key>, &'static str> {
        let value = value.trim();
        if value.is_empty() {
            return Ok(None);
        }
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(
                "holds characters that no key has, such as a space; set it to the key alone",
            );
        }
        Ok(Some(Key(value.into())))
    }

    #[cfg_attr(not(feature = "judge"), allow(dead_code))]
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// `text` with the key taken out. A shorter key than [`PLACEHOLDER`] is none: local servers
    /// are content with `x`, and to take that out of every word would garble their replies.
    pub fn redact(&self, text: &str) -> String {
        match self.0.len() < PLACEHOLDER {
            true => text.into(),
            false => text.replace(&self.0, "[key]"),
        }
    }
}

/// What a million tokens cost, in and out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Cost of a million prompt tokens, in any currency.
    pub input: f64,
    /// Cost of a million reply tokens, in the same.
    pub output: f64,
}

impl Price {
    /// Cost of so many tokens, in the currency of the price.
    pub fn of(&self, prompt_tokens: u64, completion_tokens: u64) -> f64 {
        (self.input * prompt_tokens as f64 + self.output * completion_tokens as f64) / 1e6
    }
}

/// A judge behind an address, and how it is asked.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Full address of the chat completions.
    url: String,
    /// Name of the model, as the server knows it.
    pub model: String,
    /// Sent with every request; none: none is sent.
    pub key: Option<Key>,
    /// Fields of the request set otherwise; null leaves a field out.
    pub options: Map<String, Value>,
    /// Requests under way at one time.
    pub concurrency: usize,
    /// Requests a minute, retries included; none: no limit.
    pub per_minute: Option<f64>,
    /// Further tries after a failure that may pass.
    pub retries: u32,
    /// Replies that a case gets at most in a run, if they are no verdict.
    pub replies: u32,
    /// Of one request, from connection to last byte.
    pub timeout: Duration,
    /// Of the server's tokens; none: the cost is not known.
    pub price: Option<Price>,
    /// No request is begun once this run has cost as much; needs a price.
    pub budget: Option<f64>,
}

impl Endpoint {
    /// A judge at `url`, which is the base address (`https://host/v1`) or that of the chat
    /// completions itself, with the settings that suit most servers.
    ///
    /// # Errors
    /// An address that is neither http nor https, has no host, or carries a user name or password.
    pub fn new(url: &str, model: &str, key: Option<Key>) -> Result<Self, JudgeError> {
        Ok(Endpoint {
            url: address(url)?,
            model: model.into(),
            key,
            options: Map::new(),
            concurrency: 4,
            per_minute: None,
            retries: 5,
            replies: 3,
            timeout: Duration::from_secs(120),
            price: None,
            budget: None,
        })
    }

    /// Full address of the chat completions.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What verdicts are stored under: the model, and a digest of the options if there are any.
    pub fn name(&self) -> String {
        if self.options.is_empty() {
            return self.model.clone();
        }
        let options = digest::of_json(&Value::Object(self.options.clone()));
        format!("{} with {}", self.model, &options[..12])
    }

    /// Whether the key would travel unencrypted to another machine.
    pub fn key_in_the_open(&self) -> bool {
        self.key.is_some() && self.url.starts_with("http://") && !self.is_local()
    }

    /// Whether the server is on this machine, so that no proxy stands between.
    pub(super) fn is_local(&self) -> bool {
        let host = host(&self.url);
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    }

    /// The body of a request with room for a reply at a level.
    #[cfg_attr(not(feature = "judge"), allow(dead_code))]
    pub(super) fn body(&self, system: &str, user: &str, level: u32) -> Value {
        let mut body = json!({
            "model": self.model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ],
            "temperature": 0,
            "max_tokens": room::FIRST,
        });
        if let Some(fields) = body.as_object_mut() {
            for (name, value) in &self.options {
                match value {
                    Value::Null => fields.remove(name),
                    value => fields.insert(name.clone(), value.clone()),
                };
            }
            for limit in LIMITS {
                if let Some(n) = fields.get(limit).and_then(Value::as_u64) {
                    fields.insert(limit.into(), room::tokens(n, level).into());
                }
            }
        }
        body
    }
}

/// One option as written: `NAME=JSON`.
///
/// # Errors
/// No name, or a value that is not JSON.
pub fn option(text: &str) -> Result<(String, Value), JudgeError> {
    let refuse = || JudgeError::Option(text.into());
    let (name, value) = text.split_once('=').ok_or_else(refuse)?;
    let value = serde_json::from_str(value).map_err(|_| refuse())?;
    match name.trim() {
        "" => Err(refuse()),
        name => Ok((name.into(), value)),
    }
}

fn address(url: &str) -> Result<String, JudgeError> {
    let refuse =
        |shown: &str, why: &str| Err(JudgeError::Address { url: shown.into(), why: why.into() });
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return refuse(url, "does not begin with http:// or https://; give the base address, such as http://127.0.0.1:8000/v1");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((_, host)) = authority.rsplit_once('@') {
        return refuse(&format!("...@{host}"), "carries a user name or password; leave it out and put the key into an environment variable");
    }
    if authority.is_empty() {
        return refuse(url, "names no host");
    }
    let url = url.split('#').next().unwrap_or_default();
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (url, String::new()),
    };
    let path = path.trim_end_matches('/');
    Ok(match path.ends_with(PATH) {
        true => format!("{path}{query}"),
        false => format!("{path}{PATH}{query}"),
    })
}

/// Host of an address that has been checked, in lower case, without its port.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    host.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_the_base_or_the_whole() {
        for (given, want) in [
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions"),
            ("https://a.b/v1/", "https://a.b/v1/chat/completions"),
            ("https://a.b/x/chat/completions?v=1", "https://a.b/x/chat/completions?v=1"),
            ("https://a.b/x?v=1", "https://a.b/x/chat/completions?v=1"),
        ] {
            assert_eq!(Endpoint::new(given, "m", None).unwrap().url(), want);
        }
        for wrong in ["a.b/v1", "ftp://a.b", "http://", "https:///v1"] {
            assert!(Endpoint::new(wrong, "m", None).is_err(), "{wrong}");
        }
        let text = Endpoint::new("https://me:hunter2@a.b/v1", "m", None).unwrap_err().to_string();
        assert!(!text.contains("hunter2") && text.contains("environment variable"), "{text}");
    }

    #[test]
    fn a_key_is_hidden_and_taken_out_of_what_comes_back() {
        let key = Key::new(" sk-secret\n").unwrap().unwrap();
        assert_eq!(key.redact("bad key sk-secret."), "bad key [key].");
        let placeholder = Key::new("x").unwrap().unwrap();
        assert_eq!(placeholder.redact("stance: expresses"), "stance: expresses");
        let endpoint = Endpoint::new("http://a.b/v1", "m", Some(key)).unwrap();
        assert!(!format!("{endpoint:?}").contains("secret"));
        assert!(endpoint.key_in_the_open());
        let local = Endpoint::new("http://LOCALHOST:1/v1", "m", endpoint.key.clone()).unwrap();
        assert!(!local.key_in_the_open() && local.is_local());
        assert!(Key::new(" \n").unwrap().is_none());
        assert!(Key::new("two words").is_err());
        assert!(Key::from_env("RESIDUUM_TEST_NO_SUCH_KEY").unwrap().is_none());
    }

    #[test]
    fn options_change_the_request_and_the_name() {
        let plain = Endpoint::new("http://a.b", "m", None).unwrap();
        let mut other = plain.clone();
        for text in ["max_tokens=null", "max_completion_tokens=2000", "temperature=1"] {
            let (name, value) = option(text).unwrap();
            other.options.insert(name, value);
        }
        let body = other.body("s", "u", 0);
        assert_eq!(body.get("max_tokens"), None);
        assert_eq!(body["max_completion_tokens"], 2000);
        assert_eq!(body["temperature"], 1);
        assert_eq!(plain.body("s", "u", 0)["max_tokens"], 64);
        // Of a reply that was cut, more is asked for, whatever the server calls it.
        assert_eq!(other.body("s", "u", 1)["max_completion_tokens"], 4096);
        assert_eq!(plain.body("s", "u", 2)["max_tokens"], 4096);
        assert_ne!(plain.name(), other.name());
        assert!(option("temperature").is_err() && option("=1").is_err() && option("a=b").is_err());
    }

    #[test]
    fn a_price_is_for_a_million_tokens() {
        let price = Price { input: 2.0, output: 8.0 };
        assert_eq!(price.of(500_000, 250_000), 3.0);
    }
}
