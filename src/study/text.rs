//! The text of a manifest: where it is from, the keys that it holds, and the lines that they are on.
//!
//! The text is kept, so that whatever is found wrong later still names its line.

use super::written::{Fault, Written};
use super::{Result, StudyError};
use crate::store::text;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::de::{DeArray, DeTable, DeValue};

/// The embedded quick study.
pub const QUICK: &str = include_str!("../../assets/studies/quick.toml");

/// The embedded full study.
pub const FULL: &str = include_str!("../../assets/studies/full.toml");

/// The embedded studies by name.
const SHIPPED: [(&str, &str); 2] = [("quick", QUICK), ("full", FULL)];

/// Bytes of the largest manifest that is read.
const LARGEST: u64 = 1 << 20;

/// The text of a manifest, and where it is from.
#[derive(Debug, Clone, Default)]
pub struct Text {
    path: PathBuf,
    text: String,
    /// What its paths are relative to.
    pub folder: PathBuf,
}

impl Text {
    /// A manifest file, or an embedded study by its name, `quick` or `full`, the quick one without any.
    /// The names come first, as those of materials do: `./full` is a path.
    ///
    /// # Errors
    /// `Read` for a file that cannot be read, `Toml` for one too large or no text.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let embedded = |name: &str, text: &str| Text {
            path: PathBuf::from(format!("{name}.toml (embedded)")),
            text: text.into(),
            folder: PathBuf::from("."),
        };
        let path = path.unwrap_or(Path::new("quick"));
        // Compared as text: as paths `./full` and `full` are one.
        if let Some((name, text)) = SHIPPED.into_iter().find(|(name, _)| path.as_os_str() == *name)
        {
            return Ok(embedded(name, text));
        }
        let unreadable = |source| StudyError::Read { path: path.into(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let bad = |why: String| StudyError::Toml { path: path.into(), why };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST {
            return Err(bad(format!("is larger than {LARGEST} bytes; this is no manifest")));
        }
        let text = text::decode(bytes).map_err(|f| bad(format!("line {}: {}", f.line, f.why)))?;
        Ok(Self::of(text, path))
    }

    /// A text as if read from `path`.
    pub fn of(text: String, path: &Path) -> Self {
        Text { path: path.into(), text, folder: path.parent().unwrap_or(Path::new(".")).into() }
    }

    /// The keys, whatever they hold; those of before as those of now.
    ///
    /// # Errors
    /// `Toml` where it is no TOML or has other keys;
    /// `Key` for keys of before that do not go together or with those of now.
    pub fn parse(&self) -> Result<Written> {
        let read: Written = toml::from_str(&self.text).map_err(|e| StudyError::Toml {
            path: self.path.clone(),
            why: e.to_string().trim_end().into(),
        })?;
        read.of_now().map_err(|fault| self.at(fault))
    }

    /// The keys as they are written.
    ///
    /// # Errors
    /// `Toml` where it is no TOML.
    pub fn table(&self) -> Result<toml::Table> {
        toml::from_str(&self.text)
            .map_err(|e| StudyError::Toml { path: self.path.clone(), why: e.to_string() })
    }

    /// A fault with its file and line.
    pub fn at(&self, fault: Fault) -> StudyError {
        StudyError::Key {
            path: self.path.clone(),
            line: self.line(&fault.key),
            key: fault.key,
            why: fault.why,
        }
    }

    /// As [`Self::at`].
    pub fn bad(&self, key: &str, why: String) -> StudyError {
        self.at(Fault { key: key.into(), why })
    }

    /// The line of a key such as `sizes.rows` or `condition.toaster.seeds`, or of what should hold it.
    fn line(&self, key: &str) -> Option<usize> {
        let table = DeTable::parse(&self.text).ok()?;
        let place = |key: &str| {
            let parts: Vec<&str> = key.split('.').collect();
            in_table(table.get_ref(), &parts)
        };
        // Roles may be written in keys of before.
        let at = place(key).or_else(|| match key {
            "roles.focus" => place("causal.condition"),
            "roles.reference" => place("causal.reference"),
            _ => None,
        })?;
        Some(self.text.get(..at)?.matches('\n').count() + 1)
    }
}

/// Where the deepest part of a key that is there begins.
fn in_table(table: &DeTable, parts: &[&str]) -> Option<usize> {
    let (first, rest) = parts.split_first()?;
    let (key, value) = table.iter().find(|(k, _)| k.get_ref() == first)?;
    in_value(value.get_ref(), rest).or(Some(key.span().start))
}

