//! The files of a log directory that are not of one log: checkpoints, identity, markers.

use std::fs;
use std::sync::Arc;

use ottla_protocol::ids::Uuid;
use ottla_storage::disk::RealDisk;
use ottla_storage::inspect::OfflineDir;
use ottla_storage::{LogConfig, LogDir, TopicPartition};
use ottla_tests::scratch::Scratch;

const FILES: [&str; 8] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
    "meta.properties",
    ".kafka_cleanshutdown",
    ".boot-id",
    "t-0/partition.metadata",
];

/// The first byte says which file, the rest is its content.
pub fn dirs(data: &[u8]) {
    let [which, content @ ..] = data else { return };
    let scratch = Scratch::new("fuzz-dir");
    let path = scratch.path().join("data");
    fs::create_dir_all(path.join("t-0")).expect("a directory");
    let name = FILES[usize::from(*which) % FILES.len()];
    fs::write(path.join(name), content).expect("a file");
    let offline = OfflineDir::new(&path);
    let _ = (offline.partitions(), offline.promises());
    let Ok(dir) = LogDir::open(Arc::new(RealDisk::new()), &path) else {
        return;
    };
    let partition = TopicPartition::new("t", 0);
    let opened = dir.open_log(&partition, LogConfig::default(), Some(Uuid([1; 16])), 0);
    if let Ok(log) = opened {
        assert_eq!(log.log_end_offset(), log.log_start_offset(), "there is nothing in it");
        dir.settle().expect("there is room");
        dir.close([(&partition, &log)], 1, 1).expect("it is closed");
    }
}
