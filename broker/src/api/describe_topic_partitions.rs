//! DescribeTopicPartitions, key 75, version 0 (KIP-966): topics with eligible leader replicas, page by page.

use super::{operations, table::Call};
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
    },
};
use ottla_replication::image::{MetadataImage, Partition, TopicImage};
use std::{collections::BTreeSet, ops::Bound, sync::Arc};

pub(super) fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = broker.image.load();
    let (from, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.clone(), cursor.partition_index.max(0)),
        None => (Str::EMPTY, 0),
    };
    let mut page = Page {
        room: request
            .response_partition_limit
            .clamp(1, broker.config.described_partitions_max) as usize,
        response: DescribeTopicPartitionsResponse::default(),
    };
    let asked: BTreeSet<Str> = request.topics.into_iter().map(|topic| topic.name).collect();
    let asks_for_all = asked.is_empty();
    let named: Vec<Str> = match asks_for_all {
        true => image
            .topics()
            .iter_from(&from)
            .map(|topic| topic.name.clone())
            .collect(),
        false => asked
            .range((Bound::Included(from.clone()), Bound::Unbounded))
            .cloned()
            .collect(),
    };
    for name in named {
        let first = if name == from { first_partition } else { 0 };
        if !page.add(&image, name, first) {
            break;
        }
    }
    page.response
}

struct Page {
    room: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page {
    /// Adds what fits of a topic; says whether the next one may follow.
    fn add(&mut self, image: &MetadataImage, name: Str, first: i32) -> bool {
        let Some(topic) = image.topics().by_name(&name) else {
            let legal = ottla_replication::controller::check_topic_name(&name).is_ok();
            let error = if legal {
                ErrorCode::UnknownTopicOrPartition
            } else {
                ErrorCode::InvalidTopicException
            };
            self.response.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: error.code(),
                name: Some(name),
                ..Default::default()
            });
            return true;
        };
        if self.room == 0 {
            self.go_on_at(name, first);
            return false;
        }
        let rest: Vec<_> = topic.partitions().filter(|(index, _)| *index >= first).collect();
        let shown = rest.len().min(self.room);
        let partitions = rest[..shown]
            .iter()
            .map(|(index, partition)| show_partition(*index, partition));
        self.response.topics.push(show_topic(topic, partitions.collect()));
        self.room -= shown;
        match rest.get(shown) {
            Some((next, _)) => {
                self.go_on_at(name, *next);
                false
            }
            None => true,
        }
    }

    fn go_on_at(&mut self, topic_name: Str, partition_index: i32) {
        self.response.next_cursor = Some(Box::new(Cursor {
            topic_name,
            partition_index,
        }));
    }
}

fn show_topic(
    topic: &TopicImage,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions,
        topic_authorized_operations: operations::TOPIC,
        ..Default::default()
    }
}

fn show_partition(index: i32, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let ids = |nodes: &[ottla_protocol::ids::NodeId]| nodes.iter().map(|id| id.0).collect::<Vec<i32>>();
    let error = if partition.has_leader() {
        ErrorCode::None
    } else {
        ErrorCode::LeaderNotAvailable
    };
    DescribeTopicPartitionsResponsePartition {
        error_code: error.code(),
        partition_index: index,
        leader_id: partition.leader.0,
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.eligible_leader_replicas)),
        last_known_elr: Some(ids(&partition.last_known_elr)),
        offline_replicas: Vec::new(),
    }
}
