//! A limit on bytes per second, given the time.

use std::time::{Duration, Instant};

/// How far back unused allowance counts.
const WINDOW: Duration = Duration::from_millis(300);

/// Says how long to wait so that no more than so many bytes are moved a second (`log.cleaner.io.max.bytes.per.second`).
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    bytes_per_second: f64,
    /// When all that was moved so far would have been allowed.
    paid_until: Option<Instant>,
}

impl Throttle {
    /// A limit; one that is not above zero, or endless, is none.
    pub fn new(bytes_per_second: f64) -> Self {
        Self {
            bytes_per_second,
            paid_until: None,
        }
    }

    /// Notes that `bytes` were moved. Returns how long to wait.
    pub fn delay(&mut self, bytes: u64, now: Instant) -> Duration {
        if !self.bytes_per_second.is_normal() || self.bytes_per_second < 0.0 {
            return Duration::ZERO;
        }
        let cost = Duration::try_from_secs_f64(bytes as f64 / self.bytes_per_second).unwrap_or(Duration::MAX);
        let earliest = now.checked_sub(WINDOW).unwrap_or(now);
        let start = self.paid_until.map_or(now, |paid| paid.max(earliest));
        let paid_until = start.checked_add(cost).unwrap_or(now + WINDOW);
        self.paid_until = Some(paid_until);
        paid_until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_moved() {
        let start = Instant::now();
        let mut throttle = Throttle::new(1_000.0);
        let mut now = start;
        for _ in 0..20 {
            now += throttle.delay(500, now);
        }
        assert_eq!(now - start, Duration::from_secs(10));
        now += Duration::from_secs(60);
        assert_eq!(throttle.delay(300, now), Duration::ZERO, "a pause is no debt");
        assert_eq!(
            throttle.delay(1_000, now),
            Duration::from_secs(1),
            "but does not save up much either"
        );
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        for limit in [f64::MAX, f64::INFINITY, 0.0, -1.0, f64::NAN] {
            let delay = Throttle::new(limit).delay(1 << 30, Instant::now());
            assert_eq!(delay, Duration::ZERO, "{limit}");
        }
    }
}
