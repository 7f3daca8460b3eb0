//! The rules that materials keep, as far as a program can check them.
//!
//! [`lint`] holds a [`Set`] to every rule and returns [`Finding`]s with file and line. One file a
//! family: the [`header`] of each file, [`counts`] of rows and their forms, [`length`] and
//! [`polarity`] of responses, forbidden [`vocabulary`], the [`battery`]'s statuses, what is about a [`conversation`] only, the balance of [`outcomes`], and what is said twice, within a file or across kinds ([`repeats`]). Each opens with
//! the rules it owns and why they stand.
//!
//! The shipped set and a user's are held to the same rules but for size: a shipped file that is too
//! small is an error, a user's gets a note. What is about one shipped file (its number of rows, the words
//! that its side of an argument keeps off) is no rule here but a test of the shipped texts. A user's
//! texts are also held against the shipped ones of other kinds, since a study mixes them. Rules of the
//! shipped question need not bind another: whoever asks that may waive them by name ([`waive`]).

mod battery;
mod conversation;
mod counts;
mod header;
mod length;
mod outcomes;
#[cfg(test)]
mod planted;
mod polarity;
mod repeats;
mod vocabulary;

pub use length::{median, ratio};
pub use polarity::Wording;
pub use repeats::repeats_within;

use super::set::{File, Set};
use super::wording::WordLists;
use super::MaterialError;
use crate::store::names::nearest;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Widest distance of a share from where it belongs: 5 points.
pub const TOLERANCE: f64 = 0.05;

/// One thing that is wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Path, or `<embedded kind>/name.jsonl`.
    #[serde(serialize_with = "shown")]
    pub file: PathBuf,
    /// Counted from 1, blank lines included.
    pub line: usize,
    /// How grave it is.
    pub severity: Severity,
    /// The rule that found it.
    pub rule: Rule,
    /// What was found, in a sentence.
    pub message: String,
}

/// A path that is not UTF-8 is shown as far as it is.
fn shown<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

/// Whether a finding stands against using the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A fault to mend before the file is used.
    Error,
    /// Worth knowing; no fault.
    Note,
}

/// The rules, one name each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The file cannot be read as any kind.
    Format,
    /// The note says what the file is, how it was written, its licence and its version.
    Header,
    /// Two files of a kind have names of their own, two prompts of the battery ids of their own.
    Name,
    /// There are enough rows.
    Size,
    /// Enough templates, forms and system prompts, the right number of pairs; both splits; one turn each.
    Form,
    /// Answers of fine-tune rows are short.
    AnswerLength,
    /// Two sides that are compared, and two questions of an item, match in length.
    SideLength,
    /// "Yes" opens as many answers as "No".
    FirstWord,
    /// Half of the answers are negatively phrased, and neither of two sides more than the other.
    Negation,
    /// A pair opens as its polarity or its key says; other sides that are compared open alike.
    Polarity,
    /// Words that would carry one thing into another.
    Word,
    /// A preference gives its status for every condition, with the reason.
    Status,
    /// A preference gives a judge one sentence.
    Fact,
    /// One file says the same thing twice.
    Duplicate,
    /// Two kinds say the same thing.
    Leak,
}

impl Rule {
    /// All rules.
    const ALL: [Rule; 15] = [
        Rule::Format,
        Rule::Header,
        Rule::Name,
        Rule::Size,
        Rule::Form,
        Rule::AnswerLength,
        Rule::SideLength,
        Rule::FirstWord,
        Rule::Negation,
        Rule::Polarity,
        Rule::Word,
        Rule::Status,
        Rule::Fact,
        Rule::Duplicate,
        Rule::Leak,
    ];
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = Rule::ALL.map(|rule| rule.to_string());
        match names.iter().position(|n| n == name) {
            Some(at) => Ok(Rule::ALL[at]),
            None => {
                let near = nearest(name, names.iter().map(String::as_str)).unwrap_or_default();
                let known = names.join(", ");
                Err(format!("no rule is named `{name}`; did you mean `{near}`? Known: {known}"))
            }
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for Finding {
    /// `file:line: severity: message [rule]`, which editors can follow.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        let (severity, message, rule) = (self.severity, &self.message, self.rule);
        write!(f, "{file}:{line}: {severity}: {message} [{rule}]")
    }
}

/// What one pass has found so far.
struct Findings<'a> {
    set: &'a Set,
    /// The shipped set, where another is checked.
    shipped: Option<&'a Set>,
    lists: &'a WordLists,
    all: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, file: &File, line: usize, rule: Rule, message: String) {
        self.all.push(Finding { file: file.path.clone(), line, severity, rule, message });
    }

    fn error(&mut self, file: &File, line: usize, rule: Rule, message: String) {
        self.add(Severity::Error, file, line, rule, message);
    }

    /// A fault of the shipped set that is only worth knowing of a user's.
    fn ours(&mut self, file: &File, line: usize, rule: Rule, message: String) {
        let severity = if self.set.shipped { Severity::Error } else { Severity::Note };
        self.add(severity, file, line, rule, message);
    }

    /// Too few of something, and in brackets or behind a colon what is wrong with that.
    fn least(
        &mut self,
        file: &File,
        line: usize,
        (n, least): (usize, usize),
        [what, more]: [&str; 2],
    ) {
        if n < least {
            let why = format!("{n} {what} where at least {least} are needed{more}");
            self.error(file, line, Rule::Form, why);
        }
    }
}

