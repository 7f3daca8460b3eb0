//! What is printed about a number: lines for the eyes and the same as JSON.

use super::results::Results;
use crate::geometry_tables::notes;
use crate::model::error::nearest;
use serde_json::{json, Map, Value};

/// What is printed.
#[derive(Default)]
pub struct Told {
    pub lines: Vec<String>,
    pub json: Map<String, Value>,
}

impl Told {
    pub fn say(&mut self, key: &str, text: impl Into<String>) {
        let text = text.into();
        self.lines.push(format!("  {key:<11} {text}"));
        let key = key.replace(' ', "_");
        match self.json.get_mut(&key) {
            Some(Value::Array(list)) => list.push(text.into()),
            Some(other) => *other = json!([other.clone(), text]),
            None => {
                self.json.insert(key, text.into());
            }
        }
    }

    /// What is said beside a number.
    pub fn notes(&mut self, results: &Results, path: &str) {
        let mut any = false;
        for (key, name) in [
            ("is", "is"),
            ("estimator", "estimator"),
            ("interval", "interval"),
            ("null", "null"),
            ("source", "source"),
        ] {
            if let Some(text) = results.said(path, name) {
                self.say(key, text);
                any = true;
            }
        }
        if !any {
            let known: Vec<&str> = notes::paths().collect();
            let near = nearest(path, known.iter().copied()).unwrap_or_default();
            self.say(
                "is",
                format!("nothing is recorded about this number; the nearest with a note is {near}"),
            );
        }
    }
}

/// A value with its interval in brackets.
pub fn with_ends(value: f64, lo: f64, hi: f64) -> String {
    match lo.is_nan() || hi.is_nan() {
        true => format!("{value:.3} [no interval]"),
        false => format!("{value:.3} [{lo:.3}, {hi:.3}]"),
    }
}
