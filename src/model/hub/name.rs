//! `org/name[@revision]`.

use crate::model::plain::plain_name;

/// A repository and one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubName {
    /// `org/name`.
    pub repo: String,
    /// A branch, a tag, `refs/pr/N` or a commit; `main` where none was given.
    pub revision: String,
}

impl HubName {
    /// None for what cannot be a repository and a revision, such as a path of three parts.
    pub fn parse(name: &str) -> Option<HubName> {
        let (repo, revision) = name.split_once('@').unwrap_or((name, "main"));
        let part = |p: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let edge = |c: char| c == '.' || c == '-';
            !p.is_empty() && p.chars().all(plain) && !p.starts_with(edge) && !p.ends_with(edge)
        };
        let (org, model) = repo.split_once('/')?;
        // `--` and `..` stand for something else in the names of cache folders and of paths.
        let odd = repo.contains("--") || repo.contains("..") || repo.ends_with(".gguf");
        let usable = part(org) && part(model) && !odd;
        (usable && plain_name(revision).is_some())
            .then(|| HubName { repo: repo.into(), revision: revision.into() })
    }
}

impl std::fmt::Display for HubName {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.revision.as_str() {
            "main" => f.write_str(&self.repo),
            other => write!(f, "{}@{other}", self.repo),
        }
    }
}

/// Whether this is a commit in full, in lower case.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_names_are_two_parts_and_a_revision() {
        let parsed = HubName::parse("org/tiny-1.0@refs/pr/3").unwrap();
        assert_eq!((parsed.repo.as_str(), parsed.revision.as_str()), ("org/tiny-1.0", "refs/pr/3"));
        assert_eq!(HubName::parse("org/tiny").unwrap().revision, "main");
        for no in [
            "tiny",
            "a/b/c",
            "../x",
            "./x",
            "/x",
            "a/b.gguf",
            "a/..",
            "a--b/c",
            "org/x@",
            "org/x@../y",
            "org/x@/y",
            "org/ x",
            "org/x@a\\b",
        ] {
            assert_eq!(HubName::parse(no), None, "{no}");
        }
    }
}
