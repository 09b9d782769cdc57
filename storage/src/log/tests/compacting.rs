//! Compaction, one rule a test (BR-18, BR-19, BR-53, BR-56). Random histories are in [`super::compaction_checker`].

use std::ops::ControlFlow;

use ottla_protocol::records::builder::end_transaction_batch;
use ottla_protocol::records::record::records;
use ottla_protocol::records::{BatchHeader, EndTransactionMarker};

use super::*;

/// Retention of tombstones in these tests.
const RETENTION_MS: i64 = 1_000;

fn compacted() -> LogOptions {
    LogOptions {
        config: LogConfig {
            is_deleted: false,
            is_compacted: true,
            delete_retention_ms: RETENTION_MS,
            segment_bytes: 1 << 20,
            ..small_config()
        },
        ..clean()
    }
}

fn put(log: &Log, key: &str, value: Option<&str>) -> Offset {
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord {
        timestamp: 1_000,
        key: Some(key.as_bytes()),
        value: value.map(str::as_bytes),
        headers: &[],
    });
    append(log, &builder.build()).base_offset
}

fn in_transaction(log: &Log, id: i64, first_sequence: i32, key: &str, value: &str) -> Offset {
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(id), ProducerEpoch(0), first_sequence)
        .transactional();
    builder.append(&NewRecord::of(1_000, key.as_bytes(), value.as_bytes()));
    append(log, &builder.build()).base_offset
}

fn end_transaction(log: &Log, id: i64, is_commit: bool) -> Offset {
    let marker = EndTransactionMarker {
        is_commit,
        coordinator_epoch: 0,
    };
    let marker = end_transaction_batch(marker, ProducerId(id), ProducerEpoch(0), 1_000);
    let appended = log.append(Append {
        origin: AppendOrigin::Coordinator,
        ..client(&marker)
    });
    appended.unwrap().base_offset
}

fn compact_with(log: &Log, now_ms: TimestampMs, map_bytes: usize) -> Result<CompactionStats, CompactionError> {
    log.compact(CompactionRequest {
        now_ms,
        map_bytes,
        map_load_factor: 0.9,
        on_io: &mut |_| ControlFlow::Continue(()),
    })
}

/// Rolls, commits everything and compacts all that can be.
fn compact_all(log: &Log, now_ms: TimestampMs) -> CompactionStats {
    log.roll(0).unwrap();
    log.set_high_watermark(log.log_end_offset());
    compact_with(log, now_ms, 1 << 20).unwrap()
}

fn headers(log: &Log) -> Vec<BatchHeader> {
    let all = read_all(log, log.log_start_offset());
    all.iter().map(|batch| BatchHeader::parse(batch).unwrap()).collect()
}

/// Offset and value of each record that is left, those of control batches excepted.
fn left(log: &Log) -> Vec<(Offset, Option<String>)> {
    let mut all = Vec::new();
    for batch in read_all(log, log.log_start_offset()) {
        let header = BatchHeader::parse(&batch).unwrap();
        for record in records(&batch[61..], header.records_count).filter(|_| !header.attributes.is_control()) {
            let record = record.unwrap();
            let value = record.value.map(|value| String::from_utf8_lossy(value).into_owned());
            all.push((header.base_offset + i64::from(record.offset_delta), value));
        }
    }
    all
}

fn value(offset: Offset, value: &str) -> (Offset, Option<String>) {
    (offset, Some(value.to_owned()))
}

#[test]
fn the_last_value_of_each_key_stays_at_its_offset() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    for round in 0..5 {
        put(&log, "a", Some(&format!("a{round}")));
        put(&log, "b", Some(&format!("b{round}")));
        log.roll(0).unwrap();
    }
    put(&log, "c", Some("c"));
    let stats = compact_all(&log, 0);
    assert_eq!((stats.segments_before, stats.segments_after, stats.keys), (6, 1, 3));
    assert_eq!(left(&log), [value(8, "a4"), value(9, "b4"), value(10, "c")]);
    // From an offset that is gone the next one is read (BR-19).
    for (from, base_offset) in [(0, 8), (8, 8), (9, 9), (10, 10)] {
        assert_eq!(log.read(from, Offset::MAX, 1, true).unwrap().base_offset, base_offset);
    }
    assert_eq!(log.cleaned_up_to(), Some(11));
    drop(log);
    let log = open(dir.path(), &unclean().config_of(&compacted()));
    assert_eq!(left(&log).len(), 3);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 11));
}

