//! The partitions that this broker leads, each with its log.
//!
//! What exists follows the metadata image: [`Partitions::follow`] opens and deletes logs as topics come and go.

mod flushing;
mod partition;
mod producing;
#[cfg(test)]
mod testing;

pub(crate) use flushing::FlushWait;
pub(crate) use partition::{Partition, Placed};
pub(crate) use producing::{ProduceFailure, Produced, RequestTerms, Unverified};

use crate::{
    config::TopicSettings,
    fetching::TopicRef,
    log_store::{LogStore, LogStoreError},
};
use hashbrown::HashMap;
use ottla_protocol::{
    ErrorCode, Str,
    ids::{LeaderEpoch, NodeId, Uuid},
};
use ottla_replication::image::MetadataImage;
use parking_lot::{Mutex, RwLock};
use std::{collections::HashSet, sync::Arc};

/// All partitions with a log here.
#[derive(Default)]
pub(crate) struct Partitions {
    /// Asked by every partition of every request: the hash is hashbrown's, which is cheaper than the standard library's.
    by_topic: RwLock<HashMap<Uuid, Vec<Option<Arc<Partition>>>>>,
    /// Partitions that should be here and whose log could not be opened.
    offline: RwLock<HashSet<(Uuid, i32)>>,
    /// Those of them for which it may work later.
    refused: Mutex<HashSet<(Uuid, i32)>>,
}

/// A partition that should be here, as the image has it.
pub(crate) struct Wanted<'a> {
    pub(crate) topic: &'a str,
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    pub(crate) leader: NodeId,
    pub(crate) leader_epoch: LeaderEpoch,
    /// The id of the log directory that the metadata name.
    pub(crate) directory: Uuid,
}

impl Partitions {
    /// The partition, if it is here and its directory in use.
    pub(crate) fn find(&self, image: &MetadataImage, topic: &TopicRef, index: i32) -> Option<Arc<Partition>> {
        let id = match topic {
            TopicRef::Id(id) => *id,
            TopicRef::Name(name) => image.topics().by_name(name)?.id,
        };
        self.by_id(id, index).filter(|partition| !partition.is_offline())
    }

    /// Why [`Partitions::find`] finds nothing: `otherwise`, unless the log is here and cannot be used.
    pub(crate) fn absence(
        &self,
        image: &MetadataImage,
        topic: &TopicRef,
        index: i32,
        otherwise: ErrorCode,
    ) -> ErrorCode {
        let id = match topic {
            TopicRef::Id(id) => Some(*id),
            TopicRef::Name(name) => image.topics().by_name(name).map(|topic| topic.id),
        };
        match id.is_some_and(|id| self.is_offline(id, index)) {
            true => ErrorCode::KafkaStorageError,
            false => otherwise,
        }
    }

    /// Whether the partition should be here and its log cannot be used.
    pub(crate) fn is_offline(&self, topic_id: Uuid, index: i32) -> bool {
        let has_failed = || {
            self.by_id(topic_id, index)
                .is_some_and(|partition| partition.is_offline())
        };
        self.offline.read().contains(&(topic_id, index)) || has_failed()
    }

    /// The partition of the topic with this id, if it is here.
    pub(crate) fn by_id(&self, topic_id: Uuid, index: i32) -> Option<Arc<Partition>> {
        self.by_topic
            .read()
            .get(&topic_id)?
            .get(usize::try_from(index).ok()?)?
            .clone()
    }

    /// How many partitions could not be opened, if any.
    pub(crate) fn offline_count(&self) -> Option<usize> {
        Some(self.offline.read().len()).filter(|count| *count > 0)
    }

    /// How many partitions should be here and cannot be used: their logs could not be opened, or their directories have
    /// failed.
    pub(crate) fn unusable_count(&self) -> usize {
        let failed = self.all().iter().filter(|partition| partition.is_offline()).count();
        self.offline.read().len() + failed
    }

    /// The partitions whose logs could not be opened and are to be tried again.
    pub(crate) fn take_refused(&self) -> HashSet<(Uuid, i32)> {
        let refused = std::mem::take(&mut *self.refused.lock());
        self.offline.write().retain(|name| !refused.contains(name));
        refused
    }

    /// All of them, in no particular order.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        self.by_topic.read().values().flatten().flatten().cloned().collect()
    }

    /// All of one topic, by index.
    pub(crate) fn of_topic(&self, topic_id: Uuid) -> Vec<Arc<Partition>> {
        self.by_topic
            .read()
            .get(&topic_id)
            .into_iter()
            .flatten()
            .flatten()
            .cloned()
            .collect()
    }

    /// Opens the log of a partition that is not here yet, or tells the one that is of its leader epoch.
    ///
    /// # Errors
    /// The log cannot be opened: the partition is not served, the others are.
    pub(crate) fn lead(
        &self,
        logs: &LogStore,
        wanted: &Wanted<'_>,
        settings: Arc<TopicSettings>,
    ) -> Result<(), LogStoreError> {
        if let Some(partition) = self.by_id(wanted.topic_id, wanted.index) {
            partition.set_leader(wanted.leader, wanted.leader_epoch);
            partition.set_settings(settings);
            return Ok(());
        }
        let name = (wanted.topic_id, wanted.index);
        if self.offline.read().contains(&name) {
            // It has been said why; nothing gets better before the next start.
            return Ok(());
        }
        let home = logs.open_log(wanted, settings.log_config()).inspect_err(|error| {
            self.offline.write().insert(name);
            if error.may_pass() {
                self.refused.lock().insert(name);
            }
        })?;
        let topic = Str::from(wanted.topic);
        let partition = Partition::new(topic, wanted.topic_id, wanted.index, home, settings);
        partition.set_leader(wanted.leader, wanted.leader_epoch);
        let mut topics = self.by_topic.write();
        let partitions = topics.entry(wanted.topic_id).or_default();
        let position = wanted.index as usize;
        if partitions.len() <= position {
            partitions.resize(position + 1, None);
        }
        partitions[position] = Some(Arc::new(partition));
        Ok(())
    }

    /// Takes a deleted topic away; its logs are the caller's to delete.
    pub(crate) fn remove_topic(&self, topic_id: Uuid) -> Vec<Arc<Partition>> {
        self.offline.write().retain(|(id, _)| *id != topic_id);
        let removed = self.by_topic.write().remove(&topic_id).unwrap_or_default();
        let removed: Vec<Arc<Partition>> = removed.into_iter().flatten().collect();
        removed.iter().for_each(|partition| partition.leave());
        removed
    }
}
