use std::fs;
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, ProducerEpoch, ProducerId};
use ottla_protocol::records::{BatchBuilder, NewRecord};

use super::*;
use crate::disk::RealDisk;
use crate::log::{Append, AppendError, AppendTime, AppendTimeSource, cut_to};
use crate::producer_state::AppendOrigin;
use crate::producer_state::verification::{TransactionCheck, VerificationRequest};
use crate::testing::{Scratch, scratch};

const TOPIC: Uuid = Uuid([7; 16]);
const COPY: Uuid = Uuid([1; 16]);
const OLD: Uuid = Uuid([2; 16]);

struct Setting {
    from: (Scratch, LogDir),
    to: (Scratch, LogDir),
    partition: TopicPartition,
    source: Log,
    appended: i32,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        ..LogConfig::default()
    }
}

fn setting() -> Setting {
    let dir = || {
        let scratch = scratch("future");
        let dir = LogDir::open(Arc::new(RealDisk::new()), scratch.path()).unwrap();
        (scratch, dir)
    };
    let (from, to) = (dir(), dir());
    let partition = TopicPartition::new("orders", 3);
    let source = from.1.open_log(&partition, config(), Some(TOPIC), 1_000).unwrap();
    Setting {
        from,
        to,
        partition,
        source,
        appended: 0,
    }
}

impl Setting {
    /// Appends batches of two records of one idempotent producer.
    fn append(&mut self, batches: i32, leader_epoch: i32) {
        for _ in 0..batches {
            let mut builder = BatchBuilder::new().producer(ProducerId(5), ProducerEpoch(0), self.appended * 2);
            builder.append(&NewRecord::of(1_000, b"key", b"some value"));
            builder.append(&NewRecord::of(1_000, b"key", b"another value"));
            append_to(&self.source, &builder.build(), leader_epoch).unwrap();
            self.appended += 1;
        }
        self.source.set_high_watermark(self.source.log_end_offset());
    }

    fn begin(&self) -> FutureLog {
        let what = (TOPIC, config());
        let begun = self
            .to
            .1
            .open_future(&self.partition, Err(COPY), &self.source, what, 1_000);
        begun.unwrap()
    }

    fn copy_all(&self, future: &FutureLog) {
        while copy_some(&self.source, future.log(), 300, 1_000).unwrap() > 0 {}
    }

    fn promote(&self, future: FutureLog) -> Log {
        let mut installed = None;
        let (source, ids) = ((&self.from.1, &self.source), (TOPIC, OLD));
        let promoted = self
            .to
            .1
            .promote(&self.partition, future, source, ids, 1_000, |log| installed = Some(log));
        self.from.1.remove_dir(&promoted.unwrap().unwrap()).unwrap();
        installed.unwrap()
    }
}

fn append_to(log: &Log, batches: &[u8], leader_epoch: i32) -> Result<(), AppendError> {
    let appended = log.append(Append {
        batches,
        leader_epoch: LeaderEpoch(leader_epoch),
        origin: AppendOrigin::Client,
        now_ms: 1_000,
        log_append_time: None,
        transaction: TransactionCheck::Skipped,
    });
    appended.map(|_| ())
}

fn bytes_of(log: &Log) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = log.log_start_offset();
    while next < log.log_end_offset() {
        let slice = log.read(next, Offset::MAX, 1 << 20, true).unwrap();
        next = slice.next_offset;
        bytes.extend_from_slice(&slice.records.into_bytes().unwrap());
    }
    bytes
}

/// Everything that makes a log what it is, for comparison.
fn seen(log: &Log) -> (Vec<u8>, String) {
    let offsets = (log.log_start_offset(), log.high_watermark(), log.log_end_offset());
    (
        bytes_of(log),
        format!("{offsets:?} {:?} {:?}", log.epochs(), log.producers()),
    )
}

#[test]
fn a_moved_log_knows_when_its_records_were_appended() {
    let setting = setting();
    let append_at = |now_ms| {
        let mut builder = BatchBuilder::new();
        builder.append(&NewRecord::of(1_000, b"key", b"value"));
        let appended = setting.source.append(Append {
            batches: &builder.build(),
            leader_epoch: LeaderEpoch(0),
            origin: AppendOrigin::Client,
            now_ms,
            log_append_time: None,
            transaction: TransactionCheck::Skipped,
        });
        appended.unwrap();
    };
    append_at(5_000);
    let future = setting.begin();
    setting.copy_all(&future);
    append_at(70_000);
    let moved = setting.promote(future);
    let appended = |offset| {
        let unread = moved.first_unread(offset, 2, 900_000).unwrap();
        unread.and_then(|unread| unread.appended)
    };
    let seen = |at_ms| {
        let source = AppendTimeSource::Seen;
        Some(AppendTime { at_ms, source })
    };
    assert_eq!([appended(0), appended(1)], [seen(5_000), seen(70_000)]);
}

#[test]
fn a_moved_log_is_the_same_log_elsewhere() {
    let mut setting = setting();
    setting.append(20, 0);
    let future = setting.begin();
    for _ in 0..3 {
        assert!(copy_some(&setting.source, future.log(), 300, 1_000).unwrap() > 0);
    }
    // What comes while it is copied comes along.
    setting.append(20, 1);
    setting.copy_all(&future);
    setting.append(1, 1);
    setting.source.delete_records_before(21).unwrap();
    let before = seen(&setting.source);
    let moved = setting.promote(future);
    assert_eq!(seen(&moved), before);
    assert_eq!(
        moved.recovery_point(),
        moved.log_end_offset(),
        "all of it is on the disk"
    );
    assert_eq!(moved.dir(), setting.to.0.path().join("orders-3"));
    assert!(
        fs::read_dir(setting.from.0.path())
            .unwrap()
            .flatten()
            .all(|entry| !entry.path().is_dir())
    );
    // The old one takes nothing any more.
    let again = append_to(&setting.source, &BatchBuilder::new().build(), 1);
    assert!(matches!(again, Err(AppendError::Offline)), "{again:?}");
    // As after a kill: the checkpoints of its directory have what it needs.
    drop(moved);
    let reopened = setting
        .to
        .1
        .open_log(&setting.partition, config(), Some(TOPIC), 1_000)
        .unwrap();
    assert_eq!(reopened.log_start_offset(), 21);
    reopened.set_high_watermark(reopened.log_end_offset());
    assert_eq!(seen(&reopened), before);
}

