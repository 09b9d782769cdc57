//! The log directories of this broker (`log.dirs`): whose they are, and which log lies in which.

use crate::{clock::now_ms, config::BrokerConfig, partitions::Partition};
use ottla_protocol::ids::{NodeId, Offset, Uuid};
use ottla_storage::{
    DirKind, Log, LogConfig, LogDir, LogDirError, LogOptions, OpenError, TopicPartition,
    disk::{Disk, RealDisk},
    meta_properties::MetaProperties,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of the metadata log, which lies beside the others in the first directory or in `metadata.log.dir`.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// Why the log directories or a log in them cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogStoreError {
    /// The directory.
    #[error(transparent)]
    Dir(#[from] LogDirError),
    /// A log in it.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// Directories that do not belong together.
    #[error("{}: {key} is {found}, but {expected} {where_from}", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// The key of its `meta.properties`.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
        /// Who says so.
        where_from: &'static str,
    },
    /// Logs of nobody.
    #[error(
        "{} holds logs, but no meta.properties that says whose they are: bring the file back, or name an empty directory",
        dir.display()
    )]
    Unowned {
        /// The directory.
        dir: PathBuf,
    },
}

/// The directories, locked for this process.
pub(crate) struct LogStore {
    /// Those of `log.dirs`, and behind them that of `metadata.log.dir` if it is another.
    dirs: Vec<LogDir>,
    /// How many of them hold logs of topics.
    topic_dirs: usize,
    /// Which of them holds the metadata log.
    metadata_place: usize,
    cluster_id: String,
    /// In which directory each log lies, by position in `dirs`.
    places: Mutex<HashMap<TopicPartition, usize>>,
}

