//! The log directories of this broker (`log.dirs`): whose they are, and which log lies in which.

mod directory;
mod error;
mod opening;
mod places;

use crate::{
    clock::now_ms,
    config::BrokerConfig,
    partitions::{Partition, Wanted},
};
use opening::Found;
use ottla_protocol::ids::{Offset, Uuid};
use ottla_replication::image::is_reserved_directory;
use ottla_storage::{Log, LogConfig, LogDir, LogDirError, LogOptions, TopicPartition};
use parking_lot::Mutex;
use places::{Known, Place, Told, place};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[cfg(test)]
pub(crate) use directory::Purpose;
pub(crate) use directory::{Directory, Occasion, Siblings};
pub(crate) use error::LogStoreError;

/// Name of the metadata log, which lies beside the others in the first directory or in `metadata.log.dir`.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// Logs closed at a time. A disk takes several syncs together in the time of one.
const CLOSING_THREADS: usize = 16;

/// Partitions that do not exist, for which a directory may be remembered.
const PREFERRED_MAX: usize = 10_000;

/// A log, and the directory it lies in. Moving it makes another one.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) log: Log,
    pub(crate) dir: Arc<Directory>,
}

/// A replica that lies in another directory than the metadata say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    pub(crate) directory: Uuid,
}

/// The directories, locked for this process.
pub(crate) struct LogStore {
    /// Those of `log.dirs`, and behind them that of `metadata.log.dir` if it is another.
    dirs: Vec<Arc<Directory>>,
    topic_dirs: usize,
    metadata_place: usize,
    cluster_id: String,
    siblings: Arc<Siblings>,
    found: Mutex<Found>,
    /// Where partitions are to be made that do not exist yet, because somebody asked for it.
    preferred: Mutex<HashMap<TopicPartition, usize>>,
    /// What the controller has yet to be told.
    unassigned: Mutex<Vec<Assignment>>,
    /// What is left of deleted logs; the next start removes what is still there.
    doomed: Mutex<Vec<(Arc<Directory>, PathBuf)>>,
    /// Whether all logs that were there at start are open, so that a partition that comes now is new.
    is_settled: AtomicBool,
}

impl LogStore {
    /// Locks and reads the directories; new ones become this node's. Removes what deleted topics left behind.
    ///
    /// # Errors
    /// A directory is locked, or of another cluster or node; that of the metadata, or all of them, cannot be used.
    pub(crate) fn open(config: &BrokerConfig) -> Result<Self, LogStoreError> {
        let opened = opening::open(config)?;
        let found = opening::find_logs(&opened.dirs);
        Ok(Self {
            dirs: opened.dirs,
            topic_dirs: opened.topic_dirs,
            metadata_place: opened.metadata_place,
            cluster_id: opened.cluster_id,
            siblings: opened.siblings,
            found: Mutex::new(found),
            preferred: Mutex::default(),
            unassigned: Mutex::default(),
            doomed: Mutex::default(),
            is_settled: AtomicBool::new(false),
        })
    }

    /// The cluster that the directories belong to.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// What the directories share.
    pub(crate) fn siblings(&self) -> &Siblings {
        &self.siblings
    }

    /// The directories that hold logs of topics, in their order.
    pub(crate) fn directories(&self) -> &[Arc<Directory>] {
        &self.dirs[..self.topic_dirs]
    }

    /// The ids of the directories that hold logs of topics and are in use, in their order.
    pub(crate) fn directory_ids(&self) -> Vec<Uuid> {
        let online = self.directories().iter().filter(|dir| !dir.is_offline());
        online.filter_map(|dir| dir.id()).collect()
    }

    /// The epoch that this broker had when it closed all of its directories; -1 after anything but a clean stop.
    pub(crate) fn clean_shutdown_epoch(&self) -> i64 {
        let epoch = |dir: &Arc<Directory>| {
            let clean = dir.in_use().and_then(LogDir::clean_shutdown);
            clean.map_or(-1, |clean| clean.broker_epoch)
        };
        let epochs = self.directories().iter().map(epoch);
        epochs
            .reduce(|one, other| if one == other { one } else { -1 })
            .unwrap_or(-1)
    }

    /// From now on partitions that come are new, and those that were there may be used.
    pub(crate) fn settle(&self) {
        for directory in &self.dirs {
            let Some(dir) = directory.in_use() else { continue };
            if let Err(error) = dir.settle() {
                directory.blame(&error, &"writing the checkpoints", &Occasion::default());
            }
        }
        self.is_settled.store(true, Ordering::Release);
    }

