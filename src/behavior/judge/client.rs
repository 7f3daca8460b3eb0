//! One request to a judge, and what its outcome means.
//!
//! The outcome says what to do next rather than what went wrong: take the words, try again later,
//! give this case up, or stop altogether. Statuses are sorted once, here. Whatever a server sends
//! back passes through [`Key::redact`](super::Key::redact) before anyone sees it, since servers
//! have been known to quote the key that they refuse.

use super::endpoint::Endpoint;
use super::pace::retry_after;
use super::reply::{of_completion, Words};
use super::{prompt, Case};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use ureq::Agent;

/// Longest reply read, in bytes.
const LONGEST_BODY: u64 = 1 << 20;
/// Characters of a refusal that are shown.
const EXCERPT: usize = 400;

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The judge's words, paid for.
    Words {
        /// What it said, the key taken out.
        words: Words,
        /// Tokens in and out, where the server says so.
        usage: Option<(u64, u64)>,
    },
    /// A failure that may pass; the server may have said when.
    Later {
        /// What failed.
        why: String,
        /// The wait that the server asked for.
        after: Option<Duration>,
    },
    /// This request is refused; others may not be.
    No {
        /// HTTP status.
        status: u16,
        /// The status with the server's own words.
        why: String,
    },
    /// No case will be judged.
    Never {
        /// What is wrong.
        why: String,
        /// What to do about it.
        hint: String,
    },
}

/// Asks one judge.
pub struct Client<'a> {
    endpoint: &'a Endpoint,
    agent: Agent,
}

impl<'a> Client<'a> {
    /// A client with the endpoint's timeout; it follows no redirect.
    pub fn new(endpoint: &'a Endpoint) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(endpoint.timeout))
            .max_redirects(0)
            .user_agent(concat!("residuum/", env!("CARGO_PKG_VERSION")));
        if endpoint.is_local() {
            config = config.proxy(None);
        }
        Client { endpoint, agent: config.build().new_agent() }
    }

    /// Asks about one case, with room for the reply at a level.
    pub fn ask(&self, case: &Case, level: u32) -> Outcome {
        let body = self.endpoint.body(prompt::SYSTEM, &prompt::user(case), level);
        let mut request = self.agent.post(self.endpoint.url());
        if let Some(key) = &self.endpoint.key {
            request = request.header("authorization", key.bearer());
        }
        let mut response = match request.send_json(&body) {
            Ok(response) => response,
            Err(e) => return self.broken(&e),
        };
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after");
        let after =
            header.and_then(|v| v.to_str().ok()).and_then(|v| retry_after(v, SystemTime::now()));
        let text =
            response.body_mut().with_config().limit(LONGEST_BODY).lossy_utf8(true).read_to_string();
        match text {
            Ok(text) => self.sort(status, after, &text),
            // A cut body says nothing; the status may still say whether to come back.
            Err(e) if status == 200 => self.broken(&e),
            Err(_) => self.sort(status, after, ""),
        }
    }

    /// A connection that failed, timed out or was cut.
    fn broken(&self, error: &ureq::Error) -> Outcome {
        let why = self.shown(&error.to_string());
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
                let hint = "check the judge's address and the proxy settings".into();
                Outcome::Never { why, hint }
            }
            _ => Outcome::Later { why: format!("the request failed ({why})"), after: None },
        }
    }

    fn sort(&self, status: u16, after: Option<Duration>, body: &str) -> Outcome {
        let why = || match self.shown(&said(body)) {
            text if text.is_empty() => "it gave no reason".to_string(),
            text => text,
        };
        let never = |hint: &str| Outcome::Never {
            why: format!("status {status}: {}", why()),
            hint: hint.into(),
        };
        match status {
            200..=299 => {
                let body: Value = serde_json::from_str(body).unwrap_or_default();
                let Some(mut words) = of_completion(&body) else {
                    let why = format!("the reply is no chat completion: {}", why());
                    return Outcome::Later { why, after };
                };
                words.text = self.redacted(&words.text);
                words.thoughts = self.redacted(&words.thoughts);
                let tokens = |name: &str| body.get("usage")?.get(name)?.as_u64();
                Outcome::Words {
                    words,
                    usage: tokens("prompt_tokens").zip(tokens("completion_tokens")),
                }
            }
            300..=399 => never("the address moved: give the new one"),
            401 => never(match self.endpoint.key {
                Some(_) => "check the key and what it may use",
                None => "no key was sent: set the environment variable that is to hold it",
            }),
            404 | 405 => never(
                "check the judge's address and the name of its model; \
                 fields of the request are set with --judge-set NAME=JSON",
            ),
            402 => never("the account has no credit"),
            408 | 409 | 425 | 429 | 500..=599 => {
                Outcome::Later { why: format!("status {status}: {}", why()), after }
            }
            _ => Outcome::No { status, why: format!("status {status}: {}", why()) },
        }
    }

    fn redacted(&self, text: &str) -> String {
        self.endpoint.key.as_ref().map_or_else(|| text.into(), |key| key.redact(text))
    }

    /// The beginning of a server's text on one line, without the key.
    fn shown(&self, text: &str) -> String {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self.redacted(&line);
        match line.char_indices().nth(EXCERPT) {
            Some((at, _)) => format!("{} ...", &line[..at]),
            None => line,
        }
    }
}

/// A server's own words in the body of a refusal: its message, or the body as it is.
fn said(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let error = json.get("error").unwrap_or(&json);
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let keys = ["message", "detail", "msg"];
    let named = keys.iter().find_map(|k| text(error.get(*k)?));
    named.or_else(|| text(error)).unwrap_or_else(|| body.into())
}
