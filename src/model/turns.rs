//! Where each turn of a conversation stands in the rendered text.
//!
//! A turn is never searched for: its text may occur in the markup, in a default system prompt or
//! in another turn. The conversation is rendered a second time with marks in its contents,
//! characters of a private-use plane that occur nowhere in it. Where the marked rendering without
//! its marks is the plain one, to the byte, the template has done the same to both, and the marks
//! say where the contents went, however often, in whatever order.
//!
//! Marks at both ends of every content serve nearly every template. Where they change what a
//! template does (it trims, or looks at how a content begins), each turn is marked alone: at the
//! ends of its text without the white space around it, or at the ends of its words, which also
//! serves templates that cut a `<think>` block off or lay it out anew. What still does not agree
//! is an error: the template changes or drops that content.

use super::error::{ModelError, Result};
use super::sandbox::shortened;
use super::template::Message;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A piece of the rendered text that is the content of a turn; bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Index of the turn.
    pub turn: usize,
    /// Bytes of the rendered text.
    pub bytes: Range<usize>,
}

/// What renders a conversation.
type Render<'a> = dyn Fn(&[Message]) -> Result<String> + 'a;

/// Places in the white space beside a content that are tried, outermost first.
const WIDENED: usize = 64;

/// Characters of a rendering that an error quotes.
const QUOTED: usize = 160;

/// Renders a conversation and finds its turns, in the order of the text. Turns of nothing but
/// white space have no span.
///
/// # Errors
/// What `render` says; a turn that the template changes or leaves out.
pub fn render(messages: &[Message], render: &Render) -> Result<(String, Vec<Span>)> {
    let plain = render(messages)?;
    let filled: Vec<usize> =
        (0..messages.len()).filter(|&i| !messages[i].content.trim().is_empty()).collect();
    let marks = Marks::unused(&plain, messages);
    let finder = Finder { messages, render, plain: &plain, marks };
    let all: Vec<_> = filled.iter().map(|&turn| (turn, 0..messages[turn].content.len())).collect();
    let every = |spans: &[Span]| filled.iter().all(|turn| spans.iter().any(|s| s.turn == *turn));
    let mut spans = match finder.ends(&all) {
        Found::Here(spans) if every(&spans) => spans,
        _ => {
            let alone = filled.iter().map(|&turn| finder.alone(turn));
            alone.collect::<Result<Vec<_>>>()?.concat()
        }
    };
    spans.sort_by_key(|s| (s.bytes.start, s.bytes.end));
    Ok((plain, spans))
}

/// Characters that a conversation does not hold.
struct Marks(HashSet<char>);

impl Marks {
    fn unused(plain: &str, messages: &[Message]) -> Self {
        let texts = messages.iter().map(|m| m.content.as_str()).chain([plain]);
        let private = |c: &char| *c >= '\u{f0000}';
        Marks(texts.flat_map(str::chars).filter(private).collect())
    }

    /// Marks in order; there are 131,000 less those in use.
    fn iter(&self) -> impl Iterator<Item = char> + '_ {
        ('\u{f0000}'..='\u{ffffd}')
            .chain('\u{100000}'..='\u{10fffd}')
            .filter(|c| !self.0.contains(c))
    }
}

/// A rendering with marks: the text without them, and where each stood.
struct Marked {
    text: String,
    /// In order: the mark and the byte of `text` that it stood before.
    at: Vec<(char, usize)>,
}

impl Marked {
    fn of(rendered: &str, used: &HashSet<char>) -> Self {
        let mut text = String::with_capacity(rendered.len());
        let mut at = Vec::new();
        for c in rendered.chars() {
            match used.contains(&c) {
                true => at.push((c, text.len())),
                false => text.push(c),
            }
        }
        Marked { text, at }
    }
}

struct Finder<'a> {
    messages: &'a [Message],
    render: &'a Render<'a>,
    plain: &'a str,
    marks: Marks,
}

