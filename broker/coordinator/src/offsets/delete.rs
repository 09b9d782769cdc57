//! OffsetDelete, and the end of a topic.

use crate::{
    admission::check_group_id,
    any_group::AnyGroup,
    classic::GroupState,
    groups::Groups,
    outcome::{Actions, CoordinatorRecord, Reply, Ticket},
    record,
};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        OffsetDeleteRequest, OffsetDeleteResponse,
        offset_delete_request::OffsetDeleteRequestTopic,
        offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    },
};
use std::collections::BTreeSet;

impl Groups {
    /// Decides an OffsetDelete: offsets of topics that the group subscribes to stay.
    pub fn handle_offset_delete(&mut self, ticket: Ticket, request: &OffsetDeleteRequest) -> Actions {
        let mut records = Vec::new();
        let response = match self.group_to_delete_from(&request.group_id) {
            Ok(group) => OffsetDeleteResponse {
                topics: request
                    .topics
                    .iter()
                    .map(|topic| self.delete_topic_offsets(group, topic, &mut records))
                    .collect(),
                ..Default::default()
            },
            Err(error) => OffsetDeleteResponse {
                error_code: error as i16,
                ..Default::default()
            },
        };
        self.decided(Actions {
            records,
            replies: vec![(ticket, Reply::OffsetDelete(response))],
        })
    }

    fn group_to_delete_from(&self, group_id: &Str) -> Result<AnyGroup<'_>, ErrorCode> {
        check_group_id(group_id)?;
        let group = self.group(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        match group {
            // What its members use is not known here.
            AnyGroup::Classic(classic) if classic.state != GroupState::Empty && !classic.is_consumer_group() => {
                Err(ErrorCode::NonEmptyGroup)
            }
            _ => Ok(group),
        }
    }

    fn delete_topic_offsets(
        &self,
        group: AnyGroup<'_>,
        topic: &OffsetDeleteRequestTopic,
        records: &mut Vec<CoordinatorRecord>,
    ) -> OffsetDeleteResponseTopic {
        let is_in_use = group.is_subscribed_to(&topic.name);
        let mut answered = OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            ..Default::default()
        };
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let error = if is_in_use {
                ErrorCode::GroupSubscribedToTopic
            } else {
                ErrorCode::None
            };
            let is_there = self.offsets.find(group.id(), &topic.name, index).is_some()
                || self.pending.has(group.id(), &topic.name, index);
            if !is_in_use && is_there {
                records.push(record::offset_tombstone(group.id(), &topic.name, index));
            }
            answered.partitions.push(OffsetDeleteResponsePartition {
                partition_index: index,
                error_code: error as i16,
            });
        }
        answered
    }

    /// Topics are gone: so are all offsets of them, but not those of a later topic of the same name.
    pub fn on_topics_deleted(&mut self, topics: &[(Str, Uuid)]) -> Actions {
        let mut records = Vec::new();
        for group in self.groups().map(AnyGroup::id) {
            let mut gone = BTreeSet::new();
            for (name, id) in topics {
                let offsets = self.offsets.of_group(group).and_then(|offsets| offsets.get(name));
                for (partition, committed) in offsets.into_iter().flatten() {
                    if committed.topic_id.is_zero() || committed.topic_id == *id {
                        gone.insert((name, *partition));
                    }
                }
                let pending = self.pending.of_topic(group, name, *id);
                gone.extend(pending.map(|partition| (name, partition)));
            }
            let tombstones = gone
                .into_iter()
                .map(|(name, partition)| record::offset_tombstone(group, name, partition));
            records.extend(tombstones);
        }
        self.decided(Actions {
            records,
            replies: Vec::new(),
        })
    }
}