impl LogStore {
    /// Locks and reads the directories; new ones become this node's. Removes what deleted topics left behind.
    ///
    /// # Errors
    /// A directory is locked, unreadable, or of another cluster or node.
    pub(crate) fn open(config: &BrokerConfig) -> Result<Self, LogStoreError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
        let mut dirs = Vec::new();
        let metadata_dir = config.metadata_log_dir();
        let metadata_place = config
            .log_dirs
            .iter()
            .position(|path| Some(path) == metadata_dir.as_ref());
        let apart = metadata_dir.filter(|_| metadata_place.is_none());
        let topic_dirs = config.log_dirs.len();
        for path in config.log_dirs.iter().chain(&apart) {
            dirs.push(LogDir::open(disk.clone(), path)?);
        }
        let metadata_place = metadata_place.unwrap_or(if apart.is_some() { topic_dirs } else { 0 });
        let cluster_id = check_identity(&dirs, config.node_id)?.unwrap_or_else(|| new_id().to_string());
        for dir in &mut dirs {
            if dir.properties().is_none() {
                if !dir.partitions()?.is_empty() {
                    return Err(LogStoreError::Unowned { dir: dir.path().into() });
                }
                dir.set_properties(MetaProperties {
                    cluster_id: cluster_id.clone(),
                    node_id: config.node_id,
                    directory_id: new_id(),
                    other: BTreeMap::new(),
                })?;
            }
        }
        let places = find_logs(&dirs)?;
        Ok(Self {
            dirs,
            topic_dirs,
            metadata_place,
            cluster_id,
            places: Mutex::new(places),
        })
    }

    /// The cluster that the directories belong to.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The ids of the directories that hold logs of topics, in their order.
    pub(crate) fn directory_ids(&self) -> Vec<Uuid> {
        self.dirs[..self.topic_dirs]
            .iter()
            .filter_map(|dir| dir.properties())
            .map(|properties| properties.directory_id)
            .collect()
    }

    /// The epoch that this broker had when it closed the first directory; -1 after anything but a clean stop.
    pub(crate) fn clean_shutdown_epoch(&self) -> i64 {
        let clean = self.dirs.first().and_then(LogDir::clean_shutdown);
        clean.map_or(-1, |clean| clean.broker_epoch)
    }

    /// The directories that hold logs of topics, in their order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.dirs[..self.topic_dirs].iter().map(LogDir::path)
    }

    /// The position of the directory that holds a log.
    pub(crate) fn place_of(&self, topic: &str, index: i32) -> Option<usize> {
        self.places.lock().get(&TopicPartition::new(topic, index)).copied()
    }

    /// Opens a partition's log where it lies; a new one goes to the directory with the fewest.
    ///
    /// # Errors
    /// The log is damaged or of another topic, or the disk refused.
    pub(crate) fn open_log(
        &self,
        topic: &str,
        index: i32,
        topic_id: Uuid,
        config: LogConfig,
    ) -> Result<Log, LogStoreError> {
        let partition = TopicPartition::new(topic, index);
        let place = {
            let mut places = self.places.lock();
            match places.get(&partition).copied() {
                Some(place) => place,
                None => {
                    let place = least_used(&places, self.topic_dirs);
                    places.insert(partition.clone(), place);
                    place
                }
            }
        };
        Ok(self.dirs[place].open_log(&partition, config, Some(topic_id), now_ms())?)
    }

    /// Where the metadata log lies.
    pub(crate) fn metadata_log_dir(&self) -> PathBuf {
        self.dirs[self.metadata_place]
            .path()
            .join(metadata_partition().dir_name())
    }

    /// The id of the directory that holds the metadata log.
    pub(crate) fn metadata_directory_id(&self) -> Uuid {
        let properties = self.dirs[self.metadata_place].properties();
        properties.map_or(Uuid::ZERO, |properties| properties.directory_id)
    }

    /// Everything before this offset of the metadata log is known to have been committed.
    pub(crate) fn committed_metadata_end(&self) -> Offset {
        let dir = &self.dirs[self.metadata_place];
        let options = dir.log_options(&metadata_partition(), LogConfig::default(), None, 0);
        options.high_watermark
    }

    /// Whether there are logs besides that of the metadata.
    pub(crate) fn has_topic_logs(&self) -> bool {
        let metadata = metadata_partition();
        self.places.lock().keys().any(|partition| *partition != metadata)
    }

    /// Opens the metadata log.
    ///
    /// # Errors
    /// The log is damaged, or the disk refused.
    pub(crate) fn open_metadata_log(&self, config: LogConfig) -> Result<Log, LogStoreError> {
        let partition = metadata_partition();
        let dir = &self.dirs[self.metadata_place];
        let options = dir.log_options(&partition, config, Some(Uuid::METADATA_TOPIC), now_ms());
        // What the log must have is known better where it is read: a snapshot may have it instead.
        let options = LogOptions {
            accepts_loss: true,
            ..options
        };
        Ok(dir.open_log_with(&partition, options)?)
    }

    /// Takes the log of a deleted topic away; its name is free from then on.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn delete_log(&self, partition: &Partition) -> Result<(), LogStoreError> {
        let name = TopicPartition::new(&partition.topic, partition.index);
        let Some(place) = self.places.lock().remove(&name) else {
            return Ok(());
        };
        let deleted = self.dirs[place].delete_log(&name, &partition.log, new_id())?;
        Ok(self.dirs[place].remove_dir(&deleted)?)
    }

    /// Writes the checkpoints of all directories.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn write_checkpoints(&self, partitions: &[Arc<Partition>], metadata: &Log) -> Result<(), LogStoreError> {
        let metadata_name = metadata_partition();
        for (place, dir) in self.dirs.iter().enumerate() {
            let names = self.names_in(place, partitions);
            let logs = names.iter().map(|(name, partition)| (name, &partition.log));
            let metadata = (place == self.metadata_place).then_some((&metadata_name, metadata));
            dir.write_checkpoints(logs.chain(metadata))?;
        }
        Ok(())
    }

    /// All logs have been opened and their checkpoints written: see [`LogDir::note_boot`].
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn note_boot(&self) -> Result<(), LogStoreError> {
        Ok(self.dirs.iter().try_for_each(LogDir::note_boot)?)
    }

    /// Writes down how far a log has been compacted.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn write_cleaner_checkpoint(&self, partition: &Partition) -> Result<(), LogStoreError> {
        let name = TopicPartition::new(&partition.topic, partition.index);
        match self.places.lock().get(&name).copied() {
            Some(place) => Ok(self.dirs[place].write_cleaner_checkpoint(&name, &partition.log)?),
            None => Ok(()),
        }
    }

    /// Closes every log and directory, so that the next start takes the files as they are.
    ///
    /// # Errors
    /// The disk's; that directory will be checked at the next start.
    pub(crate) fn close(
        &self,
        partitions: &[Arc<Partition>],
        metadata: &Log,
        broker_epoch: i64,
    ) -> Result<(), LogStoreError> {
        let metadata_name = metadata_partition();
        for (place, dir) in self.dirs.iter().enumerate() {
            let names = self.names_in(place, partitions);
            let logs = names.iter().map(|(name, partition)| (name, &partition.log));
            let metadata = (place == self.metadata_place).then_some((&metadata_name, metadata));
            dir.close(logs.chain(metadata), broker_epoch)?;
        }
        Ok(())
    }

    fn names_in<'a>(&self, place: usize, partitions: &'a [Arc<Partition>]) -> Vec<(TopicPartition, &'a Partition)> {
        let places = self.places.lock();
        let named = partitions
            .iter()
            .map(|each| (TopicPartition::new(&each.topic, each.index), each.as_ref()));
        named.filter(|(name, _)| places.get(name) == Some(&place)).collect()
    }
}

fn metadata_partition() -> TopicPartition {
    TopicPartition::new(METADATA_TOPIC, 0)
}

/// A random id, as for directories, topics and clusters. Never one that starts with a dash, which tools take for an
/// option.
pub(crate) fn new_id() -> Uuid {
    loop {
        let id = Uuid(*uuid::Uuid::new_v4().as_bytes());
        if !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// The cluster that the directories belong to, if any of them was used before.
fn check_identity(dirs: &[LogDir], node_id: NodeId) -> Result<Option<String>, LogStoreError> {
    let mut cluster_id: Option<&str> = None;
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

fn find_logs(dirs: &[LogDir]) -> Result<HashMap<TopicPartition, usize>, LogStoreError> {
    let mut places = HashMap::new();
    for (place, dir) in dirs.iter().enumerate() {
        for found in dir.partitions()? {
            match found.kind {
                DirKind::Current => drop(places.insert(found.partition, place)),
                DirKind::Deleted => dir.remove_dir(&found.path)?,
                _ => tracing::warn!(dir = %found.path.display(), "left alone: not a log in use"),
            }
        }
    }
    Ok(places)
}

fn least_used(places: &HashMap<TopicPartition, usize>, dirs: usize) -> usize {
    let used = |place: &usize| places.values().filter(|used| *used == place).count();
    if dirs <= 1 {
        0
    } else {
        (0..dirs).min_by_key(used).unwrap_or(0)
    }
}