    /// Opens a partition's log where it lies, or makes a new one. If the metadata say something else of where that is,
    /// they are to be told ([`LogStore::take_unassigned`]).
    ///
    /// # Errors
    /// The log is damaged, of another topic, out of reach, or the disk refused.
    pub(crate) fn open_log(&self, wanted: &Wanted<'_>, config: LogConfig) -> Result<Home, LogStoreError> {
        let partition = TopicPartition::new(wanted.topic, wanted.index);
        let is_new = self.is_settled.load(Ordering::Acquire);
        if is_new {
            self.clear_name(&partition, wanted.topic_id, None);
        }
        let found = self.found.lock().logs.get(&partition).cloned().unwrap_or_default();
        let has_offline = self.directories().iter().any(|dir| dir.is_offline());
        let position = match place(Known {
            found: &found,
            told: self.told(wanted.directory),
            is_new,
            has_offline,
        }) {
            Place::Found(position) => {
                self.clear_name(&partition, wanted.topic_id, Some(position));
                position
            }
            Place::New(told) => {
                let preferred = self.preferred.lock().remove(&partition);
                let preferred = preferred.filter(|position| !self.dirs[*position].is_offline());
                let chosen = preferred.or(told).or_else(|| self.least_used());
                chosen.ok_or(LogStoreError::OutOfReach)?
            }
            Place::OutOfReach => return Err(LogStoreError::OutOfReach),
            Place::Ambiguous => {
                let dirs = found.iter().map(|position| self.dirs[*position].path().to_owned());
                return Err(LogStoreError::Ambiguous { dirs: dirs.collect() });
            }
        };
        let dir = self.dirs[position].clone();
        let in_use = dir.in_use().ok_or(LogStoreError::OutOfReach)?;
        let log = in_use.open_log(&partition, config, Some(wanted.topic_id), now_ms());
        let log = log.map_err(LogStoreError::from).and_then(|log| {
            if is_new {
                in_use.settle()?;
            }
            Ok(log)
        });
        let log = log.inspect_err(|error| {
            if error.is_of_the_system() {
                dir.blame(error, &partition, &Occasion::default());
            }
        })?;
        self.found.lock().logs.insert(partition, vec![position]);
        if let Some(directory) = dir.id().filter(|id| *id != wanted.directory) {
            self.assign(Assignment {
                topic_id: wanted.topic_id,
                index: wanted.index,
                directory,
            });
        }
        Ok(Home { log, dir })
    }

    fn told(&self, directory: Uuid) -> Told {
        if is_reserved_directory(directory) {
            return Told::Nothing;
        }
        let is_it = |dir: &Arc<Directory>| dir.id() == Some(directory) && !dir.is_offline();
        match self.directories().iter().position(is_it) {
            Some(position) => Told::At(position),
            None => Told::Elsewhere,
        }
    }

    /// Sets logs of this name aside that are not this partition's: of an earlier topic, and all but that in `keep` where
    /// it is known to be the one.
    fn clear_name(&self, partition: &TopicPartition, topic_id: Uuid, keep: Option<usize>) {
        let found = self.found.lock().logs.get(partition).cloned().unwrap_or_default();
        for position in found.into_iter().filter(|position| Some(*position) != keep) {
            let Some(dir) = self.dirs[position].in_use() else {
                continue;
            };
            let id = dir.topic_id(&dir.path().join(partition.dir_name())).ok().flatten();
            if keep.is_none() && id.is_none_or(|id| id == topic_id) {
                continue;
            }
            match dir.set_aside(partition, new_id()) {
                Ok(stray) => {
                    tracing::warn!(%partition, dir = %stray.display(), "set aside: another log has its place");
                    if let Some(found) = self.found.lock().logs.get_mut(partition) {
                        found.retain(|each| *each != position);
                    }
                }
                Err(error) => self.dirs[position].blame(&error, partition, &Occasion::default()),
            }
        }
    }

    /// A partition that is not here yet is to be made in this directory.
    ///
    /// It is forgotten where too many are remembered: nothing says that they will ever come.
    pub(crate) fn prefer(&self, partition: TopicPartition, directory: &Arc<Directory>) {
        let position = self.directories().iter().position(|dir| Arc::ptr_eq(dir, directory));
        let mut preferred = self.preferred.lock();
        if let Some(position) = position.filter(|_| preferred.len() < PREFERRED_MAX) {
            preferred.insert(partition, position);
        }
    }

