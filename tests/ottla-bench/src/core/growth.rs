//! Throughput as the broker sees it: how far the end offsets of a topic moved between two looks.
//!
//! What a client says it has sent may still be in its memory, and what was refused was sent too. An end that does not
//! move is an error, never a rate of zero: a report must not have a figure for work that was not done.

use std::time::Duration;

/// One look at a topic and at the broker's processor time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// When, since the beginning of the run.
    pub at: Duration,
    /// The sum of the end offsets of all partitions.
    pub end_offset: i64,
    /// User and system time of the broker so far; `None` where its process is elsewhere.
    pub cpu_seconds: Option<f64>,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Records appended.
    pub records: i64,
    /// Seconds between the looks.
    pub seconds: f64,
    /// Processor seconds of the broker.
    pub cpu_seconds: Option<f64>,
}

/// Why there is no growth to speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrowthError {
    /// Nothing was appended.
    #[error("the end offsets do not grow: they stay at {0}")]
    Stuck(i64),
    /// Records went away, or the topic is another one.
    #[error("the end offsets went back from {before} to {after}")]
    Back {
        /// At the first look.
        before: i64,
        /// At the second.
        after: i64,
    },
    /// The looks were taken at the same time, or in the other order.
    #[error("no time went by between two looks at the end offsets")]
    NoTime,
}

impl Growth {
    /// From `before` to `after`.
    ///
    /// # Errors
    /// The end offsets did not move, or no time went by.
    pub fn between(before: &Look, after: &Look) -> Result<Self, GrowthError> {
        let records = after.end_offset - before.end_offset;
        if records == 0 {
            return Err(GrowthError::Stuck(after.end_offset));
        }
        if records < 0 {
            return Err(GrowthError::Back {
                before: before.end_offset,
                after: after.end_offset,
            });
        }
        let elapsed = after.at.checked_sub(before.at).filter(|elapsed| !elapsed.is_zero());
        Ok(Self {
            records,
            seconds: elapsed.ok_or(GrowthError::NoTime)?.as_secs_f64(),
            cpu_seconds: after
                .cpu_seconds
                .zip(before.cpu_seconds)
                .map(|(after, before)| after - before),
        })
    }

    /// Gigabytes (10^9 bytes) of values, for values of this size.
    pub fn gigabytes(&self, value_bytes: usize) -> f64 {
        self.records as f64 * value_bytes as f64 / 1e9
    }

    /// Megabytes (10^6 bytes) of values per second.
    pub fn megabytes_per_second(&self, value_bytes: usize) -> f64 {
        self.gigabytes(value_bytes) * 1e3 / self.seconds
    }

    /// Processor seconds of the broker per gigabyte of values.
    pub fn cpu_seconds_per_gigabyte(&self, value_bytes: usize) -> Option<f64> {
        Some(self.cpu_seconds? / self.gigabytes(value_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: u64, end_offset: i64, cpu_seconds: f64) -> Look {
        Look {
            at: Duration::from_millis(at_ms),
            end_offset,
            cpu_seconds: Some(cpu_seconds),
        }
    }

    #[test]
    fn rates_and_costs_come_from_the_growth_alone() {
        let growth = Growth::between(&look(500, 1_000_000, 10.0), &look(2_500, 3_000_000, 13.0)).expect("it grows");
        assert_eq!(growth.records, 2_000_000);
        assert_eq!(growth.gigabytes(1_000), 2.0);
        assert_eq!(growth.megabytes_per_second(1_000), 1_000.0);
        assert_eq!(growth.cpu_seconds_per_gigabyte(1_000), Some(1.5));
    }

    #[test]
    fn an_end_that_does_not_move_is_an_error_and_not_a_rate_of_zero() {
        let stuck = Growth::between(&look(0, 7, 1.0), &look(1_000, 7, 2.0));
        assert_eq!(stuck, Err(GrowthError::Stuck(7)));
    }

    #[test]
    fn an_end_that_goes_back_is_an_error() {
        let back = Growth::between(&look(0, 7, 1.0), &look(1_000, 3, 2.0));
        assert_eq!(back, Err(GrowthError::Back { before: 7, after: 3 }));
    }

    #[test]
    fn looks_at_the_same_time_have_no_rate() {
        assert_eq!(
            Growth::between(&look(5, 1, 1.0), &look(5, 2, 1.0)),
            Err(GrowthError::NoTime)
        );
        assert_eq!(
            Growth::between(&look(5, 1, 1.0), &look(4, 2, 1.0)),
            Err(GrowthError::NoTime)
        );
    }

    #[test]
    fn a_broker_elsewhere_has_a_rate_and_no_cost() {
        let mut before = look(0, 0, 0.0);
        before.cpu_seconds = None;
        let growth = Growth::between(&before, &look(1_000, 10, 1.0)).expect("it grows");
        assert_eq!(growth.cpu_seconds_per_gigabyte(1_000), None);
    }
}
