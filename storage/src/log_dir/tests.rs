use ottla_protocol::ids::{LeaderEpoch, NodeId};
use ottla_protocol::records::{BatchBuilder, NewRecord};

use super::*;
use crate::disk::RealDisk;
use crate::log::Append;
use crate::producer_state::AppendOrigin;
use crate::producer_state::verification::TransactionCheck;
use crate::testing::scratch;

fn open(path: &Path) -> LogDir {
    LogDir::open(Arc::new(RealDisk::new()), path).unwrap()
}

fn open_log(dir: &LogDir, partition: &TopicPartition) -> Log {
    dir.open_log(partition, LogConfig::default(), Some(Uuid([7; 16])), 1_000)
        .unwrap()
}

fn append(log: &Log) {
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(1_000, b"key", b"value"));
    let batches = &builder.build();
    let origin = AppendOrigin::Client;
    log.append(Append {
        batches,
        leader_epoch: LeaderEpoch(0),
        origin,
        now_ms: 1_000,
        log_append_time: None,
        transaction: TransactionCheck::Skipped,
    })
    .unwrap();
}

#[test]
fn a_directory_belongs_to_one_user_at_a_time() {
    let scratch = scratch("log-dir");
    let dir = open(scratch.path());
    let second = LogDir::open(Arc::new(RealDisk::new()), scratch.path());
    assert!(matches!(second, Err(LogDirError::Locked { .. })));
    drop(dir);
    open(scratch.path());
}

#[test]
fn what_was_closed_counts_as_clean_once() {
    let scratch = scratch("log-dir");
    let partition = TopicPartition::new("orders", 0);
    let dir = open(scratch.path());
    assert_eq!(dir.clean_shutdown(), None);
    let log = open_log(&dir, &partition);
    append(&log);
    append(&log);
    log.set_high_watermark(2);
    log.delete_records_before(1).unwrap();
    dir.close([(&partition, &log)], 42, 2).unwrap();
    drop(dir);

    let dir = open(scratch.path());
    assert_eq!(dir.clean_shutdown(), Some(CleanShutdown { broker_epoch: 42 }));
    let options = dir.log_options(&partition, LogConfig::default(), None, 0);
    assert_eq!(
        (options.log_start_offset, options.high_watermark, options.recovery_point),
        (1, 2, 2)
    );
    let log = open_log(&dir, &partition);
    assert_eq!(
        (log.log_start_offset(), log.high_watermark(), log.log_end_offset()),
        (1, 2, 2)
    );
    drop(dir);
    assert_eq!(open(scratch.path()).clean_shutdown(), None);
}

#[test]
fn a_log_that_did_not_close_leaves_no_marker() {
    let scratch = scratch("log-dir");
    let partition = TopicPartition::new("orders", 0);
    let dir = open(scratch.path());
    let log = open_log(&dir, &partition);
    append(&log);
    log.take_offline();
    assert!(matches!(
        dir.close([(&partition, &log)], 1, 2),
        Err(LogDirError::Close { .. })
    ));
    drop(dir);
    assert_eq!(open(scratch.path()).clean_shutdown(), None);
}

#[test]
fn a_deleted_log_frees_its_name_and_is_found_until_it_is_removed() {
    let scratch = scratch("log-dir");
    let partition = TopicPartition::new("orders", 0);
    let dir = open(scratch.path());
    let log = open_log(&dir, &partition);
    append(&log);
    let slice = log.read(0, Offset::MAX, 1000, true).unwrap();
    let mut deleted = Vec::new();
    dir.delete_logs(&[(&partition, &log, Uuid([1; 16]))], &mut deleted)
        .unwrap();
    assert!(!slice.records.into_bytes().unwrap().is_empty());
    let again = dir
        .open_log(&partition, LogConfig::default(), Some(Uuid([8; 16])), 0)
        .unwrap();
    assert_eq!(again.log_end_offset(), 0);

    let kinds: Vec<_> = dir.partitions().unwrap().into_iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [DirKind::Current, DirKind::Deleted]);
    assert_eq!(deleted.len(), 1);
    dir.remove_dir(&deleted[0]).unwrap();
    assert_eq!(dir.partitions().unwrap().len(), 1);
}