    /// A log lies in another directory now.
    pub(crate) fn note_moved(&self, partition: TopicPartition, directory: &Arc<Directory>) {
        if let Some(position) = self.directories().iter().position(|dir| Arc::ptr_eq(dir, directory)) {
            self.found.lock().logs.insert(partition, vec![position]);
        }
    }

    /// The copies of logs that were found at start: of which log, in which directory, where.
    pub(crate) fn take_futures(&self) -> Vec<(TopicPartition, Arc<Directory>, PathBuf)> {
        let futures = std::mem::take(&mut self.found.lock().futures);
        let each = futures.into_iter().flat_map(|(partition, copies)| {
            copies
                .into_iter()
                .map(move |(position, path)| (partition.clone(), position, path))
        });
        each.map(|(partition, position, path)| (partition, self.dirs[position].clone(), path))
            .collect()
    }

    /// The directory in use with the fewest logs.
    fn least_used(&self) -> Option<usize> {
        let found = self.found.lock();
        let used = |position: &usize| found.logs.values().filter(|used| used.contains(position)).count();
        let online = (0..self.topic_dirs).filter(|position| !self.dirs[*position].is_offline());
        online.min_by_key(used)
    }

    /// Has the controller told that a replica lies where it does.
    pub(crate) fn assign(&self, assignment: Assignment) {
        self.unassigned.lock().push(assignment);
        self.siblings.news.notify_one();
    }

    /// What the controller has to be told.
    pub(crate) fn take_unassigned(&self) -> Vec<Assignment> {
        std::mem::take(&mut self.unassigned.lock())
    }

    /// What the controller could not be told is kept for another time.
    pub(crate) fn keep_unassigned(&self, assignments: &[Assignment]) {
        self.unassigned.lock().extend_from_slice(assignments);
    }

    fn metadata_dir(&self) -> Result<&LogDir, LogStoreError> {
        self.dirs[self.metadata_place].in_use().ok_or(LogStoreError::NoneLeft)
    }

    /// Where the metadata log lies.
    pub(crate) fn metadata_log_dir(&self) -> PathBuf {
        self.dirs[self.metadata_place]
            .path()
            .join(metadata_partition().dir_name())
    }

    /// The id of the directory that holds the metadata log.
    pub(crate) fn metadata_directory_id(&self) -> Uuid {
        self.dirs[self.metadata_place].id().unwrap_or(Uuid::ZERO)
    }

    /// Everything before this offset of the metadata log is known to have been committed.
    pub(crate) fn committed_metadata_end(&self) -> Offset {
        self.metadata_dir().map_or(0, |dir| {
            let options = dir.log_options(&metadata_partition(), LogConfig::default(), None, 0);
            options.high_watermark
        })
    }

    /// Whether there are logs besides that of the metadata.
    pub(crate) fn has_topic_logs(&self) -> bool {
        let metadata = metadata_partition();
        self.found.lock().logs.keys().any(|partition| *partition != metadata)
    }

    /// Opens the metadata log.
    ///
    /// # Errors
    /// The log is damaged, or the disk refused.
    pub(crate) fn open_metadata_log(&self, config: LogConfig) -> Result<Log, LogStoreError> {
        let partition = metadata_partition();
        let dir = self.metadata_dir()?;
        let options = dir.log_options(&partition, config, Some(Uuid::METADATA_TOPIC), now_ms());
        // What the log must have is known better where it is read: a snapshot may have it instead.
        let options = LogOptions {
            accepts_loss: true,
            ..options
        };
        Ok(dir.open_log_with(&partition, options)?)
    }

