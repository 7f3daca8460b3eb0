//! When requests may start, and how long to wait after a failure.
//!
//! All of it is arithmetic on times since the start of a run, so it is tested without waiting.
//! Starts are evenly spaced, retries included; a server that asks for a pause holds back every
//! thread. [`Clock`] is the one place that really waits, and tests put another in its stead.

use ::time::format_description::well_known::Rfc2822;
use ::time::OffsetDateTime;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest wait that is not asked for by the server.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Longest wait that a server can ask for; a longer one is a failure.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Spaces the starts of requests.
#[derive(Debug, Clone)]
pub struct Pace {
    gap: Duration,
    next: Duration,
}

impl Pace {
    /// At most `per_minute` starts a minute; none: as fast as they come.
    pub fn new(per_minute: Option<f64>) -> Self {
        let gap = per_minute.map_or(Duration::ZERO, |n| Duration::from_secs_f64(60.0 / n));
        Pace { gap, next: Duration::ZERO }
    }

    /// Takes the next start if it has come. `now` is the time since the start of the run.
    ///
    /// # Errors
    /// The wait until the next start, where it has not come.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        if now < self.next {
            return Err(self.next - now);
        }
        self.next = now + self.gap;
        Ok(())
    }

    /// No start before `until`.
    pub fn hold(&mut self, until: Duration) {
        self.next = self.next.max(until);
    }
}

/// Wait before try number `tries + 1`, at least what the server asked for: 1 s, doubled for each
/// further try up to a minute, of which a part between half and all is waited. `share` is that
/// part's place, in [0, 1), drawn by the caller so that threads do not return together.
pub fn backoff(tries: u32, share: f64, asked: Option<Duration>) -> Duration {
    let doubled = Duration::from_secs(1u64 << tries.saturating_sub(1).min(6));
    let own = doubled.min(LONGEST_BACKOFF).mul_f64(0.5 + share / 2.0);
    own.max(asked.unwrap_or_default())
}

/// The wait in a `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3, in the
/// one form that servers may send). `now` is the wall clock. None if it is neither.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = UNIX_EPOCH + Duration::from_secs(http_date(value)?);
    Some(at.duration_since(now).unwrap_or_default())
}

/// Seconds since 1970 of a date such as `Tue, 29 Feb 2000 23:59:59 GMT`.
fn http_date(text: &str) -> Option<u64> {
    // The day of the week follows from the date.
    let (_, date) = text.split_once(", ")?;
    OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp().try_into().ok()
}

/// Time since a start, and waiting.
pub struct Clock {
    /// Time since the start.
    pub now: Box<dyn Fn() -> Duration + Send + Sync>,
    /// Waits for as long as it is told.
    pub sleep: Box<dyn Fn(Duration) + Send + Sync>,
}

impl Clock {
    /// The real one.
    pub fn system() -> Self {
        let start = Instant::now();
        Clock { now: Box::new(move || start.elapsed()), sleep: Box::new(std::thread::sleep) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::time;
    use proptest::prelude::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn starts_are_spaced_and_a_hold_holds_everyone() {
        let mut pace = Pace::new(Some(30.0));
        assert_eq!(pace.take(S(0)), Ok(()));
        assert_eq!(pace.take(S(0)), Err(S(2)));
        assert_eq!(pace.take(S(2)), Ok(()));
        pace.hold(S(3));
        assert_eq!(pace.take(S(3)), Err(S(1)));
        pace.hold(S(20));
        assert_eq!(pace.take(S(5)), Err(S(15)));
        assert_eq!(pace.take(S(20)), Ok(()));
        let mut free = Pace::new(None);
        assert!((0..9).all(|_| free.take(S(1)).is_ok()));
    }

    #[test]
    fn a_server_can_ask_in_seconds_or_by_date() {
        let now = UNIX_EPOCH + S(951_782_399);
        assert_eq!(retry_after(" 7 ", now), Some(S(7)));
        assert_eq!(retry_after("1.5", now), Some(Duration::from_millis(1500)));
        assert_eq!(retry_after("Tue, 29 Feb 2000 00:00:30 GMT", now), Some(S(31)));
        assert_eq!(retry_after("Mon, 28 Feb 2000 23:00:00 GMT", now), Some(S(0)));
        for nonsense in ["", "-1", "soon", "NaN", "Tue, 29 Feb 2000", "1e300"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn waits_grow_to_a_minute_and_never_undercut_the_server(
            tries in 1u32..200, share in 0.0f64..1.0, asked in 0u64..500
        ) {
            let own = backoff(tries, share, None);
            let full = S(1u64 << (tries - 1).min(6)).min(S(60));
            prop_assert!(own >= full / 2 && own <= full);
            prop_assert!(backoff(tries, share, Some(S(asked))) >= S(asked));
        }

        /// Dates are read as the store writes them.
        #[test]
        fn every_moment_is_read_from_its_date(seconds in 0u64..4_102_444_800) {
            let iso = time::utc(seconds); // 2000-02-29T23:59:59Z
            let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
                "Nov", "Dec"][iso[5..7].parse::<usize>().unwrap() - 1];
            let date = format!(
                "Day, {} {month} {} {} GMT", &iso[8..10], &iso[..4], &iso[11..19]
            );
            prop_assert_eq!(http_date(&date), Some(seconds));
        }
    }
}
