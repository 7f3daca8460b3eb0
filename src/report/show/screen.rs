//! A terminal as text: wrapped lines, sparklines and forests of intervals.
//!
//! Everything fits in a width and reads without colour: what a colour says is also said by a sign. Control
//! characters of names and texts, which could move the cursor, are shown as blanks.

use crate::figures::Estimate;

/// Where text is shown.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether colours and bold text are understood.
    pub colour: bool,
}

/// Fewest columns for which anything is laid out.
const NARROWEST: usize = 40;
/// Lines of prose are no longer, however wide the terminal.
const WIDEST: usize = 110;
/// Names of rows are cut at this length.
const LABEL: usize = 30;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a piece of text looks.
#[derive(Debug, Clone, Copy)]
pub enum Look {
    Bold,
    Faint,
    Warm,
    Cold,
}

/// One row of a forest.
#[derive(Debug, Clone)]
pub struct ForestRow {
    /// Its name.
    pub name: String,
    /// The number with its interval.
    pub value: Estimate,
    /// Shown hollow.
    pub hollow: bool,
}

/// `text` without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `text` in at most `most` columns.
pub fn shorten(text: &str, most: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

impl Screen {
    /// Of a terminal this wide.
    pub fn new(width: usize, colour: bool) -> Self {
        Screen { width: width.max(NARROWEST), colour }
    }

    /// `text` in a look, or as it is where there are no colours.
    pub fn paint(&self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Bold => "1",
            Look::Faint => "2",
            Look::Warm => "31",
            Look::Cold => "34",
        };
        match self.colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.into(),
        }
    }

    /// A heading with an empty line before it.
    pub fn heading(&self, text: &str) -> String {
        format!("\n{}\n", self.paint(Look::Bold, self.wrap("", text).trim_end()))
    }

    /// `text` in lines that begin with `first`, then with as many blanks; a longer word is cut into lines.
    pub fn wrap(&self, first: &str, text: &str) -> String {
        let indent = first.chars().count();
        let room = self.width.min(WIDEST).saturating_sub(indent).max(10);
        let mut lines = vec![String::new()];
        for word in plain(text).split_whitespace() {
            let mut word: Vec<char> = word.chars().collect();
            let line = lines.last_mut().map_or(0, |l| l.chars().count());
            if line > 0 && line + 1 + word.len() > room {
                lines.push(String::new());
            }
            while word.len() > room {
                let rest = word.split_off(room);
                lines.extend([word.iter().collect(), String::new()]);
                word = rest;
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.extend(word);
            }
        }
        lines.retain(|l| !l.is_empty());
        let blank = " ".repeat(indent);
        let line =
            |(i, l): (usize, &String)| format!("{}{l}\n", if i == 0 { first } else { &blank });
        lines.iter().enumerate().map(line).collect()
    }

    /// One bar a value between `lo` and `hi`; a blank where there is none.
    pub fn spark(values: &[f64], (lo, hi): (f64, f64)) -> String {
        let bar = |v: &f64| match v.is_nan() {
            true => ' ',
            false => {
                let t = (v - lo) / (hi - lo).max(f64::MIN_POSITIVE);
                BARS[((t * 7.0).round().clamp(0.0, 7.0)) as usize]
            }
        };
        values.iter().map(bar).collect()
    }

    /// A sign a value: above its band, below it, or within; a blank where either is not known.
    pub fn signs(values: &[f64], lo: &[f64], hi: &[f64]) -> String {
        let sign = |((v, lo), hi): ((&f64, &f64), &f64)| match () {
            () if v.is_nan() || lo.is_nan() || hi.is_nan() => ' ',
            () if v > hi => '+',
            () if v < lo => '-',
            () => '·',
        };
        values.iter().zip(lo).zip(hi).map(sign).collect()
    }

    /// Rows of an estimate with its interval about a line at 0, their numbers behind them where there is room,
    /// and the scale below.
    pub fn forest(&self, rows: &[ForestRow], unit: &str) -> String {
        let finite = |r: &ForestRow| [r.value.value, r.value.lo, r.value.hi, 0.0];
        let known = rows.iter().flat_map(finite).filter(|v| v.is_finite());
        let (lo, hi) = known.fold((0.0f64, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
        if hi <= lo {
            return String::new();
        }
        let label = rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0);
        let label = label.min(LABEL).min(self.width / 3);
        let numbers: Vec<String> = rows.iter().map(|r| number(&r.value)).collect();
        let widest = numbers.iter().map(|n| n.chars().count()).max().unwrap_or(0);
        let room = self.width.min(WIDEST) - label - 4;
        // Fewer than 16 columns show no interval: the numbers give way.
        let told = room >= widest + 18;
        let axis = if told { room - widest - 2 } else { room };
        // Held within the axis: an end may be infinite.
        let last = (axis - 1) as f64;
        let at = |v: f64| ((v - lo) / (hi - lo) * last).round().clamp(0.0, last) as usize;
        let mut out = String::new();
        for (row, number) in rows.iter().zip(&numbers) {
            let e = &row.value;
            let mut line = vec![' '; axis];
            if e.has_interval() {
                let (from, to) = (at(e.lo), at(e.hi));
                line[from.min(to)..=from.max(to)].fill('─');
            }
            line[at(0.0)] = if line[at(0.0)] == '─' { '┼' } else { '│' };
            if e.value.is_finite() {
                line[at(e.value)] = if row.hollow { '○' } else { '●' };
            }
            let line: String = line.into_iter().collect();
            let line = match e.has_interval() && (e.lo > 0.0 || e.hi < 0.0) {
                true => self.paint(if e.lo > 0.0 { Look::Warm } else { Look::Cold }, &line),
                false => line,
            };
            let name = shorten(&row.name, label);
            let number = if told { format!("  {number}") } else { String::new() };
            out += format!("  {name:<label$}  {line}{number}").trim_end();
            out.push('\n');
        }
        let (lo, hi) = (format!("{lo:+.2}"), format!("{hi:+.2} {unit}"));
        let gap = axis.saturating_sub(lo.chars().count() + hi.chars().count()).max(1);
        let scale = format!("  {:label$}  {lo}{:gap$}{hi}", "", "");
        out + &self.paint(Look::Faint, shorten(&scale, self.width).trim_end()) + "\n"
    }
}