impl Finder<'_> {
    /// Renders with other contents; none where the template refuses them or they make another
    /// text than the plain one.
    fn marked(&self, contents: &HashMap<usize, String>, used: &HashSet<char>) -> Option<Marked> {
        let messages: Vec<Message> = (self.messages.iter().enumerate())
            .map(|(i, m)| match contents.get(&i) {
                Some(content) => Message::new(&m.role, content),
                None => m.clone(),
            })
            .collect();
        let marked = Marked::of(&(self.render)(&messages).ok()?, used);
        (marked.text == self.plain).then_some(marked)
    }

    /// One turn, by whichever marks leave the text as it is.
    fn alone(&self, turn: usize) -> Result<Vec<Span>> {
        let content = self.messages[turn].content.as_str();
        let left = content.len() - content.trim_start().len();
        let right = content.trim_end().len();
        let mut changed = None;
        let mut dropped = false;
        for part in [0..content.len(), left..right] {
            match self.ends(&[(turn, part.clone())]) {
                Found::Here(spans) => return Ok(self.widened(turn, &part, spans)),
                Found::Changed(into) => changed = changed.or(Some(into)),
                Found::Nowhere => dropped = true,
                Found::Disturbed => {}
            }
        }
        if let Some((part, spans)) = self.words(turn) {
            return Ok(self.widened(turn, &part, spans));
        }
        let why = match changed {
            Some(into) => format!("the chat template writes it as {:?}", shortened(&into, QUOTED)),
            None => {
                let does = if dropped { "leaves it out of" } else { "changes it in" };
                format!(
                    "the chat template {does} what it renders: {:?}",
                    shortened(self.plain, QUOTED)
                )
            }
        };
        Err(ModelError::Turn {
            turn: turn + 1,
            role: self.messages[turn].role.clone(),
            content: shortened(content, QUOTED),
            why,
        })
    }

    /// Turns marked at the ends of a part of their contents, beyond which there is white space.
    fn ends(&self, parts: &[(usize, Range<usize>)]) -> Found {
        let mut marks = self.marks.iter();
        let (mut ends, mut contents) = (HashMap::new(), HashMap::new());
        for (turn, part) in parts {
            let content = self.messages[*turn].content.as_str();
            let (Some(open), Some(close)) = (marks.next(), marks.next()) else {
                return Found::Disturbed;
            };
            let (before, rest) = content.split_at(part.start);
            let (inner, after) = rest.split_at(part.len());
            ends.insert(open, (*turn, close, inner));
            contents.insert(*turn, format!("{before}{open}{inner}{close}{after}"));
        }
        let used = ends.iter().flat_map(|(open, (_, close, _))| [*open, *close]).collect();
        let Some(marked) = self.marked(&contents, &used) else {
            return Found::Disturbed;
        };
        if marked.at.is_empty() {
            return Found::Nowhere;
        }
        let mut spans = Vec::with_capacity(parts.len());
        for pair in marked.at.chunks(2) {
            let &[(open, from), (close, to)] = pair else {
                return Found::Disturbed;
            };
            match ends.get(&open) {
                Some(&(turn, end, inner)) if end == close => {
                    if self.plain[from..to] != *inner {
                        return Found::Changed(self.plain[from..to].to_owned());
                    }
                    let bytes = from..to;
                    spans.push(Span { turn, bytes });
                }
                _ => return Found::Disturbed,
            }
        }
        Found::Here(spans)
    }

    /// The turn marked at the ends of its words. What is found is the whole content without the
    /// white space around it, or what follows its last `</think>`, word for word; around the tags
    /// of a `<think>` block the white space may differ.
    fn words(&self, turn: usize) -> Option<(Range<usize>, Vec<Span>)> {
        let content = self.messages[turn].content.as_str();
        let words = words(content);
        let mut marks = self.marks.iter();
        let mut text = String::new();
        let mut done = 0;
        // The byte of the content that each mark stands before.
        let mut places: HashMap<char, usize> = HashMap::new();
        for word in &words {
            for at in [word.start, word.end] {
                let mark = marks.next()?;
                places.insert(mark, at);
                text += &content[done..at];
                text.push(mark);
                done = at;
            }
        }
        text += &content[done..];
        let used: HashSet<char> = places.keys().copied().collect();
        let marked = self.marked(&HashMap::from([(turn, text)]), &used)?;
        let right = content.trim_end().len();
        let left = content.len() - content.trim_start().len();
        let answer = match content.rfind(THINK_END) {
            Some(at) => right - content[at + THINK_END.len()..].trim().len(),
            None => left,
        };
        // The first mark that is left says where the content begins in the text.
        let &(first, _) = marked.at.first()?;
        let anchor = places[&first];
        let begins = if anchor < answer { left } else { answer };
        let kept = &content[begins..right];
        let mut spans = Vec::new();
        for &(mark, at) in marked.at.iter().filter(|(m, _)| *m == first) {
            let from = self.begins(&content[begins..places[&mark]], at)?;
            let to = from + same_words(kept, &self.plain[from..])?;
            let bytes = from..to;
            spans.push(Span { turn, bytes });
        }
        // Every mark that is left stands inside.
        let inside = |at: usize| spans.iter().any(|s| s.bytes.start <= at && at <= s.bytes.end);
        let all = marked.at.iter().all(|&(_, at)| inside(at));
        all.then_some((begins..right, spans))
    }

    /// The spans of a part of a content with the white space around it that the template kept: as
    /// far out as a mark in that white space stays where the plain text has the same.
    fn widened(&self, turn: usize, part: &Range<usize>, mut spans: Vec<Span>) -> Vec<Span> {
        let content = self.messages[turn].content.as_str();
        let before = content[..part.start].trim_end().len();
        let after = content.len() - content[part.end..].trim_start().len();
        let boundary = |i: &usize| content.is_char_boundary(*i);
        let found = |i: usize| self.one_mark(turn, i).filter(|at| at.len() == spans.len());
        let kept = |i: usize, at: &[usize]| {
            let pairs = || at.iter().zip(&spans);
            match i < part.start {
                true => pairs().all(|(at, s)| {
                    self.plain.get(*at..s.bytes.start) == Some(&content[i..part.start])
                }),
                false => pairs()
                    .all(|(at, s)| self.plain.get(s.bytes.end..*at) == Some(&content[part.end..i])),
            }
        };
        let outermost = |places: &mut dyn Iterator<Item = usize>| {
            places.filter(boundary).take(WIDENED).find_map(|i| found(i).filter(|at| kept(i, at)))
        };
        let starts = outermost(&mut (before..part.start));
        let ends = outermost(&mut (part.end + 1..=after).rev());
        for (i, span) in spans.iter_mut().enumerate() {
            span.bytes.start = starts.as_ref().map_or(span.bytes.start, |at| at[i]);
            span.bytes.end = ends.as_ref().map_or(span.bytes.end, |at| at[i]);
        }
        spans
    }

    /// Where a single mark at byte `i` of a content stands in the text.
    fn one_mark(&self, turn: usize, i: usize) -> Option<Vec<usize>> {
        let content = self.messages[turn].content.as_str();
        let mark = self.marks.iter().next()?;
        let text = format!("{}{mark}{}", &content[..i], &content[i..]);
        let marked = self.marked(&HashMap::from([(turn, text)]), &HashSet::from([mark]))?;
        Some(marked.at.into_iter().map(|(_, at)| at).collect())
    }

    /// The byte of the plain text where `before`, which ends at byte `at`, begins.
    fn begins(&self, before: &str, at: usize) -> Option<usize> {
        if self.plain[..at].ends_with(before) {
            return Some(at - before.len());
        }
        // Around tags white space may differ: compare backwards without it.
        let (mut text, mut want) = (&self.plain[..at], before);
        loop {
            want = want.trim_end();
            let Some(c) = want.chars().next_back() else {
                return Some(text.len());
            };
            text = text.trim_end().strip_suffix(c)?;
            want = &want[..want.len() - c.len_utf8()];
        }
    }
}