#[test]
fn a_tombstone_stays_for_its_time_after_the_first_pass_and_goes_with_the_next() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    put(&log, "a", Some("1"));
    put(&log, "a", None);
    put(&log, "b", Some("2"));
    compact_all(&log, 5_000);
    assert_eq!(left(&log), [(1, None), value(2, "2")]);
    let header = headers(&log)[0];
    assert!(header.attributes.has_delete_horizon());
    assert_eq!((header.base_timestamp, header.max_timestamp), (6_000, 1_000));
    put(&log, "c", Some("3"));
    compact_all(&log, 5_999);
    assert_eq!(left(&log).len(), 3, "a reader who is behind still sees it");
    put(&log, "d", Some("4"));
    compact_all(&log, 6_000);
    assert_eq!(left(&log), [value(2, "2"), value(3, "3"), value(4, "4")]);
}

#[test]
fn a_marker_goes_after_the_data_of_its_transaction_and_its_time() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    in_transaction(&log, 1, 0, "a", "committed");
    end_transaction(&log, 1, true);
    in_transaction(&log, 2, 0, "a", "aborted");
    end_transaction(&log, 2, false);
    // Newer data of the same producers, so that the batches above are not their last.
    in_transaction(&log, 1, 1, "b", "last of 1");
    end_transaction(&log, 1, true);
    in_transaction(&log, 2, 1, "c", "last of 2");
    end_transaction(&log, 2, true);

    compact_all(&log, 0);
    assert_eq!(
        left(&log),
        [value(0, "committed"), value(4, "last of 1"), value(6, "last of 2")],
        "an aborted value replaces nothing"
    );
    assert_eq!(log.aborted_transactions(0, 100).unwrap().len(), 1);
    let offsets = |log: &Log| -> Vec<_> { headers(log).iter().map(|header| header.base_offset).collect() };
    assert_eq!(offsets(&log), [0, 1, 3, 4, 5, 6, 7]);

    put(&log, "a", Some("new"));
    compact_all(&log, 10);
    assert_eq!(left(&log)[0], value(4, "last of 1"));
    assert_eq!(
        offsets(&log),
        [1, 3, 4, 5, 6, 7, 8],
        "the marker at 3 has lost its data one pass earlier"
    );
    assert!(log.aborted_transactions(0, 100).unwrap().is_empty());
    compact_all_again(&log, 20);
    assert_eq!(offsets(&log)[..2], [1, 3], "their time has not passed");
    compact_all_again(&log, 10 + RETENTION_MS);
    assert_eq!(offsets(&log)[0], 1, "this one's began with the pass at 20");
    compact_all_again(&log, 20 + RETENTION_MS);
    assert_eq!(offsets(&log)[0], 4);
    drop(log);
    let options = LogOptions {
        high_watermark: 12,
        ..unclean().config_of(&compacted())
    };
    let log = open(dir.path(), &options);
    assert_eq!(log.last_stable_offset(), log.log_end_offset());
}

/// Another pass, with something for it to do.
fn compact_all_again(log: &Log, now_ms: TimestampMs) {
    put(log, "again", Some("again"));
    compact_all(log, now_ms);
}

#[test]
fn a_pass_covers_as_much_as_its_memory_and_the_next_goes_on() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    for round in 0..3 {
        for key in 0..10 {
            put(&log, &key.to_string(), Some(&format!("{key}.{round}")));
        }
        log.roll(0).unwrap();
    }
    log.set_high_watermark(30);
    let mut ends = vec![];
    loop {
        let before = log.cleaned_up_to();
        // Room for four keys.
        let stats = compact_with(&log, 0, 5 * 24).unwrap();
        assert!(stats.keys <= 4, "{stats:?}");
        if log.cleaned_up_to() == before {
            break;
        }
        ends.push(stats.end_offset);
        for key in 0..10 {
            let last = left(&log)
                .into_iter()
                .filter_map(|(_, value)| value)
                .rfind(|value| value.starts_with(&format!("{key}.")));
            assert_eq!(last, Some(format!("{key}.2")));
        }
    }
    assert_eq!(ends, [4, 8, 12, 16, 20, 24, 28, 30]);
    // What lies between a record and its replacement is never in one map, so nothing went here; with more memory it does.
    log.truncate_to(30, 0).unwrap();
    put(&log, "0", Some("0.3"));
    compact_all(&log, 0);
    assert_eq!(
        left(&log)
            .iter()
            .filter(|(_, value)| value.as_deref().unwrap().starts_with("0."))
            .count(),
        1
    );
}

