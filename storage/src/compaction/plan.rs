//! What of a log can be compacted, whether it is worth it, and which segments become one: pure decisions.

use std::ops::Range;

use ottla_protocol::ids::{Offset, TimestampMs};

use crate::log::LogConfig;

/// What can be compacted of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// Where the section begins that no pass has seen.
    pub first_dirty_offset: Offset,
    /// Where it ends that may be compacted now: the active segment, the last stable offset, and what is younger than
    /// `min.compaction.lag.ms` stay as they are.
    pub first_uncleanable_offset: Offset,
    /// Bytes of the segments before the dirty section.
    pub clean_bytes: u64,
    /// Bytes of the segments that are dirty and may be compacted.
    pub dirty_bytes: u64,
    /// A dirty record is older than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Cleanable {
    /// How much of what a pass would read is dirty, 0 to 1.
    pub fn dirty_ratio(&self) -> f64 {
        match self.clean_bytes + self.dirty_bytes {
            0 => 0.0,
            total => self.dirty_bytes as f64 / total as f64,
        }
    }

    /// Whether a pass is worth it under `min.cleanable.dirty.ratio`, or has to be.
    pub fn is_due(&self, min_cleanable_dirty_ratio: f64) -> bool {
        self.dirty_bytes > 0 && (self.is_overdue || self.dirty_ratio() > min_cleanable_dirty_ratio)
    }
}

/// What the decisions need to know of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    pub(crate) base_offset: Offset,
    pub(crate) size_bytes: u64,
    /// The larger of its indexes.
    pub(crate) index_bytes: u64,
    /// The largest timestamp; looked at under `min.compaction.lag.ms` only.
    pub(crate) largest_timestamp: TimestampMs,
    /// The largest timestamp of the first batch; looked at under `max.compaction.lag.ms` only.
    pub(crate) first_timestamp: Option<TimestampMs>,
}

/// What the decisions need to know of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFacts {
    pub(crate) log_start_offset: Offset,
    pub(crate) last_stable_offset: Offset,
    pub(crate) log_end_offset: Offset,
    /// Up to where the last pass came, if there was one.
    pub(crate) cleaned_up_to: Option<Offset>,
}

/// What can be compacted. `segments` has all of them, the active one last.
pub(crate) fn assess(
    segments: &[SegmentFacts],
    log: &LogFacts,
    config: &LogConfig,
    now_ms: TimestampMs,
) -> Option<Cleanable> {
    let (active, sealed) = segments.split_last()?;
    // A checkpoint outside of the log is of another one: all is dirty then.
    let is_within = |offset: &Offset| (log.log_start_offset..=log.log_end_offset).contains(offset);
    let first_dirty_offset = log.cleaned_up_to.filter(is_within).unwrap_or(log.log_start_offset);
    let start = floor(segments, first_dirty_offset);
    let dirty = &sealed[start..];

    let is_too_young = |segment: &&SegmentFacts| {
        config.min_compaction_lag_ms > 0
            && segment.largest_timestamp > now_ms.saturating_sub(config.min_compaction_lag_ms)
    };
    let too_young = dirty.iter().find(is_too_young).map(|segment| segment.base_offset);
    let first_uncleanable_offset = log
        .last_stable_offset
        .min(active.base_offset)
        .min(too_young.unwrap_or(Offset::MAX))
        .max(first_dirty_offset);

    let end = floor(segments, first_uncleanable_offset);
    let size = |segments: &[SegmentFacts]| segments.iter().map(|segment| segment.size_bytes).sum();
    let clean_count = sealed.partition_point(|segment| segment.base_offset < first_dirty_offset);
    Some(Cleanable {
        first_dirty_offset,
        first_uncleanable_offset,
        clean_bytes: size(&sealed[..clean_count]),
        dirty_bytes: size(&sealed[start.min(end)..end]),
        is_overdue: is_overdue(dirty, config, now_ms),
    })
}

fn is_overdue(dirty: &[SegmentFacts], config: &LogConfig, now_ms: TimestampMs) -> bool {
    let earliest = dirty
        .iter()
        .filter_map(|segment| segment.first_timestamp)
        .filter(|timestamp| *timestamp > 0)
        .min();
    earliest.is_some_and(|earliest| earliest < now_ms.saturating_sub(config.max_compaction_lag_ms.max(0)))
}

/// The segment that holds `offset`, or would; the first one for an offset before it.
fn floor(segments: &[SegmentFacts], offset: Offset) -> usize {
    segments
        .partition_point(|segment| segment.base_offset <= offset)
        .saturating_sub(1)
}

