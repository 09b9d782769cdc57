//! In which log directory of its broker a replica lies (KIP-858), and directories that fail.
//!
//! A new partition of this node is told its directory when it is made, so that at no time its log lies somewhere without
//! the metadata knowing. What a broker finds elsewhere, or moves, it tells with AssignReplicasToDirs.

use super::{
    Controller, Outcome,
    brokers::{HeartbeatError, change_of},
    elections::BrokerEvent,
};
use crate::image::{BrokerRegistration, Partition, is_reserved_directory};
use ottla_protocol::{
    ErrorCode,
    ids::{NodeId, Uuid},
    messages::{
        AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest,
        BrokerRegistrationChangeRecord, MetadataRecord, PartitionChangeRecord, assign_replicas_to_dirs_response,
    },
};
use std::collections::BTreeMap;

/// Chooses the directories of new replicas, one after another.
pub(super) struct Directories<'a> {
    controller: &'a Controller,
    /// How many replicas each directory of this node has that may get more; empty until it is needed.
    used: BTreeMap<Uuid, usize>,
}

impl<'a> Directories<'a> {
    pub(super) fn new(controller: &'a Controller) -> Self {
        Self {
            controller,
            used: BTreeMap::new(),
        }
    }

    /// Where a new replica on `id` goes: to the only directory; of this node's own to the one with the fewest that is not
    /// cordoned. Another broker with several chooses for itself.
    pub(super) fn next(&mut self, id: NodeId) -> Uuid {
        let controller = self.controller;
        let Some(broker) = controller.image.brokers().broker(id) else {
            return Uuid::ZERO;
        };
        match broker.directories.as_slice() {
            [only] => *only,
            [_, ..] if id.0 == controller.settings.node_id && controller.image.features().has_directories() => {
                self.least_used(broker)
            }
            _ => Uuid::ZERO,
        }
    }

    fn least_used(&mut self, broker: &BrokerRegistration) -> Uuid {
        if self.used.is_empty() {
            self.used = broker.uncordoned_directories().map(|id| (id, 0)).collect();
            let topics = self.controller.image.topics().iter();
            let partitions = topics.flat_map(|topic| topic.partitions().map(|(_, partition)| partition));
            for directory in partitions.filter_map(|partition| partition.directory_of(broker.id)) {
                if let Some(count) = self.used.get_mut(&directory) {
                    *count += 1;
                }
            }
        }
        let chosen = self.used.iter_mut().min_by_key(|(_, count)| **count);
        chosen.map_or(Uuid::ZERO, |(id, count)| {
            *count += 1;
            *id
        })
    }
}

/// What is asked of one partition.
struct Assignment<'a> {
    broker: &'a BrokerRegistration,
    directory: Uuid,
    topic_id: Uuid,
    index: i32,
}

impl Controller {
    /// AssignReplicasToDirs: a broker says in which of its directories replicas lie. One that has no leader, since its
    /// directory was not there, gets one.
    ///
    /// # Errors
    /// The broker is not registered, or a later process of it is.
    pub fn handle_assign_replicas_to_dirs(
        &self,
        request: &AssignReplicasToDirsRequest,
    ) -> Result<Outcome<AssignReplicasToDirsResponse>, HeartbeatError> {
        use assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
        let broker = self.registered(NodeId(request.broker_id), request.broker_epoch)?;
        let mut records = Vec::new();
        let directories = request.directories.iter().map(|asked| {
            let topics = asked.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    let assigned = self.assign(&Assignment {
                        broker,
                        directory: asked.id,
                        topic_id: topic.topic_id,
                        index: partition.partition_index,
                    });
                    PartitionData {
                        partition_index: partition.partition_index,
                        error_code: assigned.map_or_else(
                            |error| error.code(),
                            |record| {
                                records.extend(record);
                                ErrorCode::None.code()
                            },
                        ),
                    }
                });
                TopicData {
                    topic_id: topic.topic_id,
                    partitions: partitions.collect(),
                }
            });
            DirectoryData {
                id: asked.id,
                topics: topics.collect(),
            }
        });
        let response = AssignReplicasToDirsResponse {
            directories: directories.collect(),
            ..Default::default()
        };
        Ok(Outcome { records, response })
    }

    fn assign(&self, asked: &Assignment<'_>) -> Result<Option<MetadataRecord>, ErrorCode> {
        if !self.image.features().has_directories() {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let topic = self.image.topics().by_id(asked.topic_id);
        let topic = topic.ok_or(ErrorCode::UnknownTopicId)?;
        let partition = topic.partition(asked.index);
        let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let position = partition.replicas.iter().position(|id| *id == asked.broker.id);
        let position = position.ok_or(ErrorCode::NotLeaderOrFollower)?;
        if partition.directory_of(asked.broker.id) == Some(asked.directory) {
            return Ok(None);
        }
        let mut after = Partition::clone(partition);
        after.directories.resize(after.replicas.len(), Uuid::ZERO);
        after.directories[position] = asked.directory;
        let is_online = asked.broker.has_directory(asked.directory);
        let event = match (is_online, partition.leader == asked.broker.id) {
            (true, _) if !partition.has_leader() => Some(BrokerEvent::Joins(asked.broker.id)),
            (false, true) => Some(BrokerEvent::Leaves(asked.broker.id)),
            _ => None,
        };
        let change = event.and_then(|event| self.change_after(topic, asked.index, &after, event));
        Ok(Some(
            PartitionChangeRecord {
                topic_id: asked.topic_id,
                partition_id: asked.index,
                directories: Some(after.directories),
                ..change.unwrap_or_default()
            }
            .into(),
        ))
    }

    /// What follows from directories that a heartbeat says have failed: they are the broker's no more, and what lies in
    /// them is led by somebody else, or by nobody. A directory that was said to have failed before is no news.
    pub(super) fn failed_directories(
        &self,
        broker: &BrokerRegistration,
        request: &BrokerHeartbeatRequest,
    ) -> Vec<MetadataRecord> {
        let all = broker.directories.iter().copied();
        let (failed, left): (Vec<Uuid>, Vec<Uuid>) = all.partition(|id| request.offline_log_dirs.contains(id));
        if failed.is_empty() {
            return Vec::new();
        }
        let is_there = |partition: &Partition| partition.directory_of(broker.id).is_some_and(|id| failed.contains(&id));
        let mut records: Vec<MetadataRecord> = vec![
            BrokerRegistrationChangeRecord {
                log_dirs: left,
                ..change_of(broker)
            }
            .into(),
        ];
        for topic in self.image.topics().iter() {
            for (index, partition) in topic.partitions() {
                let is_affected = partition.leader == broker.id || partition.isr.contains(&broker.id);
                if is_affected && is_there(partition) {
                    let change = self.change_after(topic, index, partition, BrokerEvent::Leaves(broker.id));
                    records.extend(change.map(MetadataRecord::from));
                }
            }
        }
        records
    }

    /// Whether the directory of a replica works; one that was never assigned counts as working.
    pub(super) fn has_its_directory(&self, partition: &Partition, id: NodeId) -> bool {
        let Some(broker) = self.image.brokers().broker(id) else {
            return false;
        };
        let directory = partition.directory_of(id).unwrap_or(Uuid::ZERO);
        match is_reserved_directory(directory) {
            true => directory != Uuid::LOST_DIRECTORY,
            // A broker that never named its directories has one.
            false => broker.directories.is_empty() || broker.has_directory(directory),
        }
    }
}

#[cfg(test)]
mod tests;