#[test]
fn a_copy_that_retention_has_overtaken_begins_anew() {
    let mut setting = setting();
    setting.append(20, 0);
    let future = setting.begin();
    copy_some(&setting.source, future.log(), 300, 1_000).unwrap();
    // In the middle of a batch.
    setting.source.delete_records_before(25).unwrap();
    setting.copy_all(&future);
    let before = seen(&setting.source);
    assert_eq!(seen(&setting.promote(future)), before);
}

#[test]
fn a_log_that_ends_up_empty_is_moved_too() {
    let mut setting = setting();
    setting.append(3, 0);
    setting.source.delete_records_before(6).unwrap();
    let future = setting.begin();
    setting.copy_all(&future);
    let moved = setting.promote(future);
    assert_eq!((moved.log_start_offset(), moved.log_end_offset()), (6, 6));
    // It has no batch left, and is known.
    assert_eq!(
        format!("{:?}", moved.producers()),
        format!("{:?}", setting.source.producers())
    );
    assert_eq!(moved.producers().len(), 1);
    append_to(
        &moved,
        &{
            let mut builder = BatchBuilder::new();
            builder.append(&NewRecord::of(1_000, b"key", b"value"));
            builder.build()
        },
        1,
    )
    .unwrap();
    assert_eq!(moved.log_end_offset(), 7);
}

#[test]
fn what_the_log_has_lost_is_cut_off_the_copy() {
    let mut setting = setting();
    setting.append(5, 0);
    setting.append(5, 1);
    let future = setting.begin();
    setting.copy_all(&future);
    // A power loss has taken the end, and a new leader epoch begins where it was.
    setting.source.truncate_to(14, 1_000).unwrap();
    setting.appended = 7;
    setting.append(8, 2);
    assert!(bytes_of(&setting.source)[..bytes_of(future.log()).len()] != bytes_of(future.log()));
    cut_to(&setting.source, future.log(), 1_000).unwrap();
    assert_eq!(future.log().log_end_offset(), 14);
    setting.copy_all(&future);
    let before = seen(&setting.source);
    assert_eq!(seen(&setting.promote(future)), before);
}

#[test]
fn a_copy_is_found_again_and_goes_on() {
    let mut setting = setting();
    setting.append(20, 0);
    let future = setting.begin();
    copy_some(&setting.source, future.log(), 300, 1_000).unwrap();
    let (path, end) = (future.log().dir().to_owned(), future.log().log_end_offset());
    drop(future);
    let found = setting.to.1.partitions().unwrap();
    assert_eq!(
        (found.len(), &found[0].path, found[0].kind),
        (1, &path, crate::DirKind::Future)
    );
    let what = (TOPIC, config());
    let future = setting
        .to
        .1
        .open_future(&setting.partition, Ok(&path), &setting.source, what, 1_000)
        .unwrap();
    assert_eq!(future.log().log_end_offset(), end);
    setting.copy_all(&future);
    let before = seen(&setting.source);
    assert_eq!(seen(&setting.promote(future)), before);
}

#[test]
fn a_batch_that_is_larger_than_a_segment_may_be_now_is_copied() {
    let mut setting = setting();
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(1_000, b"key", &[b'v'; 900]));
    append_to(&setting.source, &builder.build(), 0).unwrap();
    setting.source.set_high_watermark(1);
    setting.append(1, 0);
    let smaller = LogConfig {
        segment_bytes: 300,
        ..config()
    };
    let what = (TOPIC, smaller);
    let future = setting
        .to
        .1
        .open_future(&setting.partition, Err(COPY), &setting.source, what, 1_000)
        .unwrap();
    setting.copy_all(&future);
    assert_eq!(bytes_of(future.log()), bytes_of(&setting.source));
}

#[test]
fn whoever_waits_for_a_coordinators_word_waits_in_the_moved_log() {
    let setting = setting();
    let (id, epoch) = (ProducerId(3), ProducerEpoch(0));
    let request = VerificationRequest {
        producer_id: id,
        producer_epoch: epoch,
        first_sequence: 0,
        bumps_epochs: true,
        now_ms: 1_000,
    };
    let guard = setting.source.begin_verification(&request).unwrap().unwrap();
    let future = setting.begin();
    setting.copy_all(&future);
    let moved = setting.promote(future);
    let late = setting.source.begin_verification(&request);
    assert!(
        matches!(late, Err(AppendError::Offline)),
        "it is to look for the new log"
    );
    assert_eq!(moved.begin_verification(&request).unwrap(), Some(guard));
    let mut batch = BatchBuilder::new().producer(id, epoch, 0).transactional();
    batch.append(&NewRecord::of(1_000, b"key", b"value"));
    let appended = moved.append(Append {
        batches: &batch.build(),
        leader_epoch: LeaderEpoch(0),
        origin: AppendOrigin::Client,
        now_ms: 1_000,
        log_append_time: None,
        transaction: TransactionCheck::Verified(guard),
    });
    appended.unwrap();
}
