//! DescribeProducers, key 61, version 0 (KIP-664).

use super::{once::once, table::Call};
use crate::{broker::Broker, fetching::TopicRef};
use ottla_protocol::{
    ErrorCode,
    messages::{
        DescribeProducersRequest, DescribeProducersResponse,
        describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
    },
};
use std::sync::Arc;

pub(super) fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = once(request.topics, |topic| topic.name.clone());
    let topics = topics.into_iter().map(|topic| {
        let topic_ref = TopicRef::Name(topic.name.clone());
        let indexes = once(topic.partition_indexes, |index| *index);
        let partitions = indexes.into_iter().map(|index| describe(broker, &topic_ref, index));
        TopicResponse {
            partitions: partitions.collect(),
            name: topic.name,
        }
    });
    DescribeProducersResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

fn describe(broker: &Broker, topic: &TopicRef, index: i32) -> PartitionResponse {
    let image = broker.image.load();
    let Some(partition) = broker.partitions.find(&image, topic, index) else {
        let otherwise = ErrorCode::UnknownTopicOrPartition;
        let error_code = broker.partitions.absence(&image, topic, index, otherwise).code();
        return PartitionResponse {
            partition_index: index,
            error_code,
            ..Default::default()
        };
    };
    let producers = partition.log().producers().into_iter().map(|producer| ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: producer.producer_epoch.0.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_txn_start_offset.unwrap_or(-1),
    });
    PartitionResponse {
        partition_index: index,
        active_producers: producers.collect(),
        ..Default::default()
    }
}
