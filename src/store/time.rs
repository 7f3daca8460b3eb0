//! The wall clock, as text.
//!
//! Files record when they were made, in UTC and to the second (`2026-04-18T09:30:00Z`).

use ::time::OffsetDateTime;

/// Now, in UTC to the second, in ISO 8601 form.
pub fn utc_now() -> String {
    written(OffsetDateTime::now_utc())
}

/// The moment `seconds` after 1970-01-01T00:00:00Z, in ISO 8601 form; one beyond the year 9999 reads as
/// 1970.
pub fn utc(seconds: u64) -> String {
    let at = i64::try_from(seconds).map(OffsetDateTime::from_unix_timestamp);
    match at {
        Ok(Ok(at)) => written(at),
        _ => written(OffsetDateTime::UNIX_EPOCH),
    }
}

fn written(at: OffsetDateTime) -> String {
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A span of time as people read it, rounded up: seconds under a minute, minutes under two hours.
pub fn span(seconds: f64) -> String {
    match seconds.max(0.0).ceil() {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", (s / 60.0).ceil()),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_the_unit_that_fits() {
        let all = [0.2, 59.0, 60.0, 61.0, 7199.0, 9000.0].map(span);
        assert_eq!(all, ["1 s", "59 s", "1 min", "2 min", "120 min", "2.5 h"]);
    }

    #[test]
    fn known_moments_are_named_right() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