/// Holds a set to every rule; findings are in order of file and line.
///
/// # Errors
/// The word lists in the binary cannot be read.
pub fn lint(set: &Set) -> Result<Vec<Finding>, MaterialError> {
    let lists = WordLists::shipped()?;
    let shipped = (!set.shipped).then(Set::shipped);
    let refused = set.refused.iter().map(|r| Finding {
        file: r.path.clone(),
        line: r.line,
        severity: Severity::Error,
        rule: Rule::Format,
        message: r.why.clone(),
    });
    let (shipped, all) = (shipped.as_ref(), refused.collect());
    let mut found = Findings { set, shipped, lists: &lists, all };
    let rules: [fn(&File, &mut Findings); 8] = [
        header::check,
        counts::check,
        length::check,
        polarity::check,
        vocabulary::check,
        battery::check,
        conversation::check,
        outcomes::check,
    ];
    for file in &set.files {
        rules.iter().for_each(|check| check(file, &mut found));
    }
    header::names(&mut found);
    repeats::check(&mut found);
    let mut all = found.all;
    let place = |f: &Finding| set.files.iter().position(|file| file.path == f.file);
    // A stable sort keeps the order of the rules on one line.
    all.sort_by_cached_key(|f| (place(f), f.line));
    Ok(listed(all))
}

/// The first findings of each file and rule, and one that counts those behind.
fn listed(all: Vec<Finding>) -> Vec<Finding> {
    const MOST: usize = 100;
    let mut counts: HashMap<(PathBuf, Rule), usize> = HashMap::new();
    let (mut kept, mut behind): (Vec<Finding>, Vec<Finding>) = Default::default();
    for f in all {
        let n = counts.entry((f.file.clone(), f.rule)).or_default();
        *n += 1;
        match *n - 1 {
            0..MOST => kept.push(f),
            MOST => behind.push(f),
            _ => {}
        }
    }
    let told = behind.into_iter().map(|f| {
        let n = counts[&(f.file.clone(), f.rule)] - MOST;
        let message = format!("{n} more of this rule from here on; mend those above first");
        Finding { message, ..f }
    });
    kept.extend(told);
    kept
}

/// Leaves out what breaks rules that do not bind these texts.
pub fn waive(found: &mut Vec<Finding>, rules: &[Rule]) {
    found.retain(|f| !rules.contains(&f.rule));
}

/// A share in points, for sentences.
fn points(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Whether `count` of `n` is within the tolerance of a share; one row more or less is always allowed,
/// since a small file cannot do better.
fn about(count: usize, n: usize, share: f64) -> bool {
    let distance = (count as f64 - share * n as f64).abs();
    distance <= (TOLERANCE * n as f64).max(1.0) + 1e-9
}

/// The start of a text, for sentences.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("\"{}...\"", text[..end].trim_end()),
        None => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::planted::{breaks, errors, good, keyed, set_of};
    use super::{lint, waive, Rule};

    #[test]
    fn a_good_small_set_gets_notes_only() {
        let found = lint(&set_of(&good())).unwrap();
        assert_eq!(errors(found.clone()), []);
        let rules: Vec<Rule> = found.iter().map(|f| f.rule).collect();
        // Four rows, six pairs without system prompts, four prompts.
        assert_eq!(rules, [Rule::Size, Rule::Size, Rule::Form, Rule::Size]);
    }

    #[test]
    fn a_waived_rule_does_not_bind_and_an_unknown_one_gets_the_nearest() {
        for rule in Rule::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        let sentence = "side-lenght".parse::<Rule>().unwrap_err();
        assert!(sentence.contains("did you mean `side-length`"), "{sentence}");
        let odd = keyed().replace("\"form\":\"limits\"", "\"form\":\"open\"");
        let mut found = lint(&set_of(&[("keyed.jsonl", odd)])).unwrap();
        waive(&mut found, &[Rule::Leak]);
        assert_eq!(errors(found.clone()), [(Rule::Form, "keyed.jsonl".into(), 1)]);
        waive(&mut found, &["form".parse().unwrap()]);
        assert_eq!(errors(found), []);
    }

    #[test]
    fn a_finding_is_a_line_that_editors_can_follow() {
        let found = breaks("rows.jsonl", "\"version\"", "\"edition\"", Rule::Header, 1);
        assert_eq!(
            found.to_string(),
            "rows.jsonl:1: error: `about` lacks `version`; say it in a few words [header]"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_finding() {
        breaks("concept.jsonl", "\"split\":\"dev\"", "\"split\":\"test\"", Rule::Format, 3);
        breaks("preference.jsonl", "{\"id\":\"g-3\"", "{\"id\":g-3", Rule::Format, 4);
    }
}
