//! What a file holds, object by object: the rows behind `residuum h5 tree`.

use super::datasets;
use super::error::{Result, StoreError};
use super::results::COORDS;
use super::results_reader::{Kind, ResultsReader};
use super::scales::dimensions;
use super::values::AttrValue;
use super::virtuals;

crate::record! {
    /// What a file holds.
    #[table("h5/tree")]
    pub struct TreeRow {
        /// Path from the root.
        pub path: String,
        /// group, record, array, coordinate, or link into another file.
        pub kind: String,
        /// numbers, whole numbers or texts; empty for a group.
        pub holds: String,
        /// Name and length of each dimension.
        pub dimensions: String,
        /// Unit; empty where there is none.
        pub unit: String,
        /// Definition, or the file that an array's numbers are in.
        pub is: String,
    }
}

/// One row an object, groups before what is in them. Coordinates are listed below `coords/` alone: each
/// stands in every group that uses it.
///
/// # Errors
/// `Hdf5`, and objects that are of no kind that these files have.
pub fn tree(reader: &ResultsReader) -> Result<Vec<TreeRow>> {
    let shown = |path: &str, kind| kind != Kind::Coordinate || path.starts_with(COORDS);
    let objects = reader.objects()?.into_iter().filter(|o| shown(&o.path, o.kind));
    objects.map(|o| row(reader, o.path, o.kind)).collect()
}

fn row(reader: &ResultsReader, path: String, kind: Kind) -> Result<TreeRow> {
    let text = |attr: &str| -> Result<String> {
        match reader.attr(&path, attr) {
            Ok(AttrValue::Text(text)) => Ok(text),
            Ok(_) | Err(StoreError::NoObject { .. }) => Ok(String::new()),
            Err(e) => Err(e),
        }
    };
    let record = kind == Kind::Group && reader.attr(&path, "columns").is_ok();
    let named = match kind {
        Kind::Group if record => "record",
        Kind::Group => "group",
        Kind::Array => "array",
        Kind::Coordinate => "coordinate",
        Kind::Link => "link",
    };
    let (mut holds, mut dims, mut is) = (String::new(), String::new(), String::new());
    if kind != Kind::Link {
        is = text("is")?;
    }
    if matches!(kind, Kind::Array | Kind::Coordinate) {
        let dataset = reader.dataset(&path)?;
        holds = match datasets::kind(&dataset, &reader.path)? {
            datasets::Kind::Text => "texts",
            datasets::Kind::Int => "whole numbers",
            datasets::Kind::Real => "numbers",
        }
        .into();
        let names = dimensions(&dataset, &reader.path)?;
        let each = names.iter().zip(dataset.shape()).map(|(name, n)| format!("{name} {n}"));
        dims = each.collect::<Vec<_>>().join(", ");
        if let Some(source) = virtuals::source(&dataset, &reader.path)? {
            is = format!("in {}", source.file);
        }
    }
    let unit = if kind == Kind::Array { text("unit")? } else { String::new() };
    Ok(TreeRow { path, kind: named.into(), holds, dimensions: dims, unit, is })
}
