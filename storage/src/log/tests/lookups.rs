//! Offsets by time and by epoch (BR-25, BR-26, BR-28, BR-29).

use ottla_protocol::records::{Codec, Compression};

use super::*;

fn offset_at(log: &Log, timestamp: TimestampMs) -> Option<Offset> {
    log.offset_for_timestamp(timestamp).unwrap().map(|found| found.offset)
}

#[test]
fn the_first_record_at_or_after_a_time_is_found() {
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let dir = scratch("lookups");
        let log = open(dir.path(), &clean());
        assert_eq!(log.offset_for_timestamp(0).unwrap(), None);
        assert_eq!(log.max_timestamp().unwrap(), None);
        let mut builder = BatchBuilder::new().codec(Codec::of(codec));
        for timestamp in [2, 4, 6, 8] {
            builder.append(&NewRecord::of(timestamp, b"key", b"value"));
        }
        append(&log, &builder.build());
        let found: Vec<_> = (1..=9).map(|timestamp| offset_at(&log, timestamp)).collect();
        let expected = [0, 0, 1, 1, 2, 2, 3, 3].map(Some).into_iter().chain([None]);
        assert_eq!(found, expected.collect::<Vec<_>>(), "{codec:?}");
        let largest = TimestampAndOffset {
            timestamp: 8,
            offset: 3,
            leader_epoch: LeaderEpoch(0),
        };
        assert_eq!(log.max_timestamp().unwrap(), Some(largest));
    }
}

#[test]
fn times_that_go_back_are_searched_in_the_order_of_offsets() {
    let dir = scratch("lookups");
    let log = open(dir.path(), &clean());
    let timestamps: Vec<TimestampMs> = (0..300).map(|at| (at * 7_919) % 1_009).collect();
    for pair in timestamps.chunks(2) {
        append(&log, &batch_at(pair, 20));
    }
    assert!(log.segment_count() > 2);
    let check = |log: &Log| {
        for target in (0..1_020).step_by(13) {
            let expected = timestamps
                .iter()
                .position(|timestamp| *timestamp >= target)
                .map(|at| at as Offset);
            assert_eq!(offset_at(log, target), expected, "{target} ms");
        }
        let largest = timestamps.iter().copied().max().unwrap();
        let at = timestamps.iter().position(|timestamp| *timestamp == largest).unwrap();
        let found = log.max_timestamp().unwrap().unwrap();
        assert_eq!(
            (found.timestamp, found.offset),
            (largest, at as Offset),
            "the earliest of the largest"
        );
    };
    check(&log);
    check(&open(copy_of(dir.path()).path(), &unclean()));
    log.close().unwrap();
    check(&open(dir.path(), &clean()));
}

#[test]
fn what_was_deleted_is_not_found() {
    let dir = scratch("lookups");
    let log = open(dir.path(), &clean());
    append(&log, &batch_at(&[10, 30, 20], 20));
    append(&log, &batch_at(&[15], 20));
    log.set_high_watermark(4);
    log.delete_records_before(2).unwrap();
    assert_eq!(offset_at(&log, 5), Some(2));
    assert_eq!(offset_at(&log, 25), None);
    assert_eq!(
        log.max_timestamp()
            .unwrap()
            .map(|found| (found.timestamp, found.offset)),
        Some((20, 2))
    );
}

#[test]
fn under_log_append_time_the_batch_has_the_brokers_time() {
    let dir = scratch("lookups");
    let log = open(dir.path(), &clean());
    let bytes = batch_at(&[1, 2], 20);
    let appended = log
        .append(Append {
            log_append_time: Some(500),
            ..client(&bytes)
        })
        .unwrap();
    assert_eq!(appended.log_append_time, Some(500));
    assert_eq!(offset_at(&log, 3), Some(0));
    assert_eq!(offset_at(&log, 501), None);
    verify_crc(&read_all(&log, 0)[0]).unwrap();
}

#[test]
fn epochs_answer_where_they_ended() {
    let dir = scratch("lookups");
    let log = open(dir.path(), &clean());
    let in_epoch = |epoch, bytes: &Bytes| {
        log.append(Append {
            leader_epoch: LeaderEpoch(epoch),
            ..client(bytes)
        })
        .unwrap();
    };
    in_epoch(0, &batch(5));
    in_epoch(3, &batch(5));
    let check = |log: &Log| {
        let end = |epoch| {
            log.end_offset_for_epoch(LeaderEpoch(epoch))
                .map(|end| (end.epoch.0, end.end_offset))
        };
        assert_eq!(
            [0, 1, 2, 3, 4].map(end),
            [Some((0, 5)), Some((0, 5)), Some((0, 5)), Some((3, 10)), None]
        );
        assert_eq!(log.epoch_for_offset(0), Some(LeaderEpoch(0)));
        assert_eq!(log.epoch_for_offset(5), Some(LeaderEpoch(3)));
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(3)));
    };
    check(&log);
    check(&open(copy_of(dir.path()).path(), &unclean()));
    log.close().unwrap();
    check(&open(dir.path(), &clean()));
}

#[test]
fn an_epoch_without_a_record_is_kept_until_another_leader_takes_its_place() {
    let dir = scratch("lookups");
    let log = open(dir.path(), &clean());
    append(&log, &batch(5));
    log.assign_epoch(LeaderEpoch(7)).unwrap();
    log.assign_epoch(LeaderEpoch(6)).unwrap();
    let log = open(copy_of(dir.path()).path(), &unclean());
    assert_eq!(
        log.latest_epoch(),
        Some(LeaderEpoch(0)),
        "on loading, what begins at the end is forgotten"
    );
}

#[test]
fn deleting_records_moves_the_start() {
    let dir = scratch("lookups");
    let log = open(dir.path(), &clean());
    fill(&log, 100, &batch(2));
    log.set_high_watermark(150);
    assert!(matches!(
        log.delete_records_before(151),
        Err(DeleteRecordsError::OffsetOutOfRange { .. })
    ));
    assert_eq!(log.delete_records_before(101).unwrap(), 101);
    assert_eq!(log.delete_records_before(50).unwrap(), 101, "never back");
    assert!(matches!(
        log.read(100, 200, 1000, true),
        Err(ReadError::OffsetOutOfRange { .. })
    ));
    assert_eq!(
        log.read(101, 200, 1, true).unwrap().base_offset,
        100,
        "the batch is whole"
    );
    assert_eq!(log.epoch_for_offset(100), None);
    assert!(log.apply_retention(1_000).unwrap() > 0);
    assert!(
        (50..=100).contains(&log.first_segment_offset()),
        "{}",
        log.first_segment_offset()
    );
    log.close().unwrap();
    let again = open(
        dir.path(),
        &LogOptions {
            log_start_offset: 101,
            ..clean()
        },
    );
    assert_eq!((again.log_start_offset(), again.log_end_offset()), (101, 200));
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew_there() {
    let dir = scratch("lookups");
    let log = open(dir.path(), &clean());
    append(&log, &batch(2));
    log.close().unwrap();
    let again = open(
        dir.path(),
        &LogOptions {
            log_start_offset: 500,
            ..clean()
        },
    );
    assert_eq!((again.log_start_offset(), again.log_end_offset()), (500, 500));
    assert_eq!(append(&again, &batch(1)).base_offset, 500);
}