fn in_value(value: &DeValue, parts: &[&str]) -> Option<usize> {
    match value {
        DeValue::Table(t) => in_table(t, parts),
        DeValue::Array(a) => in_array(a, parts),
        _ => None,
    }
}

/// Elements of an array go by their `name`, or by their number from 1.
fn in_array(array: &DeArray, parts: &[&str]) -> Option<usize> {
    let (first, rest) = parts.split_first()?;
    let named = |v: &&toml::Spanned<DeValue>| {
        let table = v.get_ref().as_table();
        let name = table.and_then(|t| t.iter().find(|(k, _)| k.get_ref() == "name"));
        name.is_some_and(|(_, v)| v.get_ref().as_str() == Some(first))
    };
    let number = || array.get(first.parse::<usize>().ok()?.checked_sub(1)?);
    let element = array.iter().find(named).or_else(number)?;
    in_value(element.get_ref(), rest).or(Some(element.span().start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str) -> Option<usize> {
        Text::of(QUICK.into(), Path::new("quick.toml")).line(key)
    }

    #[test]
    fn keys_are_found_by_line() {
        let at = |line: usize| QUICK.lines().nth(line - 1).unwrap();
        for (key, start) in [
            ("seed", "seed = 1"),
            ("sizes.pairs", "pairs = 48"),
            ("recipe.rank", "rank = 16"),
            ("condition.denial.seeds", "seeds = 2"),
            ("condition.3.data", "data = \"toaster\""),
            // What is not there is looked for where it should be.
            ("recipe.warmup", "[recipe]"),
            ("condition.toaster.seeds", "[[condition]]"),
        ] {
            assert!(at(line(key).unwrap()).starts_with(start), "{key}");
        }
        assert!(at(line("condition.denial.seeds").unwrap() - 1).contains("denial"));
        assert_eq!(line("date"), None);
    }

    #[test]
    fn keys_of_before_are_read_as_those_of_now() {
        let now = Text::of(QUICK.into(), Path::new("q")).parse().unwrap();
        let roles = QUICK.find("[roles]").unwrap();
        let rest = &QUICK[roles..][QUICK[roles..].find("\n[").unwrap()..];
        let before = format!("{}{rest}", &QUICK[..roles])
            .replace(
                "couple = [[\"persona\", \"autonomy\"]]",
                "persona = \"persona\"\nautonomy = \"autonomy\"",
            )
            .replace("[causal]", "[causal]\ncondition = \"conscious\"\nreference = \"denial\"");
        let read = |text: &str| Text::of(text.into(), Path::new("q")).parse();
        let old = read(&before).unwrap();
        assert_eq!(old.concepts.couple, now.concepts.couple);
        assert_eq!(
            (old.roles.focus.as_deref(), old.roles.reference.as_deref()),
            (Some("conscious"), Some("denial"))
        );
        let both = QUICK.replace("[causal]", "[causal]\ncondition = \"toaster\"");
        let e = read(&both).unwrap_err().to_string();
        assert!(e.contains("causal.condition and roles.focus"), "{e}");
        let half = before.replace("\nautonomy = \"autonomy\"", "\n");
        let e = read(&half).unwrap_err().to_string();
        assert!(e.contains("concepts.autonomy") && e.contains("couple"), "{e}");
    }

    #[test]
    fn nested_input_and_long_files_are_refused() {
        let dotted = vec!["a"; 79].join(".");
        let deep = format!("{dotted} = {}1", format!("{{ {dotted} = ").repeat(78));
        for text in [
            "a = ".to_string() + &"[".repeat(100_000),
            "a = ".to_string() + &"{a = ".repeat(100_000),
            format!("[{}]", vec!["a"; 100_000].join(".")),
            format!("{} = 1", vec!["a"; 100_000].join(".")),
            format!("{deep}{}", "}".repeat(78)),
        ] {
            let e = Text::of(text, Path::new("deep.toml")).parse().unwrap_err();
            assert!(e.to_string().starts_with("deep.toml: "), "{e}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.toml");
        std::fs::write(&path, "#".repeat(2 << 20)).unwrap();
        let e = Text::read(Some(&path)).unwrap_err().to_string();
        assert!(e.contains("long.toml: is larger"), "{e}");
    }
}
