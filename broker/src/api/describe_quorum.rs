//! DescribeQuorum, key 55, versions 0-2. v1: fetch times (KIP-836). v2: directory ids and listeners (KIP-853).

use super::table::Call;
use crate::{broker::Broker, clock::now_ms, log_store::METADATA_TOPIC};
use ottla_protocol::{
    ErrorCode,
    messages::{
        DescribeQuorumRequest, DescribeQuorumResponse,
        describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData},
    },
};
use std::sync::Arc;

pub(super) fn handle(broker: &Arc<Broker>, call: &Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let is_metadata = topic.topic_name == METADATA_TOPIC;
        let partitions = topic.partitions.iter().map(|asked| match asked.partition_index {
            0 if is_metadata => describe(broker, call.version),
            partition_index => PartitionData {
                partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition.code(),
                error_message: None,
                ..Default::default()
            },
        });
        TopicData {
            partitions: partitions.collect(),
            topic_name: topic.topic_name,
        }
    });
    let (name, host, port) = broker.metadata_log.facts().endpoint.clone();
    let node = Node {
        node_id: broker.node_id.0,
        listeners: vec![Listener { name, host, port }],
    };
    DescribeQuorumResponse {
        error_message: None,
        topics: topics.collect(),
        nodes: if call.version >= 2 { vec![node] } else { Vec::new() },
        ..Default::default()
    }
}

/// This node is the only voter and leads; broker and controller are one, so nobody observes.
fn describe(broker: &Broker, version: i16) -> PartitionData {
    let metadata = &broker.metadata_log;
    let now_ms = now_ms();
    let voter = ReplicaState {
        replica_id: broker.node_id.0,
        replica_directory_id: if version >= 2 {
            metadata.facts().directory_id
        } else {
            Default::default()
        },
        log_end_offset: metadata.log().log_end_offset(),
        last_fetch_timestamp: now_ms,
        last_caught_up_timestamp: now_ms,
    };
    PartitionData {
        error_message: None,
        leader_id: broker.node_id.0,
        leader_epoch: metadata.epoch().0,
        high_watermark: metadata.log().high_watermark(),
        current_voters: vec![voter],
        ..Default::default()
    }
}
