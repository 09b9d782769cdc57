//! When records were appended, as this process has seen it.
//!
//! A record's own timestamp is its producer's, and may be anything. What is kept here is a bounded number of spans: from
//! which offset on, and between which two moments. An append lengthens the newest span, or begins another one when that is
//! [`SPAN_MS`] old. When there are too many, the two neighbours become one that differ least for their age, so what is
//! recent stays exact and what is old becomes coarse: over a day of steady appends a time is found to within a fifth of
//! the record's age. A log that nobody appends to keeps nothing.

use ottla_protocol::ids::{Offset, TimestampMs};

/// So long a span is before the next one begins.
const SPAN_MS: TimestampMs = 1_000;

/// So many spans are kept; 24 bytes each.
const SPANS_MAX: usize = 48;

/// Appends from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    base_offset: Offset,
    first_ms: TimestampMs,
    last_ms: TimestampMs,
}

/// The spans, by offset and by time.
#[derive(Clone, Debug, Default)]
pub(super) struct AppendTimes(Vec<Span>);

impl AppendTimes {
    /// Records from `base_offset` on have been appended at `now_ms`. A clock that goes back stands still here.
    pub(super) fn note(&mut self, base_offset: Offset, now_ms: TimestampMs) {
        if let Some(newest) = self.0.last_mut()
            && now_ms < newest.first_ms.saturating_add(SPAN_MS)
        {
            newest.last_ms = newest.last_ms.max(now_ms);
            return;
        }
        self.0.push(Span {
            base_offset,
            first_ms: now_ms,
            last_ms: now_ms,
        });
        if self.0.len() > SPANS_MAX {
            self.join_two(now_ms);
        }
    }

    /// Joins the two neighbours that differ least for their age. The newest span stays: it is still growing.
    fn join_two(&mut self, now_ms: TimestampMs) {
        let older = &self.0[..self.0.len() - 1];
        let cost = |pair: &[Span]| {
            let age_ms = now_ms.saturating_sub(pair[1].last_ms).max(SPAN_MS);
            let length_ms = pair[1].last_ms.saturating_sub(pair[0].first_ms);
            length_ms as f64 / age_ms as f64
        };
        let costs = older.windows(2).map(cost).enumerate();
        if let Some((at, _)) = costs.min_by(|(_, one), (_, other)| one.total_cmp(other)) {
            let joined = self.0.remove(at + 1);
            self.0[at].last_ms = joined.last_ms;
        }
    }

    /// When the record at `offset`, which is before `end_offset`, was appended; between two moments that are known it is
    /// where it would be had the appends come evenly. `None` if this process has not seen it.
    pub(super) fn of(&self, offset: Offset, end_offset: Offset) -> Option<TimestampMs> {
        let after = self.0.partition_point(|span| span.base_offset <= offset);
        let span = self.0[..after].last()?;
        let next_offset = self.0.get(after).map_or(end_offset, |next| next.base_offset);
        let length_ms = (span.last_ms - span.first_ms) as f64;
        let part = (offset - span.base_offset) as f64 / (next_offset - span.base_offset).max(1) as f64;
        Some(span.first_ms + (length_ms * part.clamp(0.0, 1.0)) as TimestampMs)
    }

    /// When the first append was that this process has seen.
    pub(super) fn first_ms(&self) -> Option<TimestampMs> {
        self.0.first().map(|span| span.first_ms)
    }

    /// Forgets what was cut off.
    pub(super) fn cut(&mut self, end_offset: Offset) {
        self.0.retain(|span| span.base_offset < end_offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_exact_where_appends_are_apart() {
        let mut times = AppendTimes::default();
        assert_eq!(times.of(0, 10), None);
        times.note(5, 10_000);
        times.note(8, 70_000);
        assert_eq!(times.of(4, 10), None, "before this process");
        // The records from 5 to 7 came at once, long before those at 8 and 9.
        assert_eq!(
            [5, 7, 8, 9].map(|offset| times.of(offset, 10)),
            [10_000, 10_000, 70_000, 70_000].map(Some)
        );
    }

    #[test]
    fn a_steady_stream_is_known_to_within_a_part_of_its_age_in_bounded_room() {
        let mut times = AppendTimes::default();
        // A record every 100 ms, for a day, but for two hours of silence.
        let at = |offset: Offset| offset * 100 + if offset > 850_000 { 7_200_000 } else { 0 };
        let end = 864_000;
        (0..end).for_each(|offset| times.note(offset, at(offset)));
        assert!(times.0.len() <= SPANS_MAX);
        assert!(times.0.windows(2).all(|pair| pair[0].base_offset < pair[1].base_offset));
        let now = at(end);
        for offset in (0..end).step_by(97) {
            let found = times.of(offset, end).expect("it was seen");
            let (age, wrong) = (now - at(offset), (found - at(offset)).abs());
            assert!(wrong <= age / 5 + SPAN_MS, "{offset}: {wrong} of {age} ms");
        }
    }

    #[test]
    fn a_clock_that_goes_back_does_not_turn_the_order_round() {
        let mut times = AppendTimes::default();
        times.note(0, 50_000);
        times.note(1, 10_000);
        times.note(2, 51_500);
        assert_eq!(
            [0, 1, 2].map(|offset| times.of(offset, 3)),
            [50_000, 50_000, 51_500].map(Some)
        );
    }

    #[test]
    fn what_was_cut_off_is_forgotten() {
        let mut times = AppendTimes::default();
        times.note(0, 1_000);
        times.note(10, 5_000);
        times.cut(10);
        times.note(10, 9_000);
        assert_eq!(times.of(10, 11), Some(9_000));
        assert_eq!(times.first_ms(), Some(1_000));
        times.cut(0);
        assert_eq!(times.first_ms(), None);
    }
}
