//! Committed offsets: by group, topic and partition.
//!
//! Only [`Offsets::put`] and [`Offsets::remove`] change them, each for a record that is applied. What open transactions
//! have committed stands apart, in [`pending`].

mod commit;
mod delete;
mod expiry;
mod fetch;
pub(crate) mod pending;
mod transactional;

pub use commit::commit_refused;
pub use transactional::TransactionalCommit;

use ottla_protocol::{
    Str,
    ids::{Offset, TimestampMs, Uuid},
    messages::OffsetCommitValue,
};
use std::collections::BTreeMap;

/// The last commit of a group for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: Offset,
    /// The leader epoch of the last record consumed; -1 if the client did not say.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Str,
    pub(crate) commit_timestamp_ms: TimestampMs,
    /// When it expires by the wish of an old client.
    pub(crate) expire_timestamp_ms: Option<TimestampMs>,
    /// Zero if the record is older than version 4.
    pub(crate) topic_id: Uuid,
}

impl CommittedOffset {
    /// The value of a record, copied out of its batch.
    pub(crate) fn of(value: &OffsetCommitValue) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.detached(),
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: Some(value.expire_timestamp).filter(|timestamp| *timestamp != -1),
            topic_id: value.topic_id,
        }
    }
}

/// The offsets of one group; no topic is without a partition.
pub(crate) type GroupOffsets = BTreeMap<Str, BTreeMap<i32, CommittedOffset>>;

/// The offsets of all groups; no group is without a topic.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    by_group: BTreeMap<Str, GroupOffsets>,
}

impl Offsets {
    /// What `group` has committed.
    pub(crate) fn of_group(&self, group: &Str) -> Option<&GroupOffsets> {
        self.by_group.get(group)
    }

    pub(crate) fn find(&self, group: &Str, topic: &Str, partition: i32) -> Option<&CommittedOffset> {
        self.by_group.get(group)?.get(topic)?.get(&partition)
    }

    /// Takes what counts from now on.
    pub(crate) fn put(&mut self, group: &Str, topic: &Str, partition: i32, committed: CommittedOffset) {
        let topics = entry(&mut self.by_group, group);
        entry(topics, topic).insert(partition, committed);
    }

    /// Takes a tombstone.
    pub(crate) fn remove(&mut self, group: &Str, topic: &Str, partition: i32) {
        let Some(topics) = self.by_group.get_mut(group) else {
            return;
        };
        let Some(partitions) = topics.get_mut(topic) else {
            return;
        };
        partitions.remove(&partition);
        if partitions.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.by_group.remove(group);
        }
    }
}

/// The value of `key`, made if missing; the key is copied only then.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<Str, V>, key: &Str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.detached(), V::default());
    }
    map.get_mut(key).expect("it was there or has just been inserted")
}
