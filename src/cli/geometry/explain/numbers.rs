//! Any other array or table: the numbers that the labels pick out, and what is said beside them.

use super::results::{layer_place, place, third, Results};
use super::told::{with_ends, Told};
use super::ExplainArgs;
use crate::geometry_tables::GROUP;
use crate::store::{NamedArray, Values};
use anyhow::{bail, Result};
use ndarray::Dimension;
use serde_json::{json, Map, Value};

/// Most rows or cells that are printed of one number.
const MOST: usize = 24;

/// Labels that an argument asks for along a dimension or column.
fn asked<'a>(args: &'a ExplainArgs, name: &str, nth: usize) -> Option<&'a str> {
    let given = args.picks.iter().find(|(n, _)| n == name);
    given.map(|(_, label)| label.as_str()).or(match name {
        "state" | "set" => args.state.as_deref(),
        "concept" | "concept_a" | "direction" => args.concepts.first().map(String::as_str),
        "concept_b" => args.concepts.get(nth.max(1)).map(String::as_str),
        _ => None,
    })
}

/// Cells of an array, with the ends of their intervals.
pub fn array(results: &Results, args: &ExplainArgs, path: &str) -> Result<Told> {
    let array = results.reader.array(path)?;
    let mut kept: Vec<Vec<usize>> = Vec::new();
    for (dim, labels) in array.dims.iter().zip(&array.coords) {
        let all: Vec<usize> = (0..labels.len()).collect();
        kept.push(match (dim.as_str(), asked(args, dim, 1)) {
            ("layer", None) => vec![layer_place(labels, args.layer)?],
            (_, Some(label)) => vec![place(dim, labels, Some(label))?],
            // The ends of an interval along a dimension of their own are put beside the value.
            ("bound", None) => vec![place(dim, labels, Some("value")).unwrap_or(0)],
            _ => all,
        });
    }
    if let Some((name, _)) = args.picks.iter().find(|(n, _)| !array.dims.contains(n)) {
        bail!(
            "{path} has no dimension `{name}`; it has {}",
            array.dims.join(", ")
        );
    }
    let bound = array.dims.iter().position(|d| d == "bound");
    let sides = |suffix: &str| -> Option<NamedArray<f64>> {
        let plain = path == "geometry/cosine";
        let name = if plain {
            format!("{GROUP}/ci{suffix}")
        } else {
            format!("{path}{suffix}")
        };
        results.reader.array(&name).ok()
    };
    let (lo, hi) = (sides("_lo"), sides("_hi"));
    let mut told = Told::default();
    told.json.insert("number".into(), path.into());
    let mut cells: Vec<Value> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let mut left_out = 0;
    for (index, &value) in array.data.indexed_iter() {
        let index: Vec<usize> = index.as_array_view().to_vec();
        let wanted = index.iter().zip(&kept).all(|(i, k)| k.contains(i));
        if !wanted || value.is_nan() {
            continue;
        }
        if cells.len() == MOST {
            left_out += 1;
            continue;
        }
        let end = |other: &Option<NamedArray<f64>>, label: &str| -> Option<f64> {
            if let Some(dim) = bound {
                let mut index = index.clone();
                index[dim] = place("bound", &array.coords[dim], Some(label)).ok()?;
                return array.data.get(index.as_slice()).copied();
            }
            other.as_ref()?.data.get(index.as_slice()).copied()
        };
        let ends = end(&lo, "ci_lo").zip(end(&hi, "ci_hi"));
        let labels: Vec<String> = (0..index.len())
            .filter(|&d| Some(d) != bound)
            .map(|d| format!("{} {}", array.dims[d], array.coords[d].label(index[d])))
            .collect();
        let shown = match ends {
            Some((lo, hi)) => with_ends(value, lo, hi),
            None => format!("{value:.4}"),
        };
        lines.push(format!("{}: {shown}", labels.join(", ")));
        let ends = ends.map(|(lo, hi)| json!({ "lo": lo, "hi": hi }));
        cells.push(json!({ "at": labels, "value": value, "interval": ends }));
    }
    if cells.is_empty() {
        bail!("{path} has no number at these labels; `NaN` marks what was not measured");
    }
    told.lines.push(path.to_string());
    told.lines
        .extend(lines.into_iter().map(|l| format!("  {l}")));
    if left_out > 0 {
        told.lines.push(format!(
            "  and {left_out} more; pick with --state, --concepts, --layer, --where"
        ));
    }
    told.json.insert("values".into(), cells.into());
    told.notes(results, path);
    Ok(told)
}

/// Rows of a table.
pub fn table(results: &Results, args: &ExplainArgs, path: &str) -> Result<Told> {
    let columns = results.reader.table(path)?;
    let names: Vec<&str> = columns.iter().map(|(n, _)| n.as_str()).collect();
    if let Some((name, _)) = args
        .picks
        .iter()
        .find(|(n, _)| !names.contains(&n.as_str()))
    {
        bail!("{path} has no column `{name}`; it has {}", names.join(", "));
    }
    let layers = columns.iter().find(|(n, _)| n == "layer").map(|(_, v)| v);
    // Without a choice, the first of the reported layers that the table has.
    let layer = match (layers, args.layer) {
        (Some(_), Some(layer)) => Some(layer.to_string()),
        (Some(values), None) => Some(values.label(third(values))),
        (None, _) => None,
    };
    let rows = columns.first().map_or(0, |(_, v)| v.len());
    let wanted = |row: &usize| {
        columns.iter().all(|(name, values)| {
            let label = values.label(*row);
            match (name.as_str(), asked(args, name, 1)) {
                ("layer", _) => layer.as_ref().is_none_or(|l| *l == label),
                (_, Some(asked)) => asked == label,
                _ => true,
            }
        })
    };
    let found: Vec<usize> = (0..rows).filter(wanted).collect();
    if found.is_empty() {
        bail!(
            "{path} has no row at these labels; its columns are {}",
            names.join(", ")
        );
    }
    let mut told = Told::default();
    told.json.insert("number".into(), path.into());
    told.lines.push(path.to_string());
    let mut rows_json: Vec<Value> = Vec::new();
    for &row in found.iter().take(MOST) {
        let mut object = Map::new();
        for (name, values) in &columns {
            object.insert(
                name.clone(),
                match values {
                    Values::Real(v) => json!(v[row]),
                    Values::Int(v) => json!(v[row]),
                    Values::Text(v) => json!(v[row]),
                },
            );
        }
        let one: Vec<String> = object
            .iter()
            .map(|(name, value)| match value {
                Value::String(t) => format!("{name} {t}"),
                Value::Number(n) => match n.as_i64() {
                    Some(n) => format!("{name} {n}"),
                    None => format!("{name} {:.4}", n.as_f64().unwrap_or(f64::NAN)),
                },
                _ => format!("{name} -"),
            })
            .collect();
        told.lines.push(format!("  {}", one.join(", ")));
        rows_json.push(Value::Object(object));
    }
    if found.len() > MOST {
        let more = found.len() - MOST;
        told.lines.push(format!(
            "  and {more} more; pick with --state, --concepts, --layer, --where"
        ));
    }
    told.json.insert("rows".into(), rows_json.into());
    told.notes(results, path);
    Ok(told)
}