/// What marks at the ends of a content show.
enum Found {
    Here(Vec<Span>),
    /// It stands there as another text.
    Changed(String),
    /// The marks are gone, and the text is the same.
    Nowhere,
    /// The marks change what the template does.
    Disturbed,
}

const THINK: &str = "<think>";
const THINK_END: &str = "</think>";

/// The runs of a content that are neither white space nor markup such as `<think>` or `[INST]`.
fn words(content: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut i = 0;
    while let Some(c) = content[i..].chars().next() {
        let markup = markup(&content[i..]);
        let n = markup.unwrap_or(c.len_utf8());
        if markup.is_none() && !c.is_whitespace() {
            match words.last_mut() {
                Some(last) if last.end == i => last.end += n,
                _ => words.push(i..i + n),
            }
        }
        i += n;
    }
    words
}

/// Length of the markup that a text begins with.
fn markup(text: &str) -> Option<usize> {
    let close = match text.chars().next()? {
        '<' => '>',
        '[' => ']',
        _ => return None,
    };
    let inside = |c: char| !c.is_whitespace() && c != '<' && c != '[';
    let end = text[1..].find(|c| c == close || !inside(c))? + 1;
    (text[end..].starts_with(close) && end <= 40).then_some(end + 1)
}

/// Length of the beginning of `text` that is `want`, where white space beside the tags of a
/// `<think>` block counts for nothing.
fn same_words(want: &str, text: &str) -> Option<usize> {
    if text.starts_with(want) {
        return Some(want.len());
    }
    let (mut w, mut t) = (want, text);
    loop {
        let tag = [THINK, THINK_END].into_iter().find(|tag| w.trim_start().starts_with(tag));
        if let Some(tag) = tag {
            w = w.trim_start()[tag.len()..].trim_start();
            t = t.trim_start().strip_prefix(tag)?.trim_start();
            continue;
        }
        let Some(c) = w.chars().next() else {
            return Some(text.len() - t.len());
        };
        // White space before a tag is passed with it.
        t = t.strip_prefix(c)?;
        w = &w[c.len_utf8()..];
    }
}
