//! When a segment ends, and what then goes.

use super::*;

fn log_with(dir: &Path, config: LogConfig) -> Log {
    open(dir, &LogOptions { config, ..clean() })
}

fn at(log: &Log, timestamp: TimestampMs, now_ms: TimestampMs) -> Result<Appended, AppendError> {
    log.append(Append {
        now_ms,
        ..client(&batch_at(&[timestamp], 50))
    })
}

#[test]
fn a_segment_takes_exactly_segment_bytes() {
    let dir = scratch("roll");
    let size = batch(1).len() as u64;
    let log = log_with(
        dir.path(),
        LogConfig {
            segment_bytes: 3 * size,
            ..small_config()
        },
    );
    fill(&log, 3, &batch(1));
    assert_eq!(log.segment_count(), 1);
    append(&log, &batch(1));
    assert_eq!(log.segment_count(), 2);
    assert!(dir.path().join("00000000000000000003.log").exists());
    assert!(dir.path().join("00000000000000000003.snapshot").exists());

    let too_large = batch_at(&[1], 3 * size as usize);
    assert!(matches!(
        log.append(client(&too_large)),
        Err(AppendError::TooLarge { .. })
    ));
    assert!(matches!(log.append(client(&[])), Err(AppendError::Empty)));
    assert!(matches!(
        log.append(client(&[0; 100])),
        Err(AppendError::InvalidBatch(_))
    ));
}

#[test]
fn a_segment_ends_when_its_records_span_segment_ms() {
    let dir = scratch("roll");
    let log = log_with(
        dir.path(),
        LogConfig {
            segment_ms: 100,
            ..small_config()
        },
    );
    at(&log, 5_000, 0).unwrap();
    at(&log, 5_100, 900).unwrap();
    assert_eq!(
        log.segment_count(),
        1,
        "the age is that of the records, and exactly as old is not older"
    );
    at(&log, 5_101, 900).unwrap();
    assert_eq!(log.segment_count(), 2);
    let log = {
        log.close().unwrap();
        log_with(
            dir.path(),
            LogConfig {
                segment_ms: 100,
                ..small_config()
            },
        )
    };
    at(&log, 5_202, 900).unwrap();
    assert_eq!(log.segment_count(), 3, "also after a restart");
}

#[test]
fn jitter_ends_a_segment_earlier_but_the_same_each_time() {
    let dir = scratch("roll");
    let config = LogConfig {
        segment_ms: 1_000,
        segment_jitter_ms: 900,
        ..small_config()
    };
    let ages = || {
        let log = log_with(dir.path(), config);
        log.truncate_fully_and_start_at(0, 0).unwrap();
        at(&log, 5_000, 0).unwrap();
        (0..).step_by(10).find(|age| {
            at(&log, 5_000 + age, 0).unwrap();
            log.segment_count() > 1
        })
    };
    let age = ages().unwrap();
    assert!((100..=1_010).contains(&age), "{age}");
    assert_eq!(ages(), Some(age));
}

#[test]
fn a_segment_ends_when_an_index_is_full() {
    let dir = scratch("roll");
    let config = LogConfig {
        segment_index_bytes: 36,
        index_interval_bytes: 0,
        ..small_config()
    };
    let log = log_with(dir.path(), config);
    for timestamp in 0..10 {
        at(&log, timestamp, 0).unwrap();
    }
    assert!(log.segment_count() > 2, "{}", log.segment_count());
    log.close().unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().ends_with("index") {
            assert!(entry.metadata().unwrap().len() <= 36, "{entry:?}");
        }
    }
}

