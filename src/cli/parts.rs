//! Work in parts, on the terminal: parts that ended stay with their time, the one under way is drawn anew.
//!
//! Where there is no terminal a part is a plain line. The time left of a study goes down by the clock
//! from what was expected when its stage began, and no further than what is expected after that stage,
//! so that it neither stands still nor jumps.

use super::Console;
use crate::store::time::span;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two drawings of the line.
const TICK: Duration = Duration::from_millis(250);
/// Characters of the bar.
const WIDTH: usize = 20;

/// Parts of a command's statistics.
pub struct Parts<'a> {
    out: &'a Console,
    line: ProgressBar,
    current: Option<(String, Instant)>,
}

impl<'a> Parts<'a> {
    /// None has begun.
    pub fn of(out: &'a Console) -> Self {
        let line = out.line("{spinner} {msg}  {elapsed}");
        if !line.is_hidden() {
            line.enable_steady_tick(TICK);
        }
        Parts { out, line, current: None }
    }

    /// Ends the part under way and begins another.
    pub fn begin(&mut self, what: &str) {
        self.end();
        if self.line.is_hidden() {
            self.out.log(what);
        }
        self.line.reset_elapsed();
        self.line.set_message(what.to_string());
        self.current = Some((what.into(), Instant::now()));
    }

    fn end(&mut self) {
        let Some((what, begun)) = self.current.take() else { return };
        if !self.line.is_hidden() {
            let seconds = begun.elapsed().as_secs_f64();
            self.line.suspend(|| self.out.log(&format!("{what}: {seconds:.1} s")));
        }
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        self.end();
        self.line.finish_and_clear();
    }
}

/// Seconds expected of a study, by the clock.
#[derive(Debug, Clone, Copy)]
struct Clock {
    begun: Instant,
    stage: Instant,
    /// Of all that remained when the stage began, and of what follows it.
    left: f64,
    after: f64,
}

impl Clock {
    fn left(&self) -> f64 {
        (self.left - self.stage.elapsed().as_secs_f64()).max(self.after)
    }

    /// A bar of the time, and the time left; what is over its time has at least this.
    fn write(&self, w: &mut dyn Write) -> std::fmt::Result {
        let (left, gone) = (self.left(), self.begun.elapsed().as_secs_f64());
        let full = (WIDTH as f64 * gone / (gone + left).max(1.0)) as usize;
        let full = full.min(WIDTH);
        let (full, rest) = ("█".repeat(full), "░".repeat(WIDTH - full));
        let over = if left > self.after { "" } else { "over " };
        write!(w, "{full}{rest} {over}{} left", span(left))
    }
}

/// Stages of a study.
pub struct Stages<'a> {
    out: &'a Console,
    line: ProgressBar,
    clock: Arc<Mutex<Clock>>,
    /// The stage under way.
    stage: String,
}

impl<'a> Stages<'a> {
    /// None has begun.
    pub fn of(out: &'a Console) -> Self {
        let now = Instant::now();
        let clock = Arc::new(Mutex::new(Clock { begun: now, stage: now, left: 0.0, after: 0.0 }));
        let line = out.line("");
        let read = clock.clone();
        let time = move |_: &ProgressState, w: &mut dyn Write| {
            let clock = *read.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = clock.write(w);
        };
        if let Ok(style) =
            ProgressStyle::with_template("[{pos}/{len}] {prefix}  {time}  {wide_msg}")
        {
            line.set_style(style.with_key("time", time));
        }
        Stages { out, line, clock, stage: String::new() }
    }

    /// Stage `index` of `total` begins; `left` seconds are expected of all that remain, `after` of those
    /// that follow it.
    pub fn begin(
        &mut self,
        (index, total): (usize, usize),
        stage: &str,
        (left, after): (f64, f64),
    ) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *clock = Clock { stage: Instant::now(), left, after, ..*clock };
        drop(clock);
        if self.stage.is_empty() && !self.line.is_hidden() {
            self.line.enable_steady_tick(TICK);
        }
        self.stage = stage.into();
        self.line.set_length(total as u64);
        self.line.set_position(index as u64);
        self.line.set_prefix(stage.to_string());
        self.line.set_message("");
    }

    /// A line about the stage, which the next one replaces.
    pub fn detail(&self, text: &str) {
        self.line.set_message(text.to_string());
    }

    /// A line about the stage that stays.
    pub fn note(&self, text: &str) {
        self.line.suspend(|| self.out.log(&format!("{} {text}", self.stage)));
    }

    /// A doubt about the run.
    pub fn warn(&self, text: &str) {
        self.line.suspend(|| self.out.warn(text));
    }

    /// The stage ended after `seconds`, now or in an earlier run.
    pub fn end(&self, seconds: f64, reused: bool) {
        let how = if reused { ", kept" } else { "" };
        self.line.suspend(|| self.out.log(&format!("{}: {seconds:.1} s{how}", self.stage)));
    }
}

impl Drop for Stages<'_> {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_goes_down_by_the_clock_to_what_follows_the_stage() {
        let ago = |s: u64| Instant::now().checked_sub(Duration::from_secs(s)).unwrap();
        let at = |s: u64| Clock { begun: ago(300), stage: ago(s), left: 100.0, after: 40.0 }.left();
        assert!((at(10) - 90.0).abs() < 1.0 && at(70) == 40.0 && at(299) == 40.0);
        let mut text = String::new();
        Clock { begun: ago(100), stage: ago(0), left: 100.0, after: 0.0 }.write(&mut text).unwrap();
        assert_eq!(text.matches('█').count(), WIDTH / 2, "{text}");
        assert!(text.ends_with(" 100 s left") || text.ends_with(" 2 min left"), "{text}");
    }
}