#[test]
fn nothing_at_or_above_the_last_stable_offset_is_touched() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    put(&log, "a", Some("0"));
    put(&log, "a", Some("1"));
    in_transaction(&log, 1, 0, "b", "open");
    put(&log, "a", Some("3"));
    put(&log, "b", Some("4"));
    let stats = compact_all(&log, 0);
    assert_eq!(stats.end_offset, 2);
    assert_eq!(
        left(&log),
        [value(1, "1"), value(2, "open"), value(3, "3"), value(4, "4")]
    );
}

#[test]
fn a_reader_gets_to_the_end_of_a_log_whose_last_batches_are_gone() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    in_transaction(&log, 1, 0, "a", "0");
    end_transaction(&log, 1, false);
    log.roll(0).unwrap();
    in_transaction(&log, 2, 0, "a", "2");
    end_transaction(&log, 2, false);
    log.expire_producers(i64::MAX);
    for round in 0..4 {
        compact_all(&log, round * RETENTION_MS);
        let mut from = 0;
        while from < log.log_end_offset() {
            let next_offset = log.read(from, log.last_stable_offset(), 1, true).unwrap().next_offset;
            assert!(next_offset > from, "stuck at {from}");
            from = next_offset;
        }
        // So that there is something to do for the next pass, which is not the last batch of the log.
        log.cleaned_up_to.store(-1, Ordering::Release);
    }
    let last: Vec<_> = headers(&log);
    assert_eq!(
        (last.len(), last[0].base_offset, last[0].records_count),
        (1, 3, 0),
        "only an empty batch is left"
    );
}

#[test]
fn the_last_batch_of_a_producer_stays_without_its_records() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    append(&log, &produced(7, 0, 0, 3));
    append(&log, &produced(7, 0, 3, 3));
    put(&log, "key", Some("last"));
    compact_all(&log, 0);
    let batches = headers(&log);
    assert_eq!(batches.len(), 2, "{batches:?}");
    assert_eq!(
        (
            batches[0].base_offset,
            batches[0].last_offset(),
            batches[0].records_count
        ),
        (3, 5, 0)
    );
    drop(log);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "snapshot") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let log = open(dir.path(), &unclean().config_of(&compacted()));
    assert!(append(&log, &produced(7, 0, 3, 3)).is_duplicate);
    assert!(!append(&log, &produced(7, 0, 6, 1)).is_duplicate);
}

#[test]
fn batches_of_which_all_stays_keep_their_bytes() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    let mut zstd = BatchBuilder::new().codec(ottla_protocol::records::Codec::of(
        ottla_protocol::records::Compression::Zstd,
    ));
    for key in 0..20_u8 {
        zstd.append(&NewRecord::of(1_000, &[key], &[b'v'; 200]));
    }
    append(&log, &zstd.build());
    put(&log, "gone", Some("1"));
    put(&log, "gone", Some("2"));
    let before = read_all(&log, 0);
    compact_all(&log, 0);
    let after = read_all(&log, 0);
    assert_eq!(after, [before[0].clone(), before[2].clone()]);
    append(&log, &zstd_without_one());
    compact_all(&log, 0);
    let rewritten = BatchHeader::parse(&read_all(&log, 0)[0]).unwrap();
    assert_eq!((rewritten.records_count, rewritten.last_offset_delta), (19, 19));
    assert_eq!(
        rewritten.attributes.compression(),
        Ok(ottla_protocol::records::Compression::Zstd)
    );
}

fn zstd_without_one() -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(1_000, &[19], b"new"));
    builder.build()
}

#[test]
fn a_replacement_of_which_some_files_have_their_names_is_finished_with_all_it_says() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    for key in ["a", "b", "a", "b", "c"] {
        put(&log, key, Some("1"));
    }
    in_transaction(&log, 7, 0, "a", "aborted");
    end_transaction(&log, 7, false);
    log.roll(0).unwrap();
    log.set_high_watermark(log.log_end_offset());
    // Memory for the first keys only: the aborted record is not reached and stays.
    let stats = compact_with(&log, 0, 24 * 3).unwrap();
    assert!(stats.end_offset <= 5, "{stats:?}");
    // The segment is below the recovery point, where indexes are taken as they are.
    put(&log, "d", Some("1"));
    log.sync().unwrap();
    let aborted = log.aborted_transactions(0, Offset::MAX).unwrap();
    assert_eq!(aborted.len(), 1);
    let (everything, end) = (left(&log), log.log_end_offset());
    drop(log);
    // The names become durable in any order: each set of indexes may have come before the log.
    for in_place in 0..8 {
        let copy = copy_of(dir.path());
        let path = |suffix: &str| copy.path().join(format!("{:020}.{suffix}", 0));
        for (at, suffix) in ["log", "index", "timeindex", "txnindex"].into_iter().enumerate() {
            if at == 0 || in_place & (1 << (at - 1)) == 0 {
                std::fs::rename(path(suffix), path(&format!("{suffix}.swap"))).unwrap();
            }
        }
        let options = LogOptions {
            recovery_point: end,
            high_watermark: end,
            ..unclean().config_of(&compacted())
        };
        let log = open(copy.path(), &options);
        assert_eq!(left(&log), everything);
        assert_eq!(
            log.aborted_transactions(0, Offset::MAX).unwrap(),
            aborted,
            "{in_place:03b}"
        );
    }
}

