//! The wall clock, read in one place.

use ottla_protocol::ids::TimestampMs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970. For timestamps and retention; time-outs go by the monotonic clock.
pub(crate) fn now_ms() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(since.as_millis()).unwrap_or(TimestampMs::MAX)
}
