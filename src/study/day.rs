//! The day of a run, which chat templates may tell the model.
//!
//! A template that writes today's date would change activations from one day to the next. A run has
//! one day: the manifest's, or else that of its first stage, which is kept in the run folder so that
//! a run that is continued keeps to it.

use super::bounds::is_date;
use super::manifest::Written;
use super::StudyError;
use crate::store::{atomic, time};
use std::path::Path;

/// File of the day in a run folder.
pub const FILE: &str = "date";

/// The day of a run as `YYYY-MM-DD`: the manifest's, the run folder's, or today (UTC).
///
/// # Errors
/// `Stage` where the run folder's file holds something else, `Read` where it cannot be read.
pub fn of_run(written: &Written, out: &Path) -> Result<String, StudyError> {
    if let Some(date) = &written.date {
        return Ok(date.clone());
    }
    let path = out.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if is_date(text.trim()) => Ok(text.trim().into()),
        Ok(text) => Err(StudyError::Stage {
            path,
            why: format!("{:?} is no day", text.chars().take(40).collect::<String>()),
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Ok(time::utc_now().chars().take(10).collect())
        }
        Err(source) => Err(StudyError::Read { path, source }),
    }
}

/// As [`of_run`], and keeps the day in the run folder, which must exist.
pub fn keep(written: &Written, out: &Path) -> Result<String, StudyError> {
    let date = of_run(written, out)?;
    atomic::write(&out.join(FILE), format!("{date}\n").as_bytes())?;
    Ok(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::written::{Text, QUICK};

    #[test]
    fn a_run_keeps_its_day() {
        let mut written = Text::of(QUICK.into(), Path::new("q")).parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let today = of_run(&written, dir.path()).unwrap();
        assert!(is_date(&today), "{today}");
        std::fs::write(dir.path().join(FILE), "2024-02-29\n").unwrap();
        assert_eq!(keep(&written, dir.path()).unwrap(), "2024-02-29");
        written.date = Some("2020-01-31".into());
        assert_eq!(keep(&written, dir.path()).unwrap(), "2020-01-31");
        written.date = None;
        assert_eq!(of_run(&written, dir.path()).unwrap(), "2020-01-31");
        std::fs::write(dir.path().join(FILE), "yesterday").unwrap();
        let e = of_run(&written, dir.path()).unwrap_err().to_string();
        assert!(e.contains("yesterday") && e.contains("date"), "{e}");
    }
}
