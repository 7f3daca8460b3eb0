//! `report.md`: the same report for a terminal, a repository or an editor.
//!
//! It links the PNG beside each figure's SVG, by a path relative to the report
//! where the figure lies below it. All data pass through `escape`, which keeps
//! every character and takes from each its meaning in Markdown and in the HTML
//! that Markdown lets through.

use super::{ReportData, ReportError};
use minijinja::{context, Environment, Value};
use std::path::Path;

const TEMPLATE: &str = include_str!("report.md");

pub(super) fn render(data: &ReportData, dir: &Path) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.set_formatter(|out, _, value| match value.is_safe() {
        true => Ok(write!(out, "{value}")?),
        false => Ok(out.write_str(&escape(&value.to_string()))?),
    });
    environment.add_filter("code", |text: String| Value::from_safe_string(code(&text)));
    let dir = dir.to_path_buf();
    environment.add_filter("png", move |svg: String| {
        Value::from_safe_string(target(&Path::new(&svg).with_extension("png"), &dir))
    });
    Ok(environment.render_named_str("report.md", TEMPLATE, context! { data })?)
}

/// `text` on one line with Markdown's own characters made plain.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// `text` as code, between as many backticks as it needs.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// The link to `path` from `dir`, with forward slashes.
fn target(path: &Path, dir: &Path) -> String {
    let near = path.strip_prefix(dir).unwrap_or(path);
    let text = near.to_string_lossy().replace('\\', "/");
    text.replace('<', "%3C").replace('>', "%3E").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_shown_and_not_obeyed() {
        assert_eq!(escape("a|b *c* <d> _e_"), "a\\|b \\*c\\* &lt;d&gt; \\_e\\_");
        assert_eq!(escape("one\ntwo"), "one two");
    }

    #[test]
    fn code_survives_backticks() {
        assert_eq!(code("run `x`"), "`` run `x` ``");
        assert_eq!(code("run"), "`run`");
    }

    #[test]
    fn figures_below_the_report_are_linked_relatively() {
        let dir = Path::new("/runs/one");
        assert_eq!(target(Path::new("/runs/one/figures/a.png"), dir), "figures/a.png");
        assert_eq!(target(Path::new("figures/a.png"), dir), "figures/a.png");
        assert_eq!(target(Path::new("/else/a.png"), dir), "/else/a.png");
    }
}
