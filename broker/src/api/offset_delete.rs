//! OffsetDelete, key 47, version 0 (KIP-496). Topics and partitions that do not exist are refused, each alone.

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{Reply, check_group_id};
use ottla_protocol::{
    ErrorCode,
    messages::{
        OffsetDeleteRequest, OffsetDeleteResponse,
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    },
};
use ottla_replication::image::MetadataImage;
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, _call: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    if let Err(error) = check_group_id(&request.group_id) {
        return failed(error);
    }
    let image = broker.image.load_full();
    let (group, mut known, mut refused) = (request.group_id.clone(), Vec::new(), Vec::new());
    for topic in request.topics {
        let (there, missing): (Vec<_>, Vec<_>) = topic
            .partitions
            .into_iter()
            .partition(|partition| exists(&image, &topic.name, partition));
        let name = topic.name;
        if !missing.is_empty() {
            let partitions = missing.iter().map(unknown_partition).collect();
            refused.push(OffsetDeleteResponseTopic {
                name: name.clone(),
                partitions,
            });
        }
        if !there.is_empty() {
            known.push(OffsetDeleteRequestTopic {
                name,
                partitions: there,
            });
        }
    }
    let request = OffsetDeleteRequest {
        topics: known,
        ..request
    };
    let decided = broker.coordinators.decide(broker, &group, move |groups, ticket, _| {
        groups.handle_offset_delete(ticket, &request)
    });
    let mut response = match decided.await {
        Ok(Reply::OffsetDelete(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    };
    if response.error_code == ErrorCode::None.code() {
        response.topics.append(&mut refused);
    }
    response
}

fn exists(image: &MetadataImage, topic: &str, partition: &OffsetDeleteRequestPartition) -> bool {
    image.topics().partition(topic, partition.partition_index).is_some()
}

fn unknown_partition(partition: &OffsetDeleteRequestPartition) -> OffsetDeleteResponsePartition {
    OffsetDeleteResponsePartition {
        partition_index: partition.partition_index,
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
    }
}

fn failed(error: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse {
        error_code: error.code(),
        ..Default::default()
    }
}