/// Which of the segments become one each: as many as a segment may hold, so that compaction does not leave ever more
/// ever smaller ones. `end_offset` is where the last one ends.
pub(crate) fn group(segments: &[SegmentFacts], config: &LogConfig, end_offset: Offset) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut start = 0;
    while start < segments.len() {
        let mut size_bytes = segments[start].size_bytes;
        let mut index_bytes = segments[start].index_bytes;
        let mut end = start + 1;
        while let Some(next) = segments.get(end) {
            size_bytes += next.size_bytes;
            index_bytes += next.index_bytes;
            let last_offset = segments.get(end + 1).map_or(end_offset, |after| after.base_offset) - 1;
            // An index counts offsets from the base offset in 31 bits.
            let fits = size_bytes <= config.segment_bytes
                && index_bytes <= config.segment_index_bytes
                && i32::try_from(last_offset - segments[start].base_offset).is_ok();
            if !fits {
                break;
            }
            end += 1;
        }
        groups.push(start..end);
        start = end;
    }
    groups
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sealed segments of ten offsets and 100 bytes each, with these timestamps, and an empty active one.
    fn segments(timestamps: &[TimestampMs]) -> Vec<SegmentFacts> {
        let sealed = timestamps.iter().enumerate().map(|(at, timestamp)| SegmentFacts {
            base_offset: at as Offset * 10,
            size_bytes: 100,
            index_bytes: 10,
            largest_timestamp: *timestamp,
            first_timestamp: Some(*timestamp),
        });
        let active = SegmentFacts {
            base_offset: timestamps.len() as Offset * 10,
            ..SegmentFacts::default()
        };
        sealed.chain([active]).collect()
    }

    fn log(cleaned_up_to: Option<Offset>, last_stable_offset: Offset) -> LogFacts {
        LogFacts {
            log_start_offset: 0,
            last_stable_offset,
            log_end_offset: 1_000,
            cleaned_up_to,
        }
    }

    fn look(cleaned_up_to: Option<Offset>, last_stable_offset: Offset) -> Cleanable {
        let segments = segments(&[1, 2, 3, 4]);
        assess(
            &segments,
            &log(cleaned_up_to, last_stable_offset),
            &LogConfig::default(),
            0,
        )
        .unwrap()
    }

    fn range(cleanable: &Cleanable) -> Range<Offset> {
        cleanable.first_dirty_offset..cleanable.first_uncleanable_offset
    }

    #[test]
    fn all_but_the_active_segment_can_be_compacted() {
        let all = look(None, 1_000);
        assert_eq!((range(&all), all.dirty_ratio()), (0..40, 1.0));
        let rest = look(Some(30), 1_000);
        assert_eq!((range(&rest), rest.dirty_ratio()), (30..40, 0.25));
        assert!(rest.is_due(0.2) && !rest.is_due(0.25), "the ratio has to be passed");
        let nothing = look(Some(40), 1_000);
        assert_eq!((range(&nothing), nothing.dirty_bytes), (40..40, 0));
        assert!(!nothing.is_due(0.0));
    }

    #[test]
    fn nothing_at_or_above_the_last_stable_offset_is_compacted() {
        assert_eq!(range(&look(None, 25)), 0..25);
        assert_eq!(look(None, 25).dirty_bytes, 200);
        assert_eq!(range(&look(Some(30), 25)), 30..30);
        assert_eq!(look(Some(30), 25).dirty_bytes, 0);
    }

    #[test]
    fn a_checkpoint_that_is_not_of_this_log_makes_all_of_it_dirty() {
        assert_eq!(range(&look(Some(1_001), 1_000)), 0..40);
        let late = LogFacts {
            log_start_offset: 20,
            ..log(Some(10), 1_000)
        };
        let cleanable = assess(&segments(&[1, 2, 3, 4]), &late, &LogConfig::default(), 0).unwrap();
        assert_eq!(range(&cleanable), 20..40);
    }

    #[test]
    fn what_is_too_young_waits_and_what_is_too_old_is_due() {
        let config = LogConfig {
            min_compaction_lag_ms: 100,
            max_compaction_lag_ms: 1_000,
            ..LogConfig::default()
        };
        let segments = segments(&[100, 200, 300, 400]);
        let at = |now_ms| assess(&segments, &log(None, 1_000), &config, now_ms).unwrap();
        assert_eq!(range(&at(300)), 0..20, "exactly as old as the lag is old enough");
        assert_eq!(range(&at(299)), 0..10);
        assert!(!at(1_100).is_due(1.0) && at(1_101).is_due(1.0));
        let clean = assess(&segments, &log(Some(40), 1_000), &config, 9_000).unwrap();
        assert!(!clean.is_due(0.0), "{clean:?}");
    }

    #[test]
    fn segments_become_one_as_long_as_it_is_no_larger_than_one_may_be() {
        let segments = segments(&[1, 1, 1, 1]);
        let groups = |segment_bytes, segment_index_bytes| {
            let config = LogConfig {
                segment_bytes,
                segment_index_bytes,
                ..LogConfig::default()
            };
            group(&segments[..4], &config, 40)
        };
        assert_eq!(groups(1_000, 1_000), vec![0..4; 1]);
        assert_eq!(groups(399, 1_000), [0..3, 3..4]);
        assert_eq!(groups(1_000, 20), [0..2, 2..4]);
        assert_eq!(groups(1, 1), [0..1, 1..2, 2..3, 3..4]);
        let far = [
            segments[0],
            SegmentFacts {
                base_offset: i64::from(i32::MAX),
                ..segments[1]
            },
        ];
        let of_far = |end_offset| group(&far, &LogConfig::default(), end_offset).len();
        assert_eq!(
            (of_far(1 + i64::from(i32::MAX)), of_far(2 + i64::from(i32::MAX))),
            (1, 2)
        );
    }
}
