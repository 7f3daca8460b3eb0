//! Running the program and reading the tables that it prints as JSON.

use assert_cmd::Command;
use serde_json::Value;

/// The JSON of a command, or what it says when it fails.
pub fn command(args: &[&str]) -> Result<Value, String> {
    let output = Command::cargo_bin("residuum").unwrap().args(args).output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// The row of a table whose columns have these values.
pub fn row<'a>(table: &'a Value, wanted: &[(&str, &str)]) -> &'a Value {
    let is = |r: &&Value| wanted.iter().all(|(k, v)| r[*k] == *v);
    table.as_array().unwrap().iter().find(is).unwrap()
}

pub fn number(v: &Value) -> f64 {
    v.as_f64().unwrap()
}

/// A frame as a command prints it, read back.
pub fn printed(frame: &residuum::store::Frame) -> Value {
    serde_json::from_str(&frame.json().to_string()).unwrap()
}
