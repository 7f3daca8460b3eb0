//! The program that runs: its version, the commit and the tools that it was built from, its optional parts.

use serde::Serialize;

/// How this program was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Build {
    /// Version of the toolkit.
    pub version: &'static str,
    /// Commit, `-dirty` behind it where files differed; empty where that is not known.
    pub commit: &'static str,
    /// The target, such as `x86_64-unknown-linux-gnu`.
    pub target: &'static str,
    /// `release` or `debug`.
    pub profile: &'static str,
    /// The compiler, as `rustc --version` says it.
    pub rustc: &'static str,
    /// Optional parts that were built in.
    pub features: Vec<&'static str>,
}

impl Build {
    /// This program's.
    pub fn here() -> Self {
        let parts = [
            ("cli", cfg!(feature = "cli")),
            ("figures", cfg!(feature = "figures")),
            ("hub", cfg!(feature = "hub")),
            ("judge", cfg!(feature = "judge")),
            ("cuda", cfg!(feature = "cuda")),
        ];
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("RESIDUUM_COMMIT"),
            target: env!("RESIDUUM_TARGET"),
            profile: env!("RESIDUUM_PROFILE"),
            rustc: env!("RESIDUUM_RUSTC"),
            features: parts.into_iter().filter(|p| p.1).map(|p| p.0).collect(),
        }
    }

    /// The commit in words.
    pub fn commit_or_unknown(&self) -> &'static str {
        match self.commit {
            "" => "unknown",
            commit => commit,
        }
    }
}
