//! One request to a judge, and what its outcome means.
//!
//! The outcome says what to do next rather than what went wrong: take the words, try again later,
//! give this case up, or stop altogether. Statuses are sorted once, here. Whatever a server sends
//! back passes through [`Key::redact`](super::Key::redact) before anyone sees it, since servers
//! have been known to quote the key that they refuse.

use super::endpoint::Endpoint;
use super::pace::retry_after;
use super::{prompt, Case};
use serde::Deserialize;
use std::time::{Duration, SystemTime};
use ureq::Agent;

/// Longest reply read, in bytes.
const LONGEST_BODY: u64 = 1 << 20;
/// Characters of a refusal that are shown.
const EXCERPT: usize = 200;

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The judge's words, paid for.
    Words {
        text: String,
        /// Tokens in and out, where the server says so.
        usage: Option<(u64, u64)>,
    },
    /// A failure that may pass; the server may have said when.
    Later {
        why: String,
        after: Option<Duration>,
    },
    /// This case will not be judged, others may.
    No { why: String },
    /// No case will be judged.
    Never { why: String, hint: String },
}

/// Asks one judge.
pub struct Client<'a> {
    endpoint: &'a Endpoint,
    agent: Agent,
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Words,
}

#[derive(Deserialize)]
struct Words {
    /// Null when the server's own filter refuses.
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl<'a> Client<'a> {
    pub fn new(endpoint: &'a Endpoint) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(endpoint.timeout))
            .max_redirects(0)
            .user_agent(concat!("residuum/", env!("CARGO_PKG_VERSION")));
        if endpoint.is_local() {
            config = config.proxy(None);
        }
        Client {
            endpoint,
            agent: config.build().new_agent(),
        }
    }

    /// Asks about one case.
    pub fn ask(&self, case: &Case) -> Outcome {
        let body = self.endpoint.body(prompt::SYSTEM, &prompt::user(case));
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
        let after = header
            .and_then(|v| v.to_str().ok())
            .and_then(|v| retry_after(v, SystemTime::now()));
        let text = response
            .body_mut()
            .with_config()
            .limit(LONGEST_BODY)
            .lossy_utf8(true)
            .read_to_string();
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
            _ => Outcome::Later {
                why: format!("the request failed ({why})"),
                after: None,
            },
        }
    }

    fn sort(&self, status: u16, after: Option<Duration>, body: &str) -> Outcome {
        let why = || {
            let text = self.shown(body);
            match text.is_empty() {
                true => "it gave no reason".to_string(),
                false => text,
            }
        };
        let never = |hint: &str| Outcome::Never {
            why: format!("status {status}: {}", why()),
            hint: hint.into(),
        };
        match status {
            200..=299 => match serde_json::from_str::<Completion>(body) {
                Ok(Completion { choices, usage }) if !choices.is_empty() => {
                    let words = choices.into_iter().next().and_then(|c| c.message.content);
                    Outcome::Words {
                        text: self.redacted(&words.unwrap_or_default()),
                        usage: usage.map(|u| (u.prompt_tokens, u.completion_tokens)),
                    }
                }
                _ => Outcome::Later {
                    why: format!("the reply is no chat completion: {}", why()),
                    after,
                },
            },
            300..=399 => never("the address moved: give the new one"),
            401 | 403 => never(match self.endpoint.key {
                Some(_) => "check the key and what it may use",
                None => "no key was sent: set the environment variable that is to hold it",
            }),
            404 | 405 => never("check the judge's address and the name of its model"),
            402 => never("the account has no credit"),
            408 | 409 | 425 | 429 | 500..=599 => Outcome::Later {
                why: format!("status {status}: {}", why()),
                after,
            },
            _ => Outcome::No {
                why: format!("status {status}: {}", why()),
            },
        }
    }

    fn redacted(&self, text: &str) -> String {
        match &self.endpoint.key {
            Some(key) => key.redact(text),
            None => text.into(),
        }
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
