//! What every command is given: the two output streams, and where models compute.
//!
//! Results go to stdout, as text or, with `--json`, as one object; progress and log lines go to
//! stderr. On a terminal progress is a bar; elsewhere it is a plain line every ten seconds, so
//! that a log file stays readable; with `--quiet` there is none. A write to a closed pipe comes
//! back as an error that the program takes as its end.

use crate::model::Placement;
use indicatif::{ProgressBar, ProgressStyle};
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
    /// Where the command's models are loaded to.
    pub placement: Placement,
    terminal: bool,
}

impl Console {
    /// A console on this process's streams.
    pub fn new(json: bool, quiet: bool, placement: Placement) -> Self {
        Console { json, quiet, placement, terminal: std::io::stderr().is_terminal() }
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

    /// A doubt about a result; results carry it too.
    pub fn warn(&self, text: &str) {
        self.log(&format!("warning: {text}"));
    }

    /// Whether there is a terminal that bars may be drawn on.
    pub fn progress(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// Progress over `total` units of work.
    pub fn bar(&self, what: &str, total: usize) -> Progress {
        let bar = self.progress().then(|| {
            let bar = ProgressBar::new(total as u64);
            let form = "{prefix} {wide_bar} {pos}/{len}  {msg}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(form) {
                bar.set_style(style);
            }
            bar.set_prefix(what.to_string());
            bar
        });
        Progress {
            plain: !self.terminal && !self.quiet,
            bar,
            what: what.to_string(),
            total,
            done: 0,
            begun: Instant::now(),
            told: Instant::now(),
        }
    }
}

/// One piece of work under way.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
    what: String,
    total: usize,
    done: usize,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// One unit is done; `note` is shown beside the count.
    pub fn step(&mut self, note: &str) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_message(note.to_string());
            bar.inc(1);
        }
        if self.plain && self.told.elapsed() >= BETWEEN_LINES {
            self.told = Instant::now();
            let spent = self.begun.elapsed().as_secs_f64();
            let left = spent * (self.total as f64 / self.done as f64 - 1.0);
            let note = if note.is_empty() { String::new() } else { format!(", {note}") };
            let (what, done, total) = (&self.what, self.done, self.total);
            let _ = writeln!(std::io::stderr(), "{what}: {done}/{total}{note}, {left:.0} s left");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
