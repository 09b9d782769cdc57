//! Taking the directories at start: whose they are, what lies in them, and which of them cannot be used.

use super::{
    LogStoreError,
    directory::{Directory, Purpose, Siblings},
    new_id,
};
use crate::config::BrokerConfig;
use ottla_protocol::ids::NodeId;
use ottla_storage::{
    DirKind, LogDir, LogDirError, TopicPartition,
    disk::{Disk, RealDisk},
    meta_properties::MetaProperties,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The directories of a broker.
pub(super) struct Opened {
    /// Those of `log.dirs`, and behind them that of `metadata.log.dir` if it is another.
    pub(super) dirs: Vec<Arc<Directory>>,
    /// How many of them hold logs of topics.
    pub(super) topic_dirs: usize,
    /// Which of them holds the metadata log.
    pub(super) metadata_place: usize,
    pub(super) cluster_id: String,
    pub(super) siblings: Arc<Siblings>,
}

/// What was found in the directories, by partition.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In which directories there is a log in use, by position.
    pub(super) logs: HashMap<TopicPartition, Vec<usize>>,
    /// Copies that were being made.
    pub(super) futures: HashMap<TopicPartition, Vec<(usize, PathBuf)>>,
}

/// Locks and reads the directories; new ones become this node's. One that cannot be used is offline, unless it is needed.
pub(super) fn open(config: &BrokerConfig) -> Result<Opened, LogStoreError> {
    let metadata_dir = config.metadata_log_dir();
    let is_metadata_dir = |path: &PathBuf| Some(path) == metadata_dir.as_ref();
    let place = config.log_dirs.iter().position(is_metadata_dir);
    let apart = metadata_dir.clone().filter(|_| place.is_none());
    let topic_dirs = config.log_dirs.len();
    let metadata_place = place.unwrap_or(if apart.is_some() { topic_dirs } else { 0 });
    // As tools have to name them, wherever they were started.
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let paths: Vec<PathBuf> = config.log_dirs.iter().chain(&apart).map(absolute).collect();
    let mut opened = Vec::new();
    for (place, path) in paths.iter().enumerate() {
        opened.push(take(path, place == metadata_place)?);
    }
    let cluster_id = check_identity(opened.iter().flatten(), config.node_id)?;
    let cluster_id = cluster_id.unwrap_or_else(|| new_id().to_string());
    let siblings = Arc::<Siblings>::default();
    let mut dirs = Vec::new();
    for (place, (path, dir)) in paths.iter().zip(opened).enumerate() {
        let purpose = Purpose {
            holds_topics: place < topic_dirs,
            holds_metadata: place == metadata_place,
        };
        let own = dir.map(|dir| own(dir, &cluster_id, config.node_id)).transpose();
        let directory = match usable(own, path, purpose.holds_metadata)?.flatten() {
            Some(dir) => Directory::online(dir, purpose, siblings.clone()),
            None => Directory::offline(path, siblings.clone()),
        };
        dirs.push(Arc::new(directory));
    }
    match dirs[..topic_dirs].iter().all(|dir| dir.is_offline()) {
        true => Err(LogStoreError::NoneLeft),
        false => Ok(Opened {
            dirs,
            topic_dirs,
            metadata_place,
            cluster_id,
            siblings,
        }),
    }
}

fn take(path: &Path, is_needed: bool) -> Result<Option<LogDir>, LogStoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
    let dir = LogDir::open(disk, path).map_err(LogStoreError::from);
    usable(dir, path, is_needed)
}

/// What was opened; `None`, with a line that says why, if it cannot be used and need not be.
fn usable<T>(result: Result<T, LogStoreError>, path: &Path, is_needed: bool) -> Result<Option<T>, LogStoreError> {
    match result {
        Ok(opened) => Ok(Some(opened)),
        Err(error @ LogStoreError::Dir(LogDirError::Io { .. } | LogDirError::MetaProperties(_))) if !is_needed => {
            tracing::error!(
                dir = %path.display(),
                %error,
                "the log directory cannot be used: its partitions are offline, those elsewhere are served; repair it and \
                 start the broker again"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Makes a directory that nobody has used yet this node's.
fn own(mut dir: LogDir, cluster_id: &str, node_id: NodeId) -> Result<LogDir, LogStoreError> {
    if dir.properties().is_none() {
        if !dir.partitions()?.is_empty() {
            return Err(LogStoreError::Unowned { dir: dir.path().into() });
        }
        dir.set_properties(MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id,
            directory_id: new_id(),
            other: BTreeMap::new(),
        })?;
    }
    Ok(dir)
}

/// The cluster that the directories belong to, if any of them was used before.
fn check_identity<'a>(
    dirs: impl Iterator<Item = &'a LogDir>,
    node_id: NodeId,
) -> Result<Option<String>, LogStoreError> {
    let mut cluster_id: Option<&str> = None;
    let mut ids = HashMap::new();
    for dir in dirs {
        let Some(properties) = dir.properties() else { continue };
        let foreign = |key, found: String, expected: String, where_from| LogStoreError::Foreign {
            dir: dir.path().into(),
            key,
            found,
            expected,
            where_from,
        };
        if properties.node_id != node_id {
            let (found, expected) = (properties.node_id.to_string(), node_id.to_string());
            return Err(foreign("node.id", found, expected, "is configured"));
        }
        if let Some(other) = ids.insert(properties.directory_id, dir.path()) {
            return Err(LogStoreError::SameId {
                dir: dir.path().into(),
                other: other.into(),
                id: properties.directory_id,
            });
        }
        match cluster_id {
            Some(expected) if expected != properties.cluster_id => {
                let (found, expected) = (properties.cluster_id.clone(), expected.to_owned());
                return Err(foreign("cluster.id", found, expected, "stands in another of log.dirs"));
            }
            _ => cluster_id = Some(&properties.cluster_id),
        }
    }
    Ok(cluster_id.map(str::to_owned))
}

/// Looks into the directories, and removes what deleted topics left behind.
pub(super) fn find_logs(dirs: &[Arc<Directory>]) -> Found {
    let mut found = Found::default();
    for (place, dir) in dirs.iter().enumerate() {
        if let Err(error) = find_logs_in(dir, place, &mut found) {
            dir.blame(&error, &"looking into it", &Default::default());
        }
    }
    found
}

fn find_logs_in(directory: &Directory, place: usize, found: &mut Found) -> Result<(), LogDirError> {
    let Some(dir) = directory.in_use() else { return Ok(()) };
    for each in dir.partitions()? {
        match each.kind {
            DirKind::Current => found.logs.entry(each.partition).or_default().push(place),
            DirKind::Future => found
                .futures
                .entry(each.partition)
                .or_default()
                .push((place, each.path)),
            DirKind::Deleted => dir.remove_dir(&each.path)?,
            DirKind::Stray => tracing::warn!(dir = %each.path.display(), "left alone: not a log in use"),
        }
    }
    Ok(())
}
