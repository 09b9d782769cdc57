//! Offsets that were committed in transactions which are still open (KIP-98).
//!
//! They count from the commit marker on, unless something newer was written for the same partition meanwhile; after an
//! abort marker they never did. Until then whoever wants stable offsets is told that they are not (KIP-447).

use super::{CommittedOffset, entry};
use ottla_protocol::{
    Str,
    ids::{ProducerId, Uuid},
    messages::{OffsetCommitKey, OffsetCommitValue},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a transaction has committed for one partition.
#[derive(Debug)]
struct PendingOffset {
    committed: CommittedOffset,
    /// Its place among all that was pending, in the order of the log.
    order: u64,
    /// Something newer counts already.
    is_superseded: bool,
}

/// The offsets of one group in one transaction, by topic and partition.
type OfGroup = BTreeMap<(Str, i32), PendingOffset>;
/// The offsets of one transaction, by group.
type OfProducer = BTreeMap<Str, OfGroup>;

/// The offsets of all open transactions.
#[derive(Debug, Default)]
pub(crate) struct PendingOffsets {
    by_producer: BTreeMap<ProducerId, OfProducer>,
    /// Whose transactions each group is part of; none is without a producer.
    by_group: BTreeMap<Str, BTreeSet<ProducerId>>,
    written: u64,
}

/// An offset that counts from now on, and whose it is.
pub(crate) struct Ended {
    pub(crate) group: Str,
    pub(crate) topic: Str,
    pub(crate) partition: i32,
    pub(crate) committed: CommittedOffset,
}

impl PendingOffsets {
    /// Takes a record that is part of the producer's transaction.
    pub(crate) fn put(&mut self, producer: ProducerId, key: &OffsetCommitKey, value: &OffsetCommitValue) {
        self.written += 1;
        let pending = PendingOffset {
            committed: CommittedOffset::of(value),
            order: self.written,
            is_superseded: false,
        };
        let of_group = entry(self.by_producer.entry(producer).or_default(), &key.group);
        of_group.insert((key.topic.detached(), key.partition), pending);
        entry(&mut self.by_group, &key.group).insert(producer);
    }

    /// Whether a transaction is open that has committed offsets of the group.
    pub(crate) fn is_open(&self, group: &Str) -> bool {
        self.by_group.contains_key(group)
    }

    /// Whether it is open whether what is committed for the partition will count.
    pub(crate) fn has(&self, group: &Str, topic: &Str, partition: i32) -> bool {
        let key = (topic.clone(), partition);
        self.each_of(group).any(|offsets| offsets.contains_key(&key))
    }

    /// The partitions for which offsets of the group are pending. One comes as often as it is in transactions.
    pub(crate) fn of_group(&self, group: &Str) -> impl Iterator<Item = (&Str, i32)> {
        let keys = self.each_of(group).flat_map(BTreeMap::keys);
        keys.map(|(topic, partition)| (topic, *partition))
    }

    /// The partitions of a topic for which offsets of the group are pending, without those of a later topic of that
    /// name.
    pub(crate) fn of_topic(&self, group: &Str, topic: &Str, id: Uuid) -> impl Iterator<Item = i32> {
        let offsets = self.each_of(group).flatten();
        offsets.filter_map(move |((name, partition), pending)| {
            let written_for = pending.committed.topic_id;
            (name == topic && (written_for.is_zero() || written_for == id)).then_some(*partition)
        })
    }

    /// Something was written for the partition that is newer than all that is pending for it.
    pub(crate) fn supersede(&mut self, key: &OffsetCommitKey) {
        self.supersede_before(u64::MAX, &key.group, &key.topic, key.partition);
    }

    fn supersede_before(&mut self, order: u64, group: &Str, topic: &Str, partition: i32) {
        let key = (topic.clone(), partition);
        self.change_each_of(group, |offsets| {
            if let Some(pending) = offsets.get_mut(&key) {
                pending.is_superseded |= pending.order < order;
            }
        });
    }

    /// Takes a tombstone: what is pending for the partition will never count.
    pub(crate) fn remove(&mut self, group: &Str, topic: &Str, partition: i32) {
        let key = (topic.clone(), partition);
        self.change_each_of(group, |offsets| drop(offsets.remove(&key)));
    }

    /// What each open transaction has committed of the group.
    fn each_of(&self, group: &Str) -> impl Iterator<Item = &OfGroup> {
        let producers = self.by_group.get(group).into_iter().flatten();
        producers.filter_map(|producer| self.by_producer.get(producer)?.get(group))
    }

    fn change_each_of(&mut self, group: &Str, mut change: impl FnMut(&mut OfGroup)) {
        for producer in self.by_group.get(group).into_iter().flatten() {
            let offsets = self.by_producer.get_mut(producer);
            if let Some(offsets) = offsets.and_then(|groups| groups.get_mut(group)) {
                change(offsets);
            }
        }
    }

    /// Ends the producer's transaction, if it has one here. Returns what counts from now on.
    pub(crate) fn end(&mut self, producer: ProducerId, is_commit: bool) -> Vec<Ended> {
        let mut ended = Vec::new();
        for (group, offsets) in self.by_producer.remove(&producer).unwrap_or_default() {
            if let Some(producers) = self.by_group.get_mut(&group) {
                producers.remove(&producer);
                if producers.is_empty() {
                    self.by_group.remove(&group);
                }
            }
            let counting = offsets
                .into_iter()
                .filter(|(_, pending)| is_commit && !pending.is_superseded);
            for ((topic, partition), pending) in counting {
                self.supersede_before(pending.order, &group, &topic, partition);
                ended.push(Ended {
                    group: group.clone(),
                    topic,
                    partition,
                    committed: pending.committed,
                });
            }
        }
        ended
    }
}