    /// Takes the logs of deleted topics out of use; their names are free from then on. The files go with
    /// [`LogStore::remove_doomed`]. What lies in a directory that is offline stays there.
    pub(crate) fn delete_logs(&self, partitions: &[Arc<Partition>]) {
        let names: Vec<TopicPartition> = partitions.iter().map(|partition| partition.name()).collect();
        {
            let mut found = self.found.lock();
            names.iter().for_each(|name| drop(found.logs.remove(name)));
        }
        let homes: Vec<_> = partitions.iter().map(|partition| partition.home()).collect();
        for directory in &self.dirs {
            let Some(dir) = directory.in_use() else { continue };
            let here = names.iter().zip(&homes).filter(|(_, home)| {
                // Else it was moved, or deleted, at the same moment.
                Arc::ptr_eq(&home.dir, directory) && home.log.dir().exists()
            });
            let logs: Vec<_> = here.map(|(name, home)| (name, &home.log, new_id())).collect();
            if logs.is_empty() {
                continue;
            }
            let mut deleted = Vec::new();
            if let Err(error) = dir.delete_logs(&logs, &mut deleted) {
                directory.blame(&error, &"deleting logs", &Occasion::default());
            }
            let doomed = deleted.into_iter().map(|path| (directory.clone(), path));
            self.doomed.lock().extend(doomed);
        }
    }

    /// Removes the files of deleted logs; says whether there were any. It takes long where they are large.
    pub(crate) fn remove_doomed(&self) -> bool {
        let doomed = std::mem::take(&mut *self.doomed.lock());
        let were_any = !doomed.is_empty();
        for (directory, path) in doomed {
            let Some(dir) = directory.in_use() else { continue };
            if let Err(error) = dir.remove_dir(&path) {
                directory.blame(&error, &path.display(), &Occasion::default());
            }
        }
        were_any
    }

    /// Writes down how far the metadata log goes, before the logs of topics are opened.
    pub(crate) fn write_metadata_checkpoint(&self, metadata: &Log) {
        let directory = &self.dirs[self.metadata_place];
        let Some(dir) = directory.in_use() else { return };
        if let Err(error) = dir.write_checkpoints([(&metadata_partition(), metadata)]) {
            directory.blame(&error, &"writing the checkpoints", &Occasion::default());
        }
    }

    /// Writes the checkpoints of all directories in use. All logs have been opened.
    pub(crate) fn write_checkpoints(&self, partitions: &[Arc<Partition>], metadata: &Log) {
        for (place, directory) in self.dirs.iter().enumerate() {
            let Some(dir) = directory.in_use() else { continue };
            let written = self.for_logs_in(place, partitions, metadata, |logs| dir.write_checkpoints(logs));
            match written.and_then(|()| dir.note_boot()) {
                Ok(()) => directory.note_space(),
                Err(error) => directory.blame(&error, &"writing the checkpoints", &Occasion::default()),
            }
        }
    }

    /// Writes down how far a log has been compacted.
    pub(crate) fn write_cleaner_checkpoint(&self, partition: &Partition) {
        let home = partition.home();
        let Some(dir) = home.dir.in_use() else { return };
        if let Err(error) = dir.write_cleaner_checkpoint(&partition.name(), &home.log) {
            home.dir.blame(&error, &"writing a checkpoint", &Occasion::default());
        }
    }

    /// Closes every log and directory in use, so that the next start takes the files as they are.
    ///
    /// # Errors
    /// The first directory that could not be closed: it will be checked at the next start.
    pub(crate) fn close(
        &self,
        partitions: &[Arc<Partition>],
        metadata: &Log,
        broker_epoch: i64,
    ) -> Result<(), LogStoreError> {
        let mut first_error = None;
        for (place, directory) in self.dirs.iter().enumerate() {
            let Some(dir) = directory.in_use() else { continue };
            let closed = self.for_logs_in(place, partitions, metadata, |logs| {
                dir.close(logs, broker_epoch, CLOSING_THREADS)
            });
            if let Err(error) = closed {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Has `work` done with the logs in one directory.
    fn for_logs_in(
        &self,
        place: usize,
        partitions: &[Arc<Partition>],
        metadata: &Log,
        work: impl FnOnce(Vec<(&TopicPartition, &Log)>) -> Result<(), LogDirError>,
    ) -> Result<(), LogDirError> {
        let homes = partitions.iter().map(|partition| (partition.name(), partition.home()));
        let here = |(_, home): &(TopicPartition, Arc<Home>)| Arc::ptr_eq(&home.dir, &self.dirs[place]);
        let homes: Vec<_> = homes.filter(here).collect();
        let metadata_name = metadata_partition();
        let mut logs: Vec<_> = homes.iter().map(|(name, home)| (name, &home.log)).collect();
        logs.extend((place == self.metadata_place).then_some((&metadata_name, metadata)));
        work(logs)
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
