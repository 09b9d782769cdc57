//! OffsetForLeaderEpoch, key 23, versions 2-4.
//!
//! v2: current leader epoch (KIP-320). v3: replica id. v4: flexible.

use super::table::Call;
use crate::{broker::Broker, fetching::TopicRef};
use ottla_protocol::{
    ErrorCode,
    ids::LeaderEpoch,
    messages::{
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        offset_for_leader_epoch_request::OffsetForLeaderPartition,
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
};
use std::sync::Arc;

pub(super) fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let topic_ref = TopicRef::Name(topic.topic.clone());
        let partitions = topic.partitions.iter().map(|asked| {
            let mut answer = find(broker, &topic_ref, asked).unwrap_or_else(|error| EpochEndOffset {
                error_code: error.code(),
                ..Default::default()
            });
            answer.partition = asked.partition;
            answer
        });
        OffsetForLeaderTopicResult {
            partitions: partitions.collect(),
            topic: topic.topic,
        }
    });
    OffsetForLeaderEpochResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

fn find(broker: &Broker, topic: &TopicRef, asked: &OffsetForLeaderPartition) -> Result<EpochEndOffset, ErrorCode> {
    let (image, index) = (broker.image.load(), asked.partition);
    let partition = broker.partitions.find(&image, topic, index).ok_or_else(|| {
        let otherwise = ErrorCode::UnknownTopicOrPartition;
        broker.partitions.absence(&image, topic, index, otherwise)
    })?;
    partition.check_leader_epoch(asked.current_leader_epoch)?;
    let end = partition.log().end_offset_for_epoch(LeaderEpoch(asked.leader_epoch));
    Ok(match end {
        Some(end) => EpochEndOffset {
            leader_epoch: end.epoch.0,
            end_offset: end.end_offset,
            ..Default::default()
        },
        None => EpochEndOffset::default(),
    })
}
