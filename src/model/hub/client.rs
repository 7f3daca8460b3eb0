//! Requests to the hub: a repository's listing, and the bytes of its files.
//!
//! Redirects are followed here, one at a time, because the token may go to the endpoint itself only
//! (same scheme, host and port) and large files are served from elsewhere. What a file is to be, its
//! size and digest, is believed of the endpoint and of nobody that it points to.

use super::name::{is_commit, is_hex, HubName};
use super::settings::Settings;
use super::Answers;
use crate::model::plain::plain_name;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use ureq::http::{HeaderMap, Uri};
use ureq::{Agent, Body};

const REDIRECTS: usize = 8;
/// Longest listing read, in bytes.
const LONGEST_LISTING: u64 = 64 << 20;
const CONNECT: Duration = Duration::from_secs(20);
/// A server that is silent for longer has gone.
const SILENCE: Duration = Duration::from_secs(60);

/// What a listing says of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    pub size: Option<u64>,
    pub sha256: Option<String>,
    /// The git object, by which `huggingface_hub` names the blob of a file without LFS.
    pub object: Option<String>,
}

/// A repository at one commit.
pub(super) struct Listing {
    pub commit: String,
    pub files: BTreeMap<String, Listed>,
}

/// The beginning of an answer whose body is a file's.
pub(super) struct Answer {
    /// The body goes on from where it was asked to.
    pub resumed: bool,
    pub length: Option<u64>,
    /// What the endpoint says of the file beside its listing.
    pub said: Listed,
    pub body: Body,
}

pub(super) struct Client<'a> {
    settings: &'a Settings,
    origin: String,
    agent: Agent,
}

#[derive(Deserialize)]
struct Written {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    object: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl<'a> Client<'a> {
    pub fn new(settings: &'a Settings) -> Result<Self, String> {
        Client::within(settings, None)
    }

    /// One whose requests may take so long in all.
    fn within(settings: &'a Settings, whole: Option<Duration>) -> Result<Self, String> {
        let endpoint = &settings.endpoint;
        let origin = origin(endpoint)
            .ok_or_else(|| format!("HF_ENDPOINT is `{endpoint}`; write https://HOST"))?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .accept_encoding("identity")
            .timeout_global(whole)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .user_agent(concat!("residuum/", env!("CARGO_PKG_VERSION")));
        if is_loopback(endpoint) {
            config = config.proxy(None);
        }
        Ok(Client { settings, origin, agent: config.build().new_agent() })
    }

    /// The files of a repository at the commit that its revision stands for now.
    ///
    /// # Errors
    /// Words that say what the hub answered, or which part of its answer is not to be trusted.
    pub fn listing(&self, name: &HubName) -> Result<Listing, String> {
        let revision = encoded(&name.revision);
        let path = format!("api/models/{}/revision/{revision}", name.repo);
        // A mirror may know the plain address only, which says no sizes.
        let answer = match self.get(&format!("{path}?blobs=true"), 0) {
            Err((Some(404), _)) => self.get(&path, 0),
            other => other,
        };
        let mut body = answer.map_err(|(status, why)| self.explained(name, status, why))?.body;
        let body = body.with_config().limit(LONGEST_LISTING).read_to_vec();
        let body = body.map_err(|e| format!("its listing was cut ({e})"))?;
        let written: Written = serde_json::from_slice(&body)
            .map_err(|e| format!("{} sent no listing ({e})", self.settings.endpoint))?;
        let commit = written.sha;
        let asked = name.revision.to_ascii_lowercase();
        if !is_commit(&commit) || (is_commit(&asked) && asked != commit) {
            return Err(format!("the hub says that {} is commit {commit:?}", name.revision));
        }
        let mut files = BTreeMap::new();
        for s in written.siblings {
            if plain_name(&s.rfilename).is_none() {
                let file = s.rfilename;
                return Err(format!("it lists a file {file:?}, which is no plain relative name; nothing was fetched"));
            }
            let lfs = s.lfs;
            let listed = Listed {
                size: lfs.as_ref().and_then(|l| l.size).or(s.size),
                sha256: lfs.and_then(|l| l.sha256).filter(|d| is_hex(d, 64)),
                object: s.object.filter(|o| is_hex(o, 40)),
            };
            files.insert(s.rfilename, listed);
        }
        Ok(Listing { commit, files })
    }

    /// A file at a commit, from byte `from`.
    pub fn file(&self, repo: &str, commit: &str, file: &str, from: u64) -> Result<Answer, String> {
        let parts: Vec<String> = file.split('/').map(encoded).collect();
        let path = format!("{repo}/resolve/{commit}/{}", parts.join("/"));
        self.get(&path, from).map_err(|(_, why)| why)
    }