#[test]
fn a_segment_ends_before_an_offset_that_does_not_fit_its_indexes() {
    let dir = scratch("roll");
    let log = log_with(dir.path(), small_config());
    let replicated = |offset: Offset| {
        let batches = BatchBuilder::new().base_offset(offset).leader_epoch(LeaderEpoch(4));
        let mut batches = batches.clone();
        batches.append(&NewRecord::of(1_000, b"key", b"value"));
        log.append(Append {
            origin: AppendOrigin::Replica,
            ..client(&batches.build())
        })
    };
    replicated(10).unwrap();
    replicated(i64::from(i32::MAX)).unwrap();
    assert_eq!(log.segment_count(), 1);
    replicated(1 + i64::from(i32::MAX)).unwrap();
    assert_eq!(log.segment_count(), 2);
    let back = replicated(12);
    assert!(matches!(
        back,
        Err(AppendError::UnexpectedOffset { base_offset: 12, .. })
    ));
    assert_eq!(
        log.latest_epoch(),
        Some(LeaderEpoch(4)),
        "a replica takes the leader's epochs"
    );
    assert_eq!(
        log.read(11, Offset::MAX, 1000, true).unwrap().base_offset,
        i64::from(i32::MAX)
    );
    drop(log);
    assert_eq!(open(dir.path(), &unclean()).log_end_offset(), 2 + i64::from(i32::MAX));
}

#[test]
fn retention_removes_old_segments_and_their_files_after_a_delay() {
    let dir = scratch("roll");
    let config = LogConfig {
        retention_ms: 100,
        file_delete_delay_ms: 50,
        segment_ms: 10,
        ..small_config()
    };
    let log = log_with(dir.path(), config);
    for timestamp in (0..100).step_by(20) {
        at(&log, timestamp, timestamp).unwrap();
    }
    assert_eq!(
        log.apply_retention(130).unwrap(),
        0,
        "nothing is below the high watermark"
    );
    log.set_high_watermark(5);
    assert_eq!(log.apply_retention(130).unwrap(), 2);
    assert_eq!((log.log_start_offset(), log.segment_count()), (2, 3));
    assert!(matches!(
        log.read(1, 5, 100, true),
        Err(ReadError::OffsetOutOfRange { .. })
    ));
    assert!(!dir.path().join("00000000000000000000.log").exists());
    assert!(dir.path().join("00000000000000000000.log.deleted").exists());
    log.remove_doomed_files(179).unwrap();
    assert!(dir.path().join("00000000000000000000.log.deleted").exists());
    log.remove_doomed_files(180).unwrap();
    assert!(!dir.path().join("00000000000000000000.log.deleted").exists());

    assert_eq!(log.apply_retention(1_000).unwrap(), 3, "the active segment too");
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset(), log.segment_count()),
        (5, 5, 1)
    );
    assert_eq!(at(&log, 1_000, 1_000).unwrap().base_offset, 5);
    log.close().unwrap();
    let again = log_with(dir.path(), config);
    assert_eq!((again.log_start_offset(), again.log_end_offset()), (5, 6));
}

#[test]
fn an_idle_log_holds_neither_map_nor_preallocated_blocks() {
    let dir = scratch("roll");
    let log = log_with(
        dir.path(),
        LogConfig {
            segment_bytes: 1 << 30,
            ..small_config()
        },
    );
    append(&log, &batch(1));
    let path = dir.path().join("00000000000000000000.log");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 65_536);
    let held = log.read(0, Offset::MAX, 1000, true).unwrap();
    assert!(log.release_idle().unwrap());
    assert!(!log.release_idle().unwrap() && !log.is_mapped());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), log.size_bytes());
    assert_eq!(
        held.records.into_bytes().unwrap(),
        read_all(&log, 0)[0],
        "what was read before stays"
    );
    append(&log, &batch(1));
    assert_eq!(read_all(&log, 0).len(), 2);
}

#[test]
fn room_grows_by_doubling_up_to_a_limit() {
    let dir = scratch("roll");
    let log = log_with(
        dir.path(),
        LogConfig {
            segment_bytes: 1 << 30,
            ..small_config()
        },
    );
    let path = dir.path().join("00000000000000000000.log");
    let large = batch_at(&[1], 100_000);
    let mut lens = vec![];
    for _ in 0..20 {
        append(&log, &large);
        lens.push(std::fs::metadata(&path).unwrap().len());
        assert_eq!(read_all(&log, log.log_end_offset() - 1)[0].len(), large.len());
    }
    lens.dedup();
    assert!(lens.len() < 8, "{lens:?}");
    assert!(*lens.last().unwrap() <= 2 * log.size_bytes() + 65_536, "{lens:?}");
    assert_eq!(read_all(&log, 0).len(), 20);
}
