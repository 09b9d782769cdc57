//! OffsetFetch.

use super::{CommittedOffset, GroupOffsets};
use crate::groups::Groups;
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        offset_fetch_response::{OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics},
    },
};

impl Groups {
    /// What a group has committed, for the topics asked for or, if none are named, for all. The topics of the request
    /// carry names, and ids where the caller knows them; those of an answer about all topics carry names only.
    ///
    /// No commit, an unknown group and a commit for an earlier topic of the same name all read as offset -1. Whoever
    /// says that it is a member of a consumer group must be one, in its epoch; else the answer is only an error.
    /// `require_stable`: a partition for which a transaction has offsets pending gets UNSTABLE_OFFSET_COMMIT (KIP-447).
    pub fn fetch_offsets(&self, request: &OffsetFetchRequestGroup, require_stable: bool) -> OffsetFetchResponseGroup {
        if let Some(group) = self.consumer.get(&request.group_id)
            && let Err(error) = group.check_fetch(request.member_id.as_ref(), request.member_epoch)
        {
            return OffsetFetchResponseGroup {
                group_id: request.group_id.clone(),
                error_code: error as i16,
                ..Default::default()
            };
        }
        let offsets = self.offsets.of_group(&request.group_id);
        let mut topics = match &request.topics {
            Some(topics) => topics.iter().map(|topic| fetch_topic(offsets, topic)).collect(),
            None => offsets.map(all_topics).unwrap_or_default(),
        };
        if require_stable && self.pending.is_open(&request.group_id) {
            self.mark_unstable(&request.group_id, &mut topics);
        }
        OffsetFetchResponseGroup {
            group_id: request.group_id.clone(),
            topics,
            ..Default::default()
        }
    }

    fn mark_unstable(&self, group: &Str, topics: &mut [OffsetFetchResponseTopics]) {
        for topic in topics {
            for partition in &mut topic.partitions {
                if self.pending.has(group, &topic.name, partition.partition_index) {
                    *partition = OffsetFetchResponsePartitions {
                        error_code: ErrorCode::UnstableOffsetCommit as i16,
                        ..fetched(partition.partition_index, None)
                    };
                }
            }
        }
    }
}

fn fetch_topic(offsets: Option<&GroupOffsets>, topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = offsets.and_then(|topics| topics.get(&topic.name));
    let fetch = |index: &i32| {
        let committed = partitions.and_then(|partitions| partitions.get(index));
        let committed = committed.filter(|committed| may_be_same_topic(committed.topic_id, topic.topic_id));
        fetched(*index, committed)
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(fetch).collect(),
    }
}

fn may_be_same_topic(committed: Uuid, asked: Uuid) -> bool {
    committed.is_zero() || asked.is_zero() || committed == asked
}

fn all_topics(offsets: &GroupOffsets) -> Vec<OffsetFetchResponseTopics> {
    let topic = |(name, partitions): (&Str, &std::collections::BTreeMap<i32, CommittedOffset>)| {
        let partitions = partitions
            .iter()
            .map(|(index, committed)| fetched(*index, Some(committed)));
        OffsetFetchResponseTopics {
            name: name.clone(),
            topic_id: Uuid::ZERO,
            partitions: partitions.collect(),
        }
    };
    offsets.iter().map(topic).collect()
}

fn fetched(partition_index: i32, committed: Option<&CommittedOffset>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: committed.map_or(-1, |committed| committed.offset),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(
            committed
                .map(|committed| committed.metadata.clone())
                .unwrap_or_default(),
        ),
        ..Default::default()
    }
}