/// An estimate with its interval.
fn number(e: &Estimate) -> String {
    match (e.is_missing(), e.has_interval()) {
        (true, _) => "no estimate".into(),
        (_, false) => format!("{:+.2}", e.value),
        _ => format!("{:+.2} [{:+.2}, {:+.2}]", e.value, e.lo, e.hi),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_rises_with_its_values_and_leaves_gaps() {
        assert_eq!(Screen::spark(&[0.0, f64::NAN, 0.5, 1.0], (0.0, 1.0)), "▁ ▅█");
        assert_eq!(Screen::spark(&[3.0], (3.0, 3.0)), "▁");
        let signs = Screen::signs(&[0.5, 0.0, -0.5, 1.0], &[-0.1, -0.1, -0.1, f64::NAN], &[0.1; 4]);
        assert_eq!(signs, "+·- ");
    }

    #[test]
    fn lines_keep_the_width_and_all_words_and_obey_nothing() {
        let screen = Screen::new(44, false);
        let text =
            "one two three four five six seven eight nine ten eleven twelve thirteen \u{1b}[2Jend";
        let got = screen.wrap("  1. ", text);
        assert!(got.lines().all(|l| l.chars().count() <= 44), "{got}");
        assert!(got.starts_with("  1. one") && !got.contains('\u{1b}'), "{got}");
        let words: Vec<&str> = got.split_whitespace().skip(1).collect();
        assert_eq!(words.len(), text.split_whitespace().count());
        let long = screen.wrap("", &"x".repeat(100));
        assert_eq!(long.matches('x').count(), 100);
        assert!(long.lines().all(|l| l.chars().count() <= 44));
    }

    #[test]
    fn a_forest_places_dots_on_one_scale_at_every_width() {
        let row =
            |name: &str, value: Estimate, hollow| ForestRow { name: name.into(), value, hollow };
        let rows = [
            row("up", Estimate::new(1.0, 0.5, 2.0), false),
            row(
                "a name that is longer than any label may be",
                Estimate::new(-1.0, -2.0, 1.0),
                true,
            ),
            row("none", Estimate::MISSING, false),
        ];
        for width in [40, 80, 200] {
            let text = Screen::new(width, false).forest(&rows, "nats");
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 4);
            assert!(lines.iter().all(|l| l.chars().count() <= width), "{width}\n{text}");
            let at = |l: &str, c: char| l.chars().position(|x| x == c);
            assert!(at(lines[0], '●') > at(lines[0], '│'), "{text}");
            assert!(at(lines[1], '○') < at(lines[1], '┼') && lines[1].contains('…'), "{text}");
            assert!(!lines[2].contains('●') && !text.contains("NaN"), "{text}");
        }
        assert!(Screen::new(80, true).forest(&rows, "").contains("\u{1b}[31m"));
    }
}
