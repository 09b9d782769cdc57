//! Topics and their partitions.

use ottla_protocol::{
    Str,
    ids::{LeaderEpoch, NodeId, Uuid},
    messages::{ClearElrRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord, TopicRecord},
};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use std::{ops::Bound, sync::Arc};

/// Whether a leader has what was acknowledged before it (KIP-704).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LeaderRecoveryState {
    /// It was elected from the in-sync or eligible replicas.
    #[default]
    Recovered,
    /// It was elected as a last resort and may lack records.
    Recovering,
}

impl LeaderRecoveryState {
    /// The number in the log.
    pub const fn code(self) -> i8 {
        match self {
            Self::Recovered => 0,
            Self::Recovering => 1,
        }
    }

    /// The state after a record that says `code`, where anything unknown is no change.
    const fn changed_to(self, code: i8) -> Self {
        match code {
            0 => Self::Recovered,
            1 => Self::Recovering,
            _ => self,
        }
    }
}

/// Who has a partition and who leads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the same order.
    pub directories: Vec<Uuid>,
    /// The replicas that have everything that is committed. Empty only if eligible leader replicas are kept.
    pub isr: Vec<NodeId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<NodeId>,
    /// Replicas that a reassignment brings in.
    pub adding_replicas: Vec<NodeId>,
    /// Replicas that left the ISR below `min.insync.replicas` and still have everything committed (KIP-966).
    pub eligible_leader_replicas: Vec<NodeId>,
    /// The last leader of a partition that has none: it may lead again if nobody better is there.
    pub last_known_elr: Vec<NodeId>,
    /// The leader, [`NodeId::NONE`] while there is none.
    pub leader: NodeId,
    /// Whether the leader may lack records.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Rises with each change of leader.
    pub leader_epoch: LeaderEpoch,
    /// Rises with each change of any kind.
    pub partition_epoch: i32,
}

impl Partition {
    /// Whether there is a leader.
    pub fn has_leader(&self) -> bool {
        self.leader.is_some()
    }

    /// Whether a reassignment is under way.
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The log directory that `replica` was told to use.
    pub fn directory_of(&self, replica: NodeId) -> Option<Uuid> {
        let position = self.replicas.iter().position(|id| *id == replica)?;
        self.directories.get(position).copied()
    }

    /// The partition after a change.
    pub(crate) fn changed_by(&self, record: &PartitionChangeRecord) -> Self {
        let mut next = self.clone();
        let set = |field: &mut Vec<NodeId>, ids: &Option<Vec<i32>>| {
            if let Some(ids) = ids {
                *field = node_ids(ids);
            }
        };
        set(&mut next.isr, &record.isr);
        set(&mut next.replicas, &record.replicas);
        set(&mut next.removing_replicas, &record.removing_replicas);
        set(&mut next.adding_replicas, &record.adding_replicas);
        set(&mut next.eligible_leader_replicas, &record.eligible_leader_replicas);
        set(&mut next.last_known_elr, &record.last_known_elr);
        if let Some(directories) = &record.directories {
            next.directories.clone_from(directories);
        }
        if record.leader != NO_LEADER_CHANGE {
            next.leader = NodeId(record.leader);
            next.leader_epoch = LeaderEpoch(self.leader_epoch.0 + 1);
        }
        next.leader_recovery_state = self.leader_recovery_state.changed_to(record.leader_recovery_state);
        next.partition_epoch += 1;
        next
    }

    /// The record that makes this partition.
    pub(crate) fn to_record(&self, topic_id: Uuid, partition_id: i32) -> PartitionRecord {
        // Tagged fields that are only written when they say something.
        let unless_empty = |ids: &[NodeId]| (!ids.is_empty()).then(|| numbers(ids));
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: numbers(&self.replicas),
            isr: numbers(&self.isr),
            removing_replicas: numbers(&self.removing_replicas),
            adding_replicas: numbers(&self.adding_replicas),
            leader: self.leader.0,
            leader_recovery_state: self.leader_recovery_state.code(),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
            eligible_leader_replicas: unless_empty(&self.eligible_leader_replicas),
            last_known_elr: unless_empty(&self.last_known_elr),
        }
    }
}

/// The leader of a partition change that leaves the leader alone.
pub(crate) const NO_LEADER_CHANGE: i32 = -2;

