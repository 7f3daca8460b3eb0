//! Where every reply of a judge is kept: an append-only JSONL file.
//!
//! Each reply is a row, nonsense included, because each was paid for. A row is on its way to the
//! disk before the next request of the thread that got it, so a killed run loses none. Rows carry
//! the case in full, to be read by people, and its key, under which the next run finds it.

use super::{Case, Ruling, Tally, Verdict};
use crate::store::{time, Journal, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::prompt::VERSION;

/// One reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Digest of judge, prompt version and case, as [`Case::key`] makes it.
    pub key: String,
    /// Name of the judge, with all that changes its replies.
    pub judge: String,
    /// Version of the judge's prompt.
    pub version: String,
    /// None: the reply is no verdict.
    pub verdict: Option<Verdict>,
    /// The reply as it came, or its thoughts if that is all; empty for a judge that is scored on
    /// words.
    pub raw: String,
    /// Whether the token limit ended it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Log-probabilities behind the verdict of a judge that is scored on words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
    /// Tokens of the request; 0 where the server does not say, or there is none.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of the reply, in the same way.
    #[serde(default)]
    pub completion_tokens: u64,
    /// The case's question.
    pub question: String,
    /// The case's answer.
    pub answer: String,
    /// The case's fact.
    pub fact: String,
    /// When it came, UTC.
    pub at: String,
}

impl Reply {
    /// A reply to a case that has just come, without tokens or scores.
    pub fn new(judge: &str, case: &Case, verdict: Option<Verdict>, raw: &str) -> Self {
        Reply {
            key: case.key(judge),
            judge: judge.into(),
            version: VERSION.into(),
            verdict,
            raw: raw.into(),
            question: case.question.clone(),
            answer: case.answer.clone(),
            fact: case.fact.clone(),
            at: time::utc_now(),
            ..Reply::default()
        }
    }
}

/// All replies of all judges so far.
#[derive(Debug)]
pub struct Store {
    journal: Journal,
    /// The verdict of each key, none where no reply is one.
    known: HashMap<String, Option<Verdict>>,
}

impl Store {
    /// Opens or creates the file at `path`.
    ///
    /// # Errors
    /// A line that is no reply, or the file system's refusal.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let (journal, rows) = Journal::open::<Reply>(path)?;
        let mut store = Store { journal, known: HashMap::new() };
        for row in &rows {
            store.note(row);
        }
        Ok(store)
    }

    fn note(&mut self, row: &Reply) {
        let verdict = self.known.entry(row.key.clone()).or_default();
        *verdict = verdict.or(row.verdict);
    }

    /// Adds a reply.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn append(&mut self, row: &Reply) -> Result<(), StoreError> {
        self.journal.append(row)?;
        self.note(row);
        Ok(())
    }

    /// What is known of a case: its verdict; `Unparsed` if there are only other replies; none if
    /// its judge has not replied. A silent answer needs no judge.
    pub fn ruling(&self, judge: &str, case: &Case) -> Option<Ruling> {
        if case.is_silence() {
            return Some(Ruling::Verdict(Verdict::SILENCE));
        }
        let known = self.known.get(&case.key(judge))?;
        Some(known.map_or(Ruling::Unparsed, Ruling::Verdict))
    }

    /// Where the replies are kept.
    pub fn path(&self) -> &Path {
        self.journal.path()
    }
}

/// The different cases that a judge can be asked about, and how many of them are settled.
pub(super) fn unsettled<'a>(
    cases: &'a [Case],
    judge: &str,
    store: &Store,
) -> (Vec<&'a Case>, Tally) {
    let mut seen = HashSet::new();
    let mut tally = Tally::default();
    let mut todo = Vec::new();
    for case in cases.iter().filter(|c| !c.is_silence() && seen.insert(c.key(judge))) {
        tally.cases += 1;
        match store.ruling(judge, case) {
            Some(Ruling::Verdict(_)) => tally.known += 1,
            Some(Ruling::Unparsed) | None => todo.push(case),
        }
    }
    (todo, tally)
}

#[cfg(test)]
mod tests {
    use super::super::{Side, Truth};
    use super::*;

    #[test]
    fn rulings_come_back_after_reopening_and_a_torn_line_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("verdicts.jsonl");
        let case =
            |answer: &str| Case { question: "Q?".into(), answer: answer.into(), fact: "F.".into() };
        let yes = Verdict { coherent: true, fact: Truth::True, stance: Side::Expresses };
        let mut store = Store::open(&path).unwrap();
        for (answer, verdict) in [("a", None), ("a", Some(yes)), ("b", None), ("c", Some(yes))] {
            store.append(&Reply::new("m", &case(answer), verdict, "raw")).unwrap();
        }
        drop(store);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let store = Store::open(&path).unwrap();
        let ruling = |a: &str| store.ruling("m", &case(a));
        assert_eq!(ruling("a"), Some(Ruling::Verdict(yes)));
        assert_eq!(ruling("b"), Some(Ruling::Unparsed));
        assert_eq!(ruling("c"), None);
        assert_eq!(ruling(" "), Some(Ruling::Verdict(Verdict::SILENCE)));
        assert_eq!(store.ruling("other", &case("a")), None);
    }
}
