//! `report.md`: the same report for a terminal, a repository or an editor.
//!
//! It links the PNG beside each figure's SVG, by a path relative to the report
//! where the figure lies below it. All data pass through `escape`, which keeps
//! every character and takes from each its meaning in Markdown and in the HTML
//! that Markdown lets through.

use std::path::Path;

use super::{ReportData, ReportError};

pub(super) fn render(data: &ReportData, dir: &Path) -> Result<String, ReportError> {
    let mut out = Vec::new();
    out.push(format!("# {}\n", escape(&data.title)));
    out.push(format!("- Study: {}", escape(&data.study)));
    out.push(format!("- Model: {}", escape(&data.model)));
    out.push(format!("- Date: {}", escape(&data.date)));
    out.push(format!("- Command: {}\n", code(&data.command)));
    out.push("## Findings\n".to_owned());
    out.push(list(&data.findings, "No findings were recorded."));
    out.push("## Warnings\n".to_owned());
    out.push(list(&data.warnings, "None."));
    if !data.figures.is_empty() {
        out.push("## Figures\n".to_owned());
    }
    for (i, figure) in data.figures.iter().enumerate() {
        let png = figure.svg.with_extension("png");
        let title = escape(&figure.title);
        out.push(format!("![{title}](<{}>)\n", target(&png, dir)));
        out.push(format!("Figure {}. {title}. {}\n", i + 1, escape(&figure.caption)));
    }
    if !data.tables.is_empty() {
        out.push("## Tables\n".to_owned());
    }
    for (i, table) in data.tables.iter().enumerate() {
        out.push(format!("### Table {}. {}\n", i + 1, escape(&table.title)));
        out.push(grid(&table.columns, &table.rows));
        if !table.caption.is_empty() {
            out.push(format!("{}\n", escape(&table.caption)));
        }
    }
    if !data.references.is_empty() {
        out.push("## Earlier work beside ours\n".to_owned());
        let note = "Numbers from other models and methods, as points of reference; they are not targets.\n";
        out.push(note.to_owned());
        let rows: Vec<Vec<String>> = data
            .references
            .iter()
            .map(|r| [&r.quantity, &r.earlier, &r.ours, &r.source].map(String::clone).to_vec())
            .collect();
        let columns = ["Quantity", "Earlier", "Ours", "Source"].map(str::to_owned);
        out.push(grid(&columns, &rows));
    }
    if !data.files.is_empty() {
        out.push("## Files of the run\n".to_owned());
        let lines =
            data.files.iter().map(|f| format!("- {}: {}\n", code(&f.path), escape(&f.what)));
        out.push(lines.collect());
    }
    Ok(out.join("\n"))
}

fn list(items: &[String], none: &str) -> String {
    if items.is_empty() {
        return format!("{none}\n");
    }
    items.iter().map(|item| format!("- {}\n", escape(item))).collect()
}

fn grid(columns: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| escape(c)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = line(columns);
    out.push_str(&format!("|{}\n", " --- |".repeat(columns.len())));
    rows.iter().for_each(|row| out.push_str(&line(row)));
    out
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
