//! JSON Lines files that grow by one row at a time and outlive the death of their writer.
//!
//! A row is handed to the system in one write as soon as it exists, so a killed process loses
//! at most the row that it was writing. [`Journal::open`] reads what is there and mends the end:
//! a last line without its newline is kept if it is a whole row and cut off if it is the beginning
//! of one. A line that cannot be read otherwise is no accident of ours and is an error: somebody
//! else's file is left as it is. These are the only
//! files here that are not written whole: they hold what is dear to make again.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::Serialize;

use super::error::{from_io, Result, StoreError};
use super::text::{self, reason, Fault};

/// A file of rows, open for more.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or creates the file at `path`; also returns its rows.
    ///
    /// # Errors
    /// `BadLine` for a line that is no such row, or the file system's refusal.
    pub fn open<T: DeserializeOwned>(path: &Path) -> Result<(Journal, Vec<T>)> {
        let fail = |e| from_io(path, e);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.create(true).read(true).append(true).open(path).map_err(fail)?;
        let bytes = fs::read(path).map_err(fail)?;
        let (rows, end) = rows(&bytes, path)?;
        match end {
            End::Whole => {}
            End::NoNewline => file.write_all(b"\n").map_err(fail)?,
            End::Torn(at) => {
                file.set_len(at as u64).map_err(fail)?;
                file.seek(SeekFrom::End(0)).map_err(fail)?;
            }
        }
        let path = path.to_path_buf();
        Ok((Journal { path, file }, rows))
    }

    /// The rows of the file at `path`, which is left as it is; none if there is no file.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
        match fs::read(path) {
            Ok(bytes) => Ok(rows(&bytes, path)?.0),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(from_io(path, e)),
        }
    }

    /// Adds a row; it has left the process when this returns.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn append<T: Serialize>(&mut self, row: &T) -> Result<()> {
        let mut line = serde_json::to_vec(row).map_err(|e| from_io(&self.path, e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|e| from_io(&self.path, e))
    }

    /// Where the rows are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// How the last line ends.
enum End {
    Whole,
    NoNewline,
    /// Cut at this byte.
    Torn(usize),
}

fn rows<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<(Vec<T>, End)> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let mut rows = Vec::new();
    for (i, line) in bytes[..whole].split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        rows.push(serde_json::from_slice(line).map_err(|e| refused(bytes, path, i + 1, &e))?);
    }
    let tail = &bytes[whole..];
    if tail.is_empty() {
        return Ok((rows, End::Whole));
    }
    match serde_json::from_slice(tail) {
        Ok(row) => {
            rows.push(row);
            Ok((rows, End::NoNewline))
        }
        Err(e) if e.is_eof() => Ok((rows, End::Torn(whole))),
        Err(e) => {
            let line = bytes[..whole].iter().filter(|b| **b == b'\n').count() + 1;
            Err(refused(bytes, path, line, &e))
        }
    }
}

/// A line that is no row; where the file is no text at all, that is the reason.
fn refused(bytes: &[u8], path: &Path, line: usize, error: &serde_json::Error) -> StoreError {
    let path = path.to_path_buf();
    match text::decode(bytes.to_vec()) {
        Err(Fault { line, why }) => StoreError::NotText { path, line, why },
        Ok(_) => StoreError::BadLine { path, line, detail: reason(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (u32, String);

    #[test]
    fn rows_come_back_in_order_across_openings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/rows.jsonl");
        assert!(Journal::read::<Row>(&path).unwrap().is_empty());
        for i in 0..3u32 {
            let (mut journal, rows) = Journal::open::<Row>(&path).unwrap();
            assert_eq!(rows.len(), i as usize);
            journal.append(&(i, "line\nbreak".to_string())).unwrap();
        }
        let rows = Journal::read::<Row>(&path).unwrap();
        assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_bad_line_in_the_middle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        fs::write(&path, "[1,\"a\"]\n\n[2,\n[3,\"c\"]\n").unwrap();
        let error = Journal::open::<Row>(&path).unwrap_err();
        assert!(error.to_string().contains("rows.jsonl, line 3"), "{error}");
    }

    #[test]
    fn a_file_of_somebody_elses_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        let wide: Vec<u8> = "[1,\"a\"]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, word) in [
            (&b"some notes without a newline"[..], "line 1"),
            (b"{\"settings\": true}", "line 1"),
            (&wide, "UTF-16LE"),
        ] {
            fs::write(&path, bytes).unwrap();
            let error = Journal::open::<Row>(&path).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    proptest! {
        /// Whatever byte the writer dies at, every row written before is kept and the file can
        /// grow again.
        #[test]
        fn a_file_cut_anywhere_loses_at_most_its_last_row(
            texts in prop::collection::vec("[a-zü\n\"]{0,6}", 1..6), cut in 0usize..400
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("rows.jsonl");
            let (mut journal, _) = Journal::open::<Row>(&path).unwrap();
            let mut ends = vec![0];
            for (i, text) in texts.iter().enumerate() {
                journal.append(&(i as u32, text.clone())).unwrap();
                ends.push(fs::metadata(&path).unwrap().len() as usize);
            }
            let bytes = fs::read(&path).unwrap();
            let cut = cut % (bytes.len() + 1);
            fs::write(&path, &bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|e| **e <= cut).count() - 1;
            let (mut journal, rows) = Journal::open::<Row>(&path).unwrap();
            // A row whose newline alone is missing is whole.
            let newline_missing = ends.contains(&(cut + 1)) && cut > 0;
            prop_assert_eq!(rows.len(), whole + usize::from(newline_missing));
            journal.append(&(99, "more".to_string())).unwrap();
            let again = Journal::read::<Row>(&path).unwrap();
            prop_assert_eq!(again.len(), rows.len() + 1);
            prop_assert_eq!(&again[..rows.len()], &rows[..]);
        }
    }
}
