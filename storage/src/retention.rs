//! Which segments have had their time: a pure decision.
//!
//! Segments go from the oldest on, whole, and only below the high watermark. The active segment goes too when all of it
//! has expired; a new one is made in its place, so that a log always has a segment.

use ottla_protocol::ids::{Offset, TimestampMs};

use crate::log::LogConfig;

/// What the decision needs to know of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentAge {
    /// Where the next segment starts; for the active one the log end offset.
    pub end_offset: Offset,
    /// Bytes of its batches.
    pub size_bytes: u64,
    /// The largest timestamp of its records, -1 without any.
    pub largest_timestamp: TimestampMs,
    /// When it was last written.
    pub modified_ms: TimestampMs,
}

/// How many of the oldest segments go. `segments` has all of them, the active one last.
///
/// - Below the log start offset a segment goes under every policy.
/// - `retention.bytes`: it goes if the log without it still has as much.
/// - `retention.ms`: it goes if its largest timestamp is older than that. Without a timestamp, or with one in the
///   future, which would keep it for ever, the time of its last write counts.
pub fn expired_count(
    segments: &[SegmentAge],
    config: &LogConfig,
    log_start_offset: Offset,
    high_watermark: Offset,
    now_ms: TimestampMs,
) -> usize {
    let total: u64 = segments.iter().map(|segment| segment.size_bytes).sum();
    let mut excess = match u64::try_from(config.retention_bytes) {
        Ok(limit) if config.is_deleted => total.saturating_sub(limit),
        _ => 0,
    };
    let is_expired = |segment: &SegmentAge| {
        let age_of = match segment.largest_timestamp {
            known if (0..=now_ms).contains(&known) => known,
            _ => segment.modified_ms,
        };
        config.is_deleted && config.retention_ms >= 0 && now_ms.saturating_sub(age_of) > config.retention_ms
    };
    let mut count = 0;
    for segment in segments {
        let is_active = count + 1 == segments.len();
        if segment.end_offset > high_watermark || (is_active && segment.size_bytes == 0) {
            break;
        }
        let is_before_start = !is_active && segment.end_offset <= log_start_offset;
        let is_too_much = segment.size_bytes > 0 && segment.size_bytes <= excess;
        if !is_before_start && !is_too_much && !is_expired(segment) {
            break;
        }
        excess = excess.saturating_sub(segment.size_bytes);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(timestamps: &[TimestampMs]) -> Vec<SegmentAge> {
        let segment = |(at, largest_timestamp): (usize, &TimestampMs)| SegmentAge {
            end_offset: (at as Offset + 1) * 10,
            size_bytes: 100,
            largest_timestamp: *largest_timestamp,
            modified_ms: 0,
        };
        timestamps.iter().enumerate().map(segment).collect()
    }

    fn config(retention_ms: i64, retention_bytes: i64) -> LogConfig {
        LogConfig {
            retention_ms,
            retention_bytes,
            ..LogConfig::default()
        }
    }

    #[test]
    fn what_is_exactly_as_old_as_allowed_stays() {
        let segments = segments(&[1_000, 2_000, 3_000]);
        assert_eq!(expired_count(&segments, &config(1_000, -1), 0, 30, 2_000), 0);
        assert_eq!(expired_count(&segments, &config(1_000, -1), 0, 30, 2_001), 1);
        assert_eq!(
            expired_count(&segments, &config(1_000, -1), 0, 30, 9_000),
            3,
            "the active segment goes too"
        );
    }

    #[test]
    fn without_limits_everything_stays() {
        let segments = segments(&[1, 2, 3]);
        assert_eq!(expired_count(&segments, &config(-1, -1), 0, 30, i64::MAX), 0);
        let kept = LogConfig {
            is_deleted: false,
            ..config(0, 0)
        };
        assert_eq!(expired_count(&segments, &kept, 0, 30, i64::MAX), 0);
    }

    #[test]
    fn size_retention_keeps_at_least_the_limit() {
        let segments = segments(&[1, 2, 3]);
        for (limit, expected) in [(300, 0), (201, 0), (200, 1), (199, 1), (100, 2), (0, 3)] {
            assert_eq!(
                expired_count(&segments, &config(-1, limit), 0, 30, 0),
                expected,
                "retention.bytes={limit}"
            );
        }
    }

    #[test]
    fn nothing_at_or_above_the_high_watermark_goes() {
        let segments = segments(&[1, 2, 3]);
        assert_eq!(expired_count(&segments, &config(0, 0), 0, 19, 9_000), 1);
    }

    #[test]
    fn what_is_below_the_log_start_goes_under_every_policy() {
        let kept = LogConfig {
            is_deleted: false,
            ..config(-1, -1)
        };
        assert_eq!(expired_count(&segments(&[1, 2, 3]), &kept, 20, 30, 0), 2);
        assert_eq!(
            expired_count(&segments(&[1, 2, 3]), &kept, 30, 30, 0),
            2,
            "the active segment is not before it"
        );
    }

    #[test]
    fn a_timestamp_in_the_future_or_none_counts_from_the_last_write() {
        let future = segments(&[i64::MAX, -1]);
        assert_eq!(expired_count(&future, &config(1_000, -1), 0, 20, 1_000), 0);
        assert_eq!(expired_count(&future, &config(1_000, -1), 0, 20, 1_001), 2);
    }
}