    /// The status with the words where the server answered at all.
    fn get(&self, path: &str, from: u64) -> Result<Answer, (Option<u16>, String)> {
        let mut url = format!("{}/{path}", self.settings.endpoint);
        let mut said = Listed::default();
        for _ in 0..=REDIRECTS {
            let own = origin(&url).is_some_and(|o| o == self.origin);
            let mut request = self.agent.get(&url);
            if let (true, Some(token)) = (own, &self.settings.token) {
                request = request.header("authorization", token.bearer());
            }
            if from > 0 {
                request = request.header("range", format!("bytes={from}-"));
            }
            let answer = request.call().map_err(|e| (None, format!("no answer ({e})")))?;
            let status = answer.status().as_u16();
            if own {
                said = said_by(answer.headers(), said);
            }
            match status {
                200 | 206 => {
                    let packed = answer.headers().contains_key("content-encoding");
                    let length = answer.body().content_length().filter(|_| !packed);
                    let resumed = status == 206 && starts_at(answer.headers(), from);
                    if status == 206 && !resumed {
                        return Err((None, "it sent another part than was requested".into()));
                    }
                    let body = answer.into_body();
                    return Ok(Answer { resumed, length, said, body });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let to = answer.headers().get("location").and_then(|l| l.to_str().ok());
                    url = to.and_then(|to| target(&url, to)).ok_or_else(|| {
                        let why = "it was redirected to no usable address".to_string();
                        (Some(status), why)
                    })?;
                }
                _ => {
                    return Err((Some(status), format!("the server answered with status {status}")))
                }
            }
        }
        Err((None, format!("it was redirected more than {REDIRECTS} times")))
    }

    fn explained(&self, name: &HubName, status: Option<u16>, why: String) -> String {
        let HubName { repo, revision } = name;
        let endpoint = &self.settings.endpoint;
        let token = match self.settings.token {
            Some(_) => "the token that was sent may not read it",
            None => "if it is private or gated, set HF_TOKEN",
        };
        match status {
            Some(404) => format!("{endpoint} has no repository {repo} with a revision {revision}"),
            Some(401 | 403) => format!("{endpoint} does not give {repo} out: {token}"),
            _ => format!("{endpoint}: {why}"),
        }
    }
}

/// What the endpoint says to the question whose the token is, within a time.
///
/// # Errors
/// An address that is none, or the words of what came instead of an answer.
pub(super) fn answers(settings: &Settings, whole: Duration) -> Result<Answers, String> {
    let client = Client::within(settings, Some(whole))?;
    match (client.get("api/whoami-v2", 0), &settings.token) {
        (Ok(_), Some(_)) => Ok(Answers::TakesToken),
        (Err((Some(401), _)), Some(_)) => Ok(Answers::RefusesToken),
        (Ok(_) | Err((Some(_), _)), _) => Ok(Answers::Answers),
        (Err((None, why)), _) => Err(why),
    }
}

/// What the endpoint's headers say of a file, beside what was said before.
fn said_by(headers: &HeaderMap, before: Listed) -> Listed {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let tag = text("x-linked-etag").or(text("etag")).unwrap_or_default();
    let tag = tag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
    let size = text("x-linked-size").and_then(|s| s.parse().ok());
    Listed {
        size: size.or(before.size),
        sha256: Some(tag.clone()).filter(|t| is_hex(t, 64)).or(before.sha256),
        object: Some(tag).filter(|t| is_hex(t, 40)).or(before.object),
    }
}

fn starts_at(headers: &HeaderMap, from: u64) -> bool {
    let range = headers.get("content-range").and_then(|r| r.to_str().ok());
    range.is_some_and(|r| r.trim().starts_with(&format!("bytes {from}-")))
}

/// Scheme, host and port of an address of the web.
fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|s| ["http", "https"].contains(s))?;
    Some(format!("{scheme}://{}", uri.authority()?).to_ascii_lowercase())
}

fn is_loopback(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Where a redirect of `url` leads; none if it leaves the web or TLS.
fn target(url: &str, to: &str) -> Option<String> {
    let origin_here = origin(url)?;
    let scheme = origin_here.split(':').next()?;
    let whole = match () {
        _ if to.starts_with("//") => format!("{scheme}:{to}"),
        _ if to.starts_with('/') => format!("{origin_here}{to}"),
        _ => to.to_string(),
    };
    let there = origin(&whole)?;
    let kept = scheme == "http" || there.starts_with("https:");
    kept.then_some(whole)
}

/// Percent-encoded for one part of a path.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let one = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_scheme_host_and_port_is_the_endpoint() {
        let own = origin("https://hub.example/x").unwrap();
        assert_eq!(origin("https://HUB.example/api?x=1"), Some(own.clone()));
        for other in [
            "http://hub.example/x",
            "https://hub.example:444/x",
            "https://hub.example.evil/x",
            "https://hub.example@evil/x",
            "https://cdn.hub.example/",
        ] {
            assert_ne!(origin(other), Some(own.clone()), "{other}");
        }
        assert_eq!(origin("file:///etc/passwd"), None);
    }

    #[test]
    fn redirects_stay_on_the_web_and_keep_tls() {
        let from = "https://hub.example/a/b";
        let to = |t: &str| target(from, t);
        assert_eq!(to("/c").as_deref(), Some("https://hub.example/c"));
        assert_eq!(to("//cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        assert_eq!(to("https://cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        assert_eq!(to("http://hub.example/c"), None);
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(
            target("http://127.0.0.1:1/a", "http://127.0.0.1:2/b").as_deref(),
            Some("http://127.0.0.1:2/b")
        );
        assert_eq!(encoded("refs/pr/1 é"), "refs%2Fpr%2F1%20%C3%A9");
    }
}
