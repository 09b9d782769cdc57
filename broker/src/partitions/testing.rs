//! A partition on a disk, without a broker.

use super::Partition;
use crate::{
    config::TopicSettings,
    log_store::{Directory, Home, Purpose},
};
use ottla_protocol::ids::Uuid;
use ottla_replication::config::{ConfigValues, Layers};
use ottla_storage::{Log, LogDir, LogOptions, disk::RealDisk};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A partition in a folder of its own, removed when this is dropped.
pub(super) struct Fixture {
    pub(super) partition: Arc<Partition>,
    dir: PathBuf,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // What cannot be removed stays; the test has its verdict already.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The partition of a topic with these overrides.
pub(super) fn partition(configs: &[(&str, &str)]) -> Fixture {
    let overrides = values(configs);
    with_settings(TopicSettings::resolve(&overrides, Layers::defaults()))
}

/// Keys with their values as a topic or a broker has them.
pub(super) fn values(configs: &[(&str, &str)]) -> ConfigValues {
    configs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

/// The partition of a topic with these settings.
pub(super) fn with_settings(settings: TopicSettings) -> Fixture {
    let dir = std::env::temp_dir().join(format!("ottla-partition-{}", uuid::Uuid::new_v4()));
    let log = Log::open(Arc::new(RealDisk::new()), &dir, &LogOptions::default()).expect("a new log");
    let partition = Partition::new("t".into(), Uuid::ZERO, 0, home(log, &dir), Arc::new(settings));
    let partition = Arc::new(partition);
    Fixture { partition, dir }
}

fn home(log: Log, path: &Path) -> Home {
    let purpose = Purpose {
        holds_topics: true,
        holds_metadata: false,
    };
    let opened = LogDir::open(Arc::new(RealDisk::new()), path).expect("a directory");
    let dir = Arc::new(Directory::online(opened, purpose, Arc::default()));
    Home { log, dir }
}
