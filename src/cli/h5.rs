//! `residuum h5`: what a results or activation file holds, two files side by side, one against the schema.

use super::{kept::of_run, Console};
use crate::analysis::records;
use crate::store::diff::{diff, DiffRow, Tolerance};
use crate::store::tree::{tree, TreeRow};
use crate::store::validate::faults;
use crate::store::{Columns, Frame, ResultsReader};
use anyhow::{bail, Result};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

/// Longest text of a cell that `diff` prints.
const LONGEST: usize = 60;

/// Look into a results or activation file: list what it holds, print a part, compare two files, hold one
/// against the schema. FILE is the file, or the run folder of a results.h5.
///
/// Example: residuum h5 tree runs/quick geometry
#[derive(Args)]
#[command(about = "Look into a results or activation file, compare two, or check one")]
pub struct H5Args {
    #[command(subcommand)]
    command: H5Command,
}

#[derive(Subcommand)]
enum H5Command {
    /// List groups, records and arrays with their dimensions, units and definitions.
    ///
    /// Example: residuum h5 tree runs/quick behaviour/scores
    #[command(about = "List what a file holds, with dimensions, units and definitions")]
    Tree {
        /// File, or run folder
        file: PathBuf,
        /// List only what is at or below this path
        #[arg(default_value = "", hide_default_value = true)]
        path: String,
    },
    /// Print the rows of a record, the cells of an array or an attribute as text, or CSV, or --json.
    /// Activations are read from their own file, which must be the one that the results were written with.
    ///
    /// Example: residuum h5 get runs/quick geometry/coupling --where state=base --where layer=10 --csv
    ///
    /// Example: residuum h5 get runs/quick geometry/coupling@null
    #[command(about = "Print a record, an array or an attribute as text, CSV or JSON")]
    Get {
        /// File, or run folder
        file: PathBuf,
        /// Record, such as geometry/coupling; array, such as directions/vectors/unit; or PATH@ATTRIBUTE
        path: String,
        /// Label that picks rows out, such as layer=10; may be given again
        #[arg(long = "where", value_name = "NAME=LABEL", value_parser = super::geometry::pick)]
        picks: Vec<(String, String)>,
        /// Print CSV
        #[arg(long)]
        csv: bool,
    },
    /// Compare two files cell by cell, by the labels of their dimensions: what only one of them has, and
    /// what differs by how much. Exit status 1 where they differ. The attributes `created` and `command`
    /// are not compared.
    ///
    /// Example: residuum h5 diff runs/one runs/two --tolerance 1e-6
    #[command(about = "Compare two files; exit status 1 where they differ")]
    Diff {
        /// File A, or run folder
        a: PathBuf,
        /// File B, or run folder
        b: PathBuf,
        /// Largest absolute difference of two numbers that counts as none
        #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = not_negative)]
        tolerance: f64,
        /// The same as a share of the greater of the two numbers
        #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = not_negative)]
        relative: f64,
    },
    /// Hold a file against the schema: every array is readable and has its dimensions, every record the
    /// fields, kinds and units of this version, and activations come from the file that was there when the
    /// results were written. Names each object that fails; exit status 1 if one does.
    ///
    /// Example: residuum h5 validate runs/quick
    #[command(about = "Hold a file against the schema; exit status 1 where it fails")]
    Validate {
        /// File, or run folder
        file: PathBuf,
    },
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 && x.is_finite() => Ok(x),
        _ => Err("write a number that is 0 or more".into()),
    }
}

pub fn run(args: H5Args, out: &Console) -> Result<()> {
    match args.command {
        H5Command::Tree { file, path } => list(&ResultsReader::open(&of_run(&file))?, &path, out),
        H5Command::Get { file, path, picks, csv } => {
            let mut columns = Columns::of(&ResultsReader::open(&of_run(&file))?, &path)?;
            for (name, label) in &picks {
                columns = columns.only(name, label).map_err(|e| anyhow::anyhow!("{path}: {e}"))?;
            }
            if csv && out.json {
                bail!("--csv and --json are two forms of one result; give one of them");
            }
            let json = json!({ "path": path, "rows": columns.json() });
            out.result(&json, || if csv { columns.csv() } else { columns.text() })
        }
        H5Command::Diff { a, b, tolerance, relative } => {
            let (a, b) = (of_run(&a), of_run(&b));
            let (in_a, in_b) = (ResultsReader::open(&a)?, ResultsReader::open(&b)?);
            let rows = diff(&in_a, &in_b, Tolerance { absolute: tolerance, relative })?;
            let json = json!({ "a": a, "b": b, "differences": Frame::of(&rows).json() });
            out.result(&json, || match rows.is_empty() {
                true => "no difference".into(),
                false => {
                    Columns::from(&Frame::of(&rows.iter().map(clipped).collect::<Vec<_>>())).text()
                }
            })?;
            if !rows.is_empty() {
                bail!("{} and {} differ in {} places", a.display(), b.display(), rows.len());
            }
            Ok(())
        }
        H5Command::Validate { file } => {
            let file = of_run(&file);
            let reader = ResultsReader::open(&file)?;
            let (rows, looked) = faults(&reader, &records::all(), records::frame)?;
            let json = json!({ "objects": looked, "faults": Frame::of(&rows).json() });
            out.result(&json, || match rows.is_empty() {
                true => format!("{looked} objects, and each fits the schema"),
                false => Frame::of(&rows).text(),
            })?;
            if !rows.is_empty() {
                bail!("{}: {} faults in {looked} objects", file.display(), rows.len());
            }
            Ok(())
        }
    }
}

fn list(reader: &ResultsReader, path: &str, out: &Console) -> Result<()> {
    let path = path.trim_matches('/');
    let below = format!("{path}/");
    let mut rows = tree(reader)?;
    rows.retain(|r| path.is_empty() || r.path == path || r.path.starts_with(&below));
    if rows.is_empty() && !path.is_empty() {
        // The reader says what there is instead.
        Columns::of(reader, path)?;
    }
    let depth = |r: &TreeRow| r.path.matches('/').count();
    let least = rows.iter().map(depth).min().unwrap_or(0);
    out.result(&json!({ "objects": Frame::of(&rows).json() }), || {
        rows.iter().map(|r| line(r, depth(r) - least)).collect()
    })
}

/// One object: its name, dimensions, unit and definition.
fn line(row: &TreeRow, depth: usize) -> String {
    let name = row.path.rsplit('/').next().unwrap_or_default();
    let mut line = format!("{:1$}{name}", "", 2 * depth);
    match row.kind.as_str() {
        "group" | "record" => line += "/",
        "link" => line += " (a link into another file)",
        _ => line += &format!(" ({}: {})", row.dimensions, row.holds),
    }
    if !row.unit.is_empty() {
        line += &format!(" [{}]", row.unit);
    }
    if !row.is.is_empty() {
        line += &format!("  {}", row.is);
    }
    line + "\n"
}

fn clipped(row: &DiffRow) -> DiffRow {
    let clip = |text: &str| match text.chars().count() > LONGEST {
        true => text.chars().take(LONGEST).chain("...".chars()).collect(),
        false => text.to_owned(),
    };
    DiffRow { a: clip(&row.a), b: clip(&row.b), ..row.clone() }
}
