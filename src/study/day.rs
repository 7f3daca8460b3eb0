//! The day of a run, which chat templates may tell the model.
//!
//! A template that writes today's date would change activations from one day to the next. A run has
//! one day: the manifest's, or else that of its first stage, which is kept in the run folder so that
//! a run that is continued keeps to it.

use super::written::Written;
use super::{Result, StudyError};
use crate::model::Date;
use crate::store::atomic;
use std::path::Path;

/// File of the day in a run folder.
pub const FILE: &str = "date";

/// The day of a run: the manifest's, the run folder's, or today (UTC).
///
/// # Errors
/// `Stage` where the run folder's file holds something else, `Read` where it cannot be read.
pub fn of_run(written: &Written, out: &Path) -> Result<Date> {
    Ok(fixed(written, out)?.unwrap_or_else(Date::today))
}

/// The manifest's day, or the run folder's.
fn fixed(written: &Written, out: &Path) -> Result<Option<Date>> {
    if written.date.is_some() {
        return Ok(written.date);
    }
    let path = out.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(date) => Ok(Some(date)),
            Err(why) => Err(StudyError::Stage { path, why }),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StudyError::Read { path, source }),
    }
}

/// Keeps the day that the model's template is told in the run folder, which must exist.
///
/// # Errors
/// Another day than the manifest's or the run's.
pub fn keep(written: &Written, out: &Path, told: Date) -> Result<()> {
    if let Some(day) = fixed(written, out)?.filter(|day| *day != told) {
        return Err(StudyError::Stage {
            path: out.join(FILE),
            why: format!("the day of the run is {day}, but its model was loaded for {told}; load it with that date"),
        });
    }
    Ok(atomic::write(&out.join(FILE), format!("{told}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::text::{Text, QUICK};

    #[test]
    fn a_run_keeps_its_day() {
        let day = |s: &str| s.parse::<Date>().unwrap();
        let mut written = Text::of(QUICK.into(), Path::new("q")).parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "2024-02-29\n").unwrap();
        assert_eq!(of_run(&written, dir.path()).unwrap(), day("2024-02-29"));
        assert!(keep(&written, dir.path(), day("2024-03-01")).is_err());
        keep(&written, dir.path(), day("2024-02-29")).unwrap();
        written.date = Some(day("2020-01-31"));
        keep(&written, dir.path(), day("2020-01-31")).unwrap();
        written.date = None;
        assert_eq!(of_run(&written, dir.path()).unwrap(), day("2020-01-31"));
        std::fs::write(dir.path().join(FILE), "yesterday").unwrap();
        let e = of_run(&written, dir.path()).unwrap_err().to_string();
        assert!(e.contains("yesterday") && e.contains("date"), "{e}");
    }
}
