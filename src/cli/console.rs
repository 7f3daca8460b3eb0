//! What every command is given: the two output streams, and where models compute.
//!
//! Results go to stdout, as text or, with `--json`, as one object; progress and log lines go to
//! stderr. On a terminal progress is a bar; elsewhere it is a plain line every ten seconds, so
//! that a log file stays readable; with `--quiet` there is none. A write to a closed pipe comes
//! back as an error that the program takes as its end.

use super::Global;
use crate::analysis::records::WarningRow;
use crate::model::Placement;
use crate::store::time::span;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Time between two lines of progress where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How a command speaks, and where its models compute.
#[derive(Debug, Clone)]
pub struct Console {
    /// Results as one JSON object.
    pub json: bool,
    /// No progress and no log lines.
    pub quiet: bool,
    /// Earlier outputs are replaced.
    pub force: bool,
    /// Where the command's models are loaded to.
    pub placement: Placement,
    terminal: bool,
}

impl Console {
    /// A console on this process's streams.
    pub fn new(global: &Global, placement: Placement) -> Self {
        let &Global { json, quiet, force, .. } = global;
        Console { json, quiet, force, placement, terminal: std::io::stderr().is_terminal() }
    }

    /// Ends a command: the JSON object, or the text, on stdout.
    ///
    /// # Errors
    /// stdout refuses, a closed pipe among the reasons.
    pub fn result(&self, json: &Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut stdout, json).map_err(std::io::Error::from)?;
            writeln!(stdout)?;
        } else {
            writeln!(stdout, "{}", text().trim_end())?;
        }
        stdout.flush()?;
        Ok(())
    }

    /// A log line.
    pub fn log(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Lines on stderr that were asked for, quiet or not.
    pub fn asked(&self, text: &str) {
        let _ = write!(std::io::stderr(), "{text}");
    }

    /// Doubts about results, as their records say them.
    pub fn doubts(&self, rows: &[WarningRow]) {
        rows.iter().for_each(|w| self.warn(&format!("{}: {}", w.about, w.text)));
    }

    /// A doubt about a result; results carry it too.
    pub fn warn(&self, text: &str) {
        self.log(&format!("warning: {text}"));
    }

    /// A line that is drawn anew where there is a terminal, and hidden elsewhere.
    pub fn line(&self, form: &str) -> ProgressBar {
        let shown = self.terminal && !self.quiet;
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let line = ProgressBar::with_draw_target(Some(0), target);
        match ProgressStyle::with_template(form) {
            Ok(style) => line.with_style(style),
            Err(_) => line,
        }
    }

    /// Progress over `total` units of work.
    pub fn bar(&self, what: &str, total: usize) -> Progress {
        let line = self.line("{prefix} {wide_bar} {pos}/{len}  {msg}");
        line.set_length(total as u64);
        line.set_prefix(what.to_string());
        Progress { line, plain: !self.terminal && !self.quiet, told: Instant::now() }
    }
}

/// One piece of work under way.
#[derive(Debug)]
pub struct Progress {
    line: ProgressBar,
    plain: bool,
    told: Instant,
}

impl Progress {
    /// One unit is done; `note` is shown beside the count.
    pub fn step(&mut self, note: &str) {
        let line = &self.line;
        line.inc(1);
        let (done, total) = (line.position(), line.length().unwrap_or(0));
        // At the mean pace since the beginning, which bursts of work do not make jump.
        let left = span(line.elapsed().as_secs_f64() * (total as f64 / done as f64 - 1.0));
        let gap = if note.is_empty() { "" } else { "  " };
        line.set_message(format!("{note}{gap}{left} left"));
        if self.plain && self.told.elapsed() >= BETWEEN_LINES {
            self.told = Instant::now();
            let note = if note.is_empty() { String::new() } else { format!(", {note}") };
            let what = line.prefix();
            let _ = writeln!(std::io::stderr(), "{what}: {done}/{total}{note}, {left} left");
        }
    }

    /// `done` units are done in all.
    pub fn to(&mut self, done: usize, note: &str) {
        while self.line.position() < done as u64 {
            self.step(note);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
