//! OffsetFetch, key 9, versions 1-10.
//!
//! v2: all topics, error of the group. v5: leader epoch (KIP-320). v6: flexible. v7: require_stable (KIP-447).
//! v8: several groups (KIP-709). v9: member epoch (KIP-848). v10: topic ids.
//! In version 1 an error stands with every partition: an answer without one would read as "nothing committed".

use super::{once::once, table::Call};
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{
        OffsetFetchRequest, OffsetFetchResponse,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
};
use ottla_replication::image::MetadataImage;
use std::sync::Arc;

/// From this version on the answer has an error for the whole group.
const GROUP_ERROR_FROM: i16 = 2;
/// From this version on the request has several groups.
const BATCHED_FROM: i16 = 8;
/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version >= BATCHED_FROM {
        let mut groups = Vec::new();
        for group in once(request.groups, |group| group.group_id.clone()) {
            groups.push(fetch(broker, call.version, group, request.require_stable).await);
        }
        return OffsetFetchResponse {
            groups,
            ..Default::default()
        };
    }
    let topic = |topic: OffsetFetchRequestTopic| OffsetFetchRequestTopics {
        name: topic.name,
        partition_indexes: topic.partition_indexes,
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: request.topics.map(|topics| topics.into_iter().map(topic).collect()),
        ..Default::default()
    };
    alone(fetch(broker, call.version, group, request.require_stable).await)
}

/// The answer of the versions that know one group only.
fn alone(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponse {
        topics: group.topics.into_iter().map(topic).collect(),
        error_code: group.error_code,
        ..Default::default()
    }
}

async fn fetch(
    broker: &Broker,
    version: i16,
    mut request: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let image = broker.image.load_full();
    let uses_ids = version >= TOPIC_IDS_FROM;
    let mut unknown = Vec::new();
    if let (true, Some(topics)) = (uses_ids, &mut request.topics) {
        for topic in std::mem::take(topics) {
            match image.topics().by_id(topic.topic_id) {
                Some(found) => topics.push(OffsetFetchRequestTopics {
                    name: found.name.clone(),
                    ..topic
                }),
                None => unknown.push(refused_topic(&topic, ErrorCode::UnknownTopicId)),
            }
        }
    }
    let group_id = request.group_id.clone();
    let asked = request.clone();
    let looked = broker.coordinators.look(broker, &group_id, move |groups| {
        groups.fetch_offsets(&asked, require_stable)
    });
    let mut response = match looked.await {
        Ok(response) => response,
        Err(error) => return refused(&request, version, error),
    };
    if uses_ids {
        add_ids(&image, &mut response);
    }
    response.topics.append(&mut unknown);
    response
}

/// Names topics by id where the coordinator knew their names only; those that are gone are left out.
fn add_ids(image: &MetadataImage, response: &mut OffsetFetchResponseGroup) {
    response.topics.retain_mut(|topic| {
        if topic.topic_id.is_zero()
            && let Some(found) = image.topics().by_name(&topic.name)
        {
            topic.topic_id = found.id;
        }
        !topic.topic_id.is_zero()
    });
}

fn refused(request: &OffsetFetchRequestGroup, version: i16, error: ErrorCode) -> OffsetFetchResponseGroup {
    let mut response = OffsetFetchResponseGroup {
        group_id: request.group_id.clone(),
        ..Default::default()
    };
    if version >= GROUP_ERROR_FROM {
        response.error_code = error.code();
    } else {
        let topics = request.topics.iter().flatten();
        response.topics = topics.map(|topic| refused_topic(topic, error)).collect();
    }
    response
}

fn refused_topic(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partition = |partition_index: &i32| OffsetFetchResponsePartitions {
        partition_index: *partition_index,
        committed_offset: -1,
        metadata: Some("".into()),
        error_code: error.code(),
        ..Default::default()
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(partition).collect(),
    }
}
