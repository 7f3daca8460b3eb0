//! CSV beside HDF5: one row per row of a table.
//!
//! Numbers are in their shortest exact form, missing ones `NaN`; fields are quoted where they must be;
//! lines end in a line feed.

use std::fs::File;
use std::path::Path;

use super::atomic::Pending;
use super::error::{from_io, StoreError};
use super::values::Values;

/// Columns of equal length, written and waiting to appear at `target`.
///
/// # Errors
/// `Unwritable`, `DiskFull` or `Io`.
pub fn pending(target: &Path, columns: &[(&str, Values)]) -> Result<Pending, StoreError> {
    let pending = Pending::new(target)?;
    let file = File::create(pending.path());
    file.and_then(|f| write(f, columns)).map_err(|e| from_io(target, e))?;
    Ok(pending)
}

/// Columns of equal length, with their names in the first line.
pub(super) fn write<S: AsRef<str>>(
    to: impl std::io::Write,
    columns: &[(S, Values)],
) -> std::io::Result<()> {
    let mut writer = ::csv::Writer::from_writer(to);
    writer.write_record(columns.iter().map(|(name, _)| name.as_ref()))?;
    for i in 0..columns.first().map_or(0, |(_, values)| values.len()) {
        writer.write_record(columns.iter().map(|(_, values)| values.label(i)))?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ResultsWriter, RootAttrs};

    #[test]
    fn a_full_disk_is_reported() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let file = File::create(full).unwrap();
            let error = write(file, &[("a", vec![1i64].into())]).unwrap_err();
            assert!(matches!(from_io(full, error), StoreError::DiskFull { .. }));
        }
    }

    #[test]
    fn a_table_stands_beside_with_its_fields_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let attrs = RootAttrs::new("test", serde_json::json!({}), 7);
        let mut w = ResultsWriter::create(&dir.path().join("results.h5"), &attrs).unwrap();
        let numbers = vec![0.5, f64::NAN];
        let columns = [("id", vec!["a,b", "c\"d"].into()), ("x", numbers.into())];
        w.table("behaviour", "prompts", &columns).unwrap();
        assert!(!dir.path().join("csv/behaviour.prompts.csv").exists());
        w.finish().unwrap();
        let csv = std::fs::read_to_string(dir.path().join("csv/behaviour.prompts.csv")).unwrap();
        assert_eq!(csv, "id,x\n\"a,b\",0.5\n\"c\"\"d\",NaN\n");
    }
}