#[test]
fn a_log_that_cannot_be_deleted_keeps_no_other_one() {
    let scratch = scratch("log-dir");
    let dir = open(scratch.path());
    let partitions = [0, 1, 2].map(|index| TopicPartition::new("orders", index));
    let logs = partitions.each_ref().map(|partition| open_log(&dir, partition));
    std::fs::remove_dir_all(logs[1].dir()).unwrap();
    let asked: Vec<_> = (1..)
        .zip(partitions.iter().zip(&logs))
        .map(|(id, (partition, log))| (partition, log, Uuid([id; 16])))
        .collect();
    let mut deleted = Vec::new();
    assert!(dir.delete_logs(&asked, &mut deleted).is_err());
    assert_eq!(deleted.len(), 2);
    let kinds: Vec<_> = dir.partitions().unwrap().into_iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [DirKind::Deleted, DirKind::Deleted]);
}

#[test]
fn a_log_of_another_topic_id_is_not_opened() {
    let scratch = scratch("log-dir");
    let partition = TopicPartition::new("orders", 0);
    let dir = open(scratch.path());
    let log = open_log(&dir, &partition);
    assert_eq!(dir.topic_id(log.dir()).unwrap(), Some(Uuid([7; 16])));
    let other = dir.open_log(&partition, LogConfig::default(), Some(Uuid([8; 16])), 0);
    assert!(matches!(other, Err(OpenError::InconsistentTopicId { .. })));
}

#[test]
fn properties_are_kept() {
    let scratch = scratch("log-dir");
    let mut dir = open(scratch.path());
    assert_eq!(dir.properties(), None);
    let properties = MetaProperties {
        cluster_id: "cluster".into(),
        node_id: NodeId(1),
        directory_id: Uuid([3; 16]),
        other: BTreeMap::new(),
    };
    dir.set_properties(properties.clone()).unwrap();
    drop(dir);
    assert_eq!(open(scratch.path()).properties(), Some(&properties));
}

#[test]
fn a_checkpoint_that_is_not_readable_counts_as_empty() {
    let scratch = scratch("log-dir");
    for content in ["1\n0\n", "0\n2\norders 0 1\n", "0\n1\norders 0\n", "\u{0}\u{0}"] {
        std::fs::write(scratch.path().join(RECOVERY_POINT_FILE), content).unwrap();
        let dir = open(scratch.path());
        let options = dir.log_options(&TopicPartition::new("orders", 0), LogConfig::default(), None, 0);
        assert_eq!(options.recovery_point, 0, "{content:?}");
    }
    std::fs::write(scratch.path().join(RECOVERY_POINT_FILE), "0\n1\norders 0 17\n").unwrap();
    let dir = open(scratch.path());
    let options = dir.log_options(&TopicPartition::new("orders", 0), LogConfig::default(), None, 0);
    assert_eq!(options.recovery_point, 17);
}

#[test]
fn the_epoch_is_read_from_what_kafka_writes() {
    assert_eq!(broker_epoch("{\"version\":0,\"brokerEpoch\":-1}"), Some(-1));
    assert_eq!(broker_epoch("{\"brokerEpoch\" : 12, \"x\":1}"), Some(12));
    assert_eq!(broker_epoch(""), None);
}

#[test]
fn a_power_loss_may_take_what_was_not_flushed_and_nothing_else_may() {
    let scratch = scratch("log-dir");
    let partition = TopicPartition::new("orders", 0);
    let log_file = |name: &str| scratch.path().join(partition.dir_name()).join(name);
    let dir = open(scratch.path());
    let log = open_log(&dir, &partition);
    append(&log);
    log.sync().unwrap();
    let flushed_bytes = log.size_bytes();
    append(&log);
    log.set_high_watermark(2);
    dir.write_checkpoints([(&partition, &log)]).unwrap();
    dir.note_boot().unwrap();
    drop((log, dir));
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(log_file("00000000000000000000.log"))
        .unwrap();
    let cut = |len| file.set_len(len).unwrap();
    let open_it = || {
        let dir = open(scratch.path());
        let log = dir.open_log(&partition, LogConfig::default(), None, 1_000);
        (dir, log.map(|log| log.log_end_offset()))
    };

    cut(flushed_bytes);
    let (_dir, same_boot) = open_it();
    assert!(matches!(same_boot, Err(OpenError::Damaged(_))), "{same_boot:?}");
    drop(_dir);

    std::fs::write(scratch.path().join(BOOT_FILE), "another boot").unwrap();
    // Interrupted before all is well again, it is the same the next time.
    for _ in 0..2 {
        let (_dir, other_boot) = open_it();
        assert_eq!(other_boot.unwrap(), 1);
    }

    cut(flushed_bytes - 1);
    let (_dir, flushed) = open_it();
    assert!(matches!(flushed, Err(OpenError::Damaged(_))), "{flushed:?}");
}
