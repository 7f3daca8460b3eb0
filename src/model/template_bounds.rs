//! What is refused of a template before it is parsed, because parsing or printing it would take the
//! whole stack: a source that nests too deeply, and a namespace that may come to hold itself.

use std::collections::HashSet;

/// Longest source, in bytes; the longest of the models in use has some 30,000.
const SOURCE: usize = 1 << 20;
/// Operators of one tag, which may all nest.
const TAG_OPERATORS: usize = 2_000;
/// Blocks within blocks; a branch of an `if` counts.
const BLOCKS: usize = 200;

/// One `{{ ... }}` or `{% ... %}`.
struct Tag<'a> {
    line: usize,
    statement: bool,
    /// Names, numbers and single marks; a string is its opening quote.
    words: Vec<&'a str>,
}

/// # Errors
/// What is wrong, in words, with the line.
pub(super) fn check(source: &str) -> Result<(), String> {
    if source.len() > SOURCE {
        let n = source.len();
        return Err(format!("has {n} bytes; {SOURCE} are the most that are read"));
    }
    let tags = tags(source);
    nesting(&tags)?;
    only_attributes(&tags)
}

fn nesting(tags: &[Tag]) -> Result<(), String> {
    let mut blocks = 0usize;
    for tag in tags {
        let line = tag.line;
        let name = |w: &&&str| w.chars().all(|c| c.is_alphanumeric() || c == '_');
        let nests = ["not", "and", "or", "in", "is", "if", "else"];
        let plain = |w: &&&str| name(w) && !nests.contains(*w) || **w == ",";
        let operators = tag.words.len() - tag.words.iter().filter(plain).count();
        if operators > TAG_OPERATORS {
            return Err(format!(
                "line {line}: one tag holds {operators} operators; {TAG_OPERATORS} are the most that are read"
            ));
        }
        match tag.words.iter().find(name).filter(|_| tag.statement) {
            Some(w) if w.starts_with("end") => blocks = blocks.saturating_sub(1),
            Some(
                &("if" | "elif" | "for" | "macro" | "call" | "filter" | "with" | "block"
                | "autoescape" | "generation"),
            ) => blocks += 1,
            _ => {}
        }
        if blocks > BLOCKS {
            return Err(format!(
                "line {line}: {blocks} blocks nest in one another; {BLOCKS} are the most that are read"
            ));
        }
    }
    Ok(())
}

/// Refuses `set A.B = ...` where the right side holds a namespace itself, by its own name or that of
/// a variable that was set to it: it could come to hold itself, and has no end when it is compared.
fn only_attributes(tags: &[Tag]) -> Result<(), String> {
    let sets: Vec<Set> = tags.iter().filter_map(Set::of).collect();
    let mut spaces: HashSet<&str> = HashSet::new();
    loop {
        let more: Vec<&str> = (sets.iter())
            .filter(|s| s.attribute.is_none() && !spaces.contains(s.name))
            .filter(|s| s.value.first() == Some(&"namespace") || s.holds(&spaces))
            .map(|s| s.name)
            .collect();
        if more.is_empty() {
            break;
        }
        spaces.extend(more);
    }
    for s in sets.iter().filter(|s| s.attribute.is_some()) {
        if s.holds(&spaces) || s.holds(&HashSet::from([s.name])) {
            return Err(format!(
                "line {}: an attribute of `{}` is set to a namespace, which could come to hold itself",
                s.line, s.name
            ));
        }
    }
    Ok(())
}

/// `set NAME = VALUE` or `set NAME.ATTRIBUTE = VALUE`.
struct Set<'a> {
    line: usize,
    name: &'a str,
    attribute: Option<&'a str>,
    value: &'a [&'a str],
}

impl<'a> Set<'a> {
    fn of(tag: &'a Tag) -> Option<Self> {
        let words = match tag.words.split_first() {
            Some((&("-" | "+"), rest)) => rest,
            _ => &tag.words,
        };
        let (name, attribute, value) = match words {
            ["set", name, "=", value @ ..] => (*name, None, value),
            ["set", name, ".", attribute, "=", value @ ..] => (*name, Some(*attribute), value),
            _ => return None,
        };
        Some(Set { line: tag.line, name, attribute, value })
    }

    /// Whether the value has one of these names for itself, not for an attribute of it.
    fn holds(&self, names: &HashSet<&str>) -> bool {
        let whole = |i: usize| {
            let before = i.checked_sub(1).map(|b| self.value[b]);
            let next = self.value.get(i + 1);
            before != Some(".") && !matches!(next, Some(&("." | "[" | "=")))
        };
        (0..self.value.len()).any(|i| names.contains(self.value[i]) && whole(i))
    }
}

fn tags(source: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(at) = ["{{", "{%", "{#"].into_iter().filter_map(|o| rest.find(o)).min() {
        line += rest[..at].matches('\n').count();
        let (open, inner) = (&rest[at..at + 2], &rest[at + 2..]);
        let (words, end) = match open {
            "{#" => (Vec::new(), inner.find("#}").unwrap_or(inner.len())),
            _ => words(inner),
        };
        line += inner[..end].matches('\n').count();
        tags.push(Tag { line, statement: open == "{%", words });
        rest = &inner[end..];
    }
    tags
}

/// The words of a tag, and where it ends.
fn words(tag: &str) -> (Vec<&str>, usize) {
    let bytes = tag.as_bytes();
    let name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    let (mut words, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        let from = i;
        match bytes[i] {
            quote @ (b'"' | b'\'') => {
                i += 1;
                while i < bytes.len() && bytes[i] != quote {
                    i += 1 + usize::from(bytes[i] == b'\\');
                }
                words.push(&tag[from..from + 1]);
                i += 1;
            }
            b'}' | b'%' if bytes.get(i + 1) == Some(&b'}') => return (words, i),
            b if name(b) => {
                while i < bytes.len() && name(bytes[i]) {
                    i += 1;
                }
                words.push(&tag[from..i]);
            }
            b if b.is_ascii_whitespace() => i += 1,
            _ => {
                i += 1;
                words.push(&tag[from..i]);
            }
        }
    }
    (words, bytes.len())
}
