//! The first record that a reader has still before it, and when that was appended.

use ottla_protocol::records::EndTransactionMarker;
use ottla_protocol::records::builder::end_transaction_batch;

use super::*;

const STARTED_MS: TimestampMs = 500_000;

fn append_at(log: &Log, now_ms: TimestampMs, batches: &[u8]) {
    let append = Append {
        now_ms,
        ..client(batches)
    };
    log.append(append).unwrap();
}

fn end_transaction(log: &Log, id: i64, now_ms: TimestampMs) {
    let end = EndTransactionMarker {
        is_commit: true,
        coordinator_epoch: 0,
    };
    let marker = end_transaction_batch(end, ProducerId(id), ProducerEpoch(0), now_ms);
    log.append(Append {
        origin: AppendOrigin::Coordinator,
        transaction: TransactionCheck::Marker { transaction_version: 1 },
        now_ms,
        ..client(&marker)
    })
    .unwrap();
}

fn unread(log: &Log, from: Offset) -> Option<(Offset, AppendTime)> {
    let unread = log.first_unread(from, log.log_end_offset(), STARTED_MS).unwrap();
    unread.map(|unread| (unread.offset, unread.appended.unwrap()))
}

fn time(at_ms: TimestampMs, source: AppendTimeSource) -> AppendTime {
    AppendTime { at_ms, source }
}

#[test]
fn the_time_is_that_of_the_append_whatever_the_producer_says() {
    let dir = scratch("unread");
    let log = open(dir.path(), &clean());
    append_at(&log, 600_000, &batch_at(&[7, 7], 10));
    append_at(&log, 700_000, &batch_at(&[9_000_000], 10));
    assert_eq!(unread(&log, 0), Some((0, time(600_000, AppendTimeSource::Seen))));
    assert_eq!(unread(&log, 2), Some((2, time(700_000, AppendTimeSource::Seen))));
    assert_eq!(unread(&log, 3), None);
    assert_eq!(unread(&log, 99), None);
}

#[test]
fn what_was_there_before_the_start_is_as_old_as_its_batch_says_and_not_younger_than_the_start() {
    let dir = scratch("unread");
    let log = open(dir.path(), &clean());
    append_at(&log, 1_000, &batch_at(&[400_000, 400_001], 10));
    append_at(&log, 1_000, &batch_at(&[9_000_000], 10));
    let mut appended = client(&[]);
    let batch = batch(1);
    appended.batches = &batch;
    appended.log_append_time = Some(450_000);
    log.append(appended).unwrap();
    append_at(&log, 1_000, &batch_at(&[-1], 10));
    drop(log);
    let log = open(dir.path(), &clean());
    assert_eq!(unread(&log, 1), Some((1, time(400_001, AppendTimeSource::CreateTime))));
    assert_eq!(
        unread(&log, 2),
        Some((2, time(STARTED_MS, AppendTimeSource::CreateTime)))
    );
    assert_eq!(
        unread(&log, 3),
        Some((3, time(450_000, AppendTimeSource::LogAppendTime)))
    );
    let unsaid = log.first_unread(4, 5, STARTED_MS).unwrap().unwrap();
    assert_eq!((unsaid.offset, unsaid.appended), (4, None));
    append_at(&log, 490_000, &batch_at(&[1], 10));
    let bounded = time(490_000, AppendTimeSource::CreateTime);
    assert_eq!(
        unread(&log, 2),
        Some((2, bounded)),
        "not younger than what came after it"
    );
}

#[test]
fn markers_of_transactions_are_nothing_to_read() {
    let dir = scratch("unread");
    let log = open(dir.path(), &clean());
    let mut transactional = BatchBuilder::new()
        .producer(ProducerId(3), ProducerEpoch(0), 0)
        .transactional();
    transactional.append(&NewRecord::of(1, b"key", b"value"));
    append_at(&log, 600_000, &transactional.build());
    end_transaction(&log, 3, 610_000);
    end_transaction(&log, 4, 620_000);
    assert_eq!(log.log_end_offset(), 3);
    assert_eq!(unread(&log, 0), Some((0, time(600_000, AppendTimeSource::Seen))));
    assert_eq!(unread(&log, 1), None);
    append_at(&log, 700_000, &batch(2));
    assert_eq!(unread(&log, 1), Some((3, time(700_000, AppendTimeSource::Seen))));
    assert_eq!(log.first_unread(1, 3, STARTED_MS).unwrap(), None);
}

#[test]
fn nothing_is_read_before_the_log_start() {
    let dir = scratch("unread");
    let log = open(dir.path(), &clean());
    append_at(&log, 600_000, &batch(5));
    append_at(&log, 700_000, &batch(5));
    log.set_high_watermark(10);
    log.delete_records_before(7).unwrap();
    assert_eq!(unread(&log, 2), Some((7, time(700_000, AppendTimeSource::Seen))));
}

#[test]
fn times_follow_a_cut() {
    let dir = scratch("unread");
    let log = open(dir.path(), &clean());
    append_at(&log, 600_000, &batch(5));
    append_at(&log, 700_000, &batch(5));
    log.truncate_to(5, 800_000).unwrap();
    append_at(&log, 900_000, &batch(1));
    assert_eq!(unread(&log, 5), Some((5, time(900_000, AppendTimeSource::Seen))));
}