#[test]
fn damage_ends_the_pass_and_leaves_the_log_as_it_was() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    put(&log, "a", Some("1"));
    put(&log, "a", Some("2"));
    log.roll(0).unwrap();
    log.set_high_watermark(2);
    log.release_idle().unwrap();
    let path = dir.path().join("00000000000000000000.log");
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let error = compact_with(&log, 0, 1 << 20).unwrap_err();
    assert!(
        error.is_lasting() && error.to_string().contains("00000000000000000000.log"),
        "{error}"
    );
    assert!(!log.is_offline());
    assert_eq!(std::fs::read(&path).unwrap(), bad);
    std::fs::write(&path, &good).unwrap();
    compact_with(&log, 0, 1 << 20).unwrap();
    assert_eq!(left(&log), [value(1, "2")]);
}

#[test]
fn a_pass_ends_when_it_is_told_to_or_the_log_is_cut() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    for key in 0..10 {
        put(&log, &format!("key-{key}"), Some(&"v".repeat(50_000)));
    }
    log.roll(0).unwrap();
    log.set_high_watermark(10);
    let run = |on_io: &mut dyn FnMut(u64) -> ControlFlow<()>| {
        log.compact(CompactionRequest {
            now_ms: 0,
            map_bytes: 1 << 20,
            map_load_factor: 0.9,
            on_io,
        })
    };
    assert!(matches!(
        run(&mut |_| ControlFlow::Break(())),
        Err(CompactionError::Stopped)
    ));
    let is_busy = run(&mut |_| {
        assert!(matches!(compact_with(&log, 0, 100), Err(CompactionError::Busy)));
        ControlFlow::Continue(())
    });
    assert!(is_busy.is_ok());
    log.cleaned_up_to.store(-1, Ordering::Release);
    let cut = run(&mut |_| {
        log.truncate_to(5, 0).unwrap();
        ControlFlow::Continue(())
    });
    assert!(matches!(cut, Err(CompactionError::Overtaken)), "{cut:?}");
    assert_eq!((log.log_end_offset(), left(&log).len()), (5, 5));
    let names = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_string_lossy().ends_with(".cleaned"))
    );
}

#[test]
fn readers_go_on_while_segments_are_replaced() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_done.load(Ordering::Relaxed) {
                let mut from = 0;
                while from < log.high_watermark() {
                    let slice = log.read(from, log.high_watermark(), 300, true).unwrap();
                    if slice.next_offset == from {
                        break;
                    }
                    from = slice.next_offset;
                    for batch in batches(&slice.records.into_bytes().unwrap()) {
                        verify_crc(batch.unwrap().1).unwrap();
                    }
                    log.offset_for_timestamp(500).unwrap();
                    log.aborted_transactions(0, Offset::MAX).unwrap();
                    reads += 1;
                }
            }
            reads
        });
        for round in 0..60 {
            for key in 0..5 {
                put(&log, &format!("{key}"), Some(&format!("{key}.{round}")));
            }
            compact_all(&log, round);
            log.release_idle().unwrap();
            log.remove_doomed_files(i64::MAX).unwrap();
            log.sync().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(left(&log).len(), 5);
}

#[test]
fn the_age_of_a_file_survives() {
    let dir = scratch("compact");
    let log = open(dir.path(), &compacted());
    put(&log, "a", Some("1"));
    put(&log, "a", Some("2"));
    log.roll(0).unwrap();
    log.release_idle().unwrap();
    let path = dir.path().join("00000000000000000000.log");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    file.set_modified(then).unwrap();
    compact_all(&log, 0);
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), then);
    assert_eq!(left(&log), [value(1, "2")]);
}

impl LogOptions {
    fn config_of(self, other: &Self) -> Self {
        Self {
            config: other.config,
            ..self
        }
    }
}