pub(crate) fn node_ids(numbers: &[i32]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

pub(crate) fn numbers(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

impl From<&PartitionRecord> for Partition {
    fn from(record: &PartitionRecord) -> Self {
        Self {
            replicas: node_ids(&record.replicas),
            directories: record.directories.clone(),
            isr: node_ids(&record.isr),
            removing_replicas: node_ids(&record.removing_replicas),
            adding_replicas: node_ids(&record.adding_replicas),
            eligible_leader_replicas: node_ids(record.eligible_leader_replicas.as_deref().unwrap_or_default()),
            last_known_elr: node_ids(record.last_known_elr.as_deref().unwrap_or_default()),
            leader: NodeId(record.leader),
            leader_recovery_state: LeaderRecoveryState::Recovered.changed_to(record.leader_recovery_state),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
        }
    }
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Str,
    /// Its id: another one each time a topic of this name is created.
    pub id: Uuid,
    partitions: RedBlackTreeMapSync<i32, Arc<Partition>>,
}

impl TopicImage {
    /// A partition by its number.
    pub fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(&index)
    }

    /// Every partition, ascending.
    pub fn partitions(&self) -> impl Iterator<Item = (i32, &Arc<Partition>)> {
        self.partitions.iter().map(|(index, partition)| (*index, partition))
    }

    /// How many partitions there are.
    pub fn partition_count(&self) -> usize {
        self.partitions.size()
    }

    /// Whether this is one of the broker's own topics.
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }
}

/// Whether `name` is one of the broker's own topics.
pub fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

/// Every topic, by name and by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicsImage {
    by_name: RedBlackTreeMapSync<Str, Arc<TopicImage>>,
    names: HashTrieMapSync<Uuid, Str>,
}

impl TopicsImage {
    /// A topic by its name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_name.get(name)
    }

    /// A topic by its id.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.by_name.get(self.names.get(&id)?)
    }

    /// A partition by the name of its topic and its number.
    pub fn partition(&self, topic: &str, index: i32) -> Option<&Arc<Partition>> {
        self.by_name(topic)?.partition(index)
    }

    /// How many topics there are.
    pub fn count(&self) -> usize {
        self.by_name.size()
    }

    /// Every topic, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values()
    }

    /// The topics from `name` on, ascending: where a paged answer goes on.
    pub fn iter_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<TopicImage>> {
        let from: (Bound<Str>, Bound<Str>) = (Bound::Included(name.into()), Bound::Unbounded);
        self.by_name.range(from).map(|(_, topic)| topic)
    }

    pub(super) fn apply_topic(&mut self, record: &TopicRecord) {
        let name = record.name.detached();
        let topic = TopicImage {
            name: name.clone(),
            id: record.topic_id,
            partitions: RedBlackTreeMapSync::new_sync(),
        };
        if let Some(replaced) = self.by_name.get(&name) {
            let id = replaced.id;
            self.names.remove_mut(&id);
        }
        self.names.insert_mut(record.topic_id, name.clone());
        self.by_name.insert_mut(name, Arc::new(topic));
    }

    pub(super) fn apply_partition(&mut self, record: &PartitionRecord) {
        self.change(record.topic_id, |topic| {
            topic
                .partitions
                .insert_mut(record.partition_id, Arc::new(record.into()));
        });
    }

    pub(super) fn apply_partition_change(&mut self, record: &PartitionChangeRecord) {
        self.change(record.topic_id, |topic| {
            if let Some(partition) = topic.partitions.get_mut(&record.partition_id) {
                *partition = Arc::new(partition.changed_by(record));
            }
        });
    }

    /// Forgets eligible leader replicas of one topic, or of all with an empty name.
    pub(super) fn apply_clear_elr(&mut self, record: &ClearElrRecord) {
        let ids: Vec<Uuid> = match record.topic_name.as_str() {
            "" => self.iter().map(|topic| topic.id).collect(),
            name => self.by_name(name).map(|topic| topic.id).into_iter().collect(),
        };
        for id in ids {
            self.change(id, clear_elr);
        }
    }

    fn change(&mut self, id: Uuid, change: impl FnOnce(&mut TopicImage)) {
        let Some(name) = self.names.get(&id) else {
            return;
        };
        if let Some(topic) = self.by_name.get_mut(name) {
            change(Arc::make_mut(topic));
        }
    }

    /// Returns the name of the topic that is gone.
    pub(super) fn apply_remove(&mut self, id: Uuid) -> Option<Str> {
        let name = self.names.get(&id)?.clone();
        self.names.remove_mut(&id);
        self.by_name.remove_mut(&name);
        Some(name)
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        for topic in self.iter() {
            records.push(
                TopicRecord {
                    name: topic.name.clone(),
                    topic_id: topic.id,
                }
                .into(),
            );
            let partitions = topic.partitions();
            records.extend(partitions.map(|(index, partition)| partition.to_record(topic.id, index).into()));
        }
    }
}

fn clear_elr(topic: &mut TopicImage) {
    let has_one =
        |partition: &Partition| !partition.eligible_leader_replicas.is_empty() || !partition.last_known_elr.is_empty();
    let affected: Vec<i32> = topic
        .partitions()
        .filter(|(_, it)| has_one(it))
        .map(|(index, _)| index)
        .collect();
    for index in affected {
        let cleared = PartitionChangeRecord {
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..PartitionChangeRecord::default()
        };
        if let Some(partition) = topic.partitions.get_mut(&index) {
            *partition = Arc::new(partition.changed_by(&cleared));
        }
    }
}
