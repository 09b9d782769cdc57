//! Metadata, key 3, versions 0-13.
//!
//! v1: no topics means none, null means all. v4: auto-creation may be forbidden. v5: offline replicas. v7: leader
//! epochs. v8: authorised operations. v9: flexible. v10: topic ids (KIP-516). v11: no cluster operations. v12: topics
//! by id alone. v13: an error for the whole answer (KIP-1102).

use super::{once::once, operations, table::Call};
use crate::broker::{Broker, ClientEndpoint};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        MetadataRequest, MetadataResponse,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
};
use ottla_replication::image::{MetadataImage, Partition, TopicImage, is_internal};
use std::sync::Arc;

/// From this version on a topic may be named by its id alone.
const TOPIC_IDS_FROM: i16 = 12;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, mut request: MetadataRequest) -> MetadataResponse {
    if let Some(topics) = request.topics.take() {
        if call.version < TOPIC_IDS_FROM && topics.iter().any(names_by_id) {
            return refused(topics, ErrorCode::InvalidRequest);
        }
        let topics = topics.into_iter().map(named_once).collect();
        request.topics = Some(once(topics, |topic: &MetadataRequestTopic| {
            (topic.name.clone(), topic.topic_id)
        }));
    }
    let created = create_missing(broker, &request).await;
    let image = broker.image.load();
    let show = Show {
        with_operations: request.include_topic_authorized_operations,
    };
    let asks_for_all = request
        .topics
        .as_ref()
        .is_none_or(|topics| call.version == 0 && topics.is_empty());
    let topics = match request.topics {
        Some(topics) if !asks_for_all => topics.iter().map(|asked| show.asked(&image, asked, &created)).collect(),
        _ => image.topics().iter().map(|topic| show.topic(topic)).collect(),
    };
    let with_operations = request.include_cluster_authorized_operations;
    MetadataResponse {
        brokers: broker
            .client_endpoints(&call.peer.listener)
            .into_iter()
            .map(node)
            .collect(),
        cluster_id: Some(broker.cluster_id.clone()),
        controller_id: broker.node_id.0,
        topics,
        cluster_authorized_operations: if with_operations {
            operations::CLUSTER
        } else {
            operations::NOT_ASKED
        },
        ..Default::default()
    }
}

fn names_by_id(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_none() || !topic.topic_id.is_zero()
}

/// An id counts more than a name: Java clients send the empty name beside it.
fn named_once(topic: MetadataRequestTopic) -> MetadataRequestTopic {
    MetadataRequestTopic {
        name: topic.name.filter(|_| topic.topic_id.is_zero()),
        ..topic
    }
}

fn refused(topics: Vec<MetadataRequestTopic>, error: ErrorCode) -> MetadataResponse {
    let topic = |topic: MetadataRequestTopic| MetadataResponseTopic {
        error_code: error.code(),
        name: topic.name.or(Some(Str::EMPTY)),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    MetadataResponse {
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

fn node(endpoint: ClientEndpoint) -> MetadataResponseBroker {
    MetadataResponseBroker {
        node_id: endpoint.node_id.0,
        host: endpoint.host,
        port: endpoint.port,
        rack: endpoint.rack,
    }
}

/// Creates the topics that are asked for by name and do not exist, where that is allowed. Returns what became of those
/// that could not be created.
async fn create_missing(broker: &Arc<Broker>, request: &MetadataRequest) -> Vec<(Str, ErrorCode)> {
    if !request.allow_auto_topic_creation || !broker.config.creates_topics() {
        return Vec::new();
    }
    let image = broker.image.load_full();
    let asked = request.topics.iter().flatten().filter_map(|topic| topic.name.clone());
    let missing: Vec<Str> = asked.filter(|name| image.topics().by_name(name).is_none()).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    broker.create_topics_on_first_use(missing).await
}

struct Show {
    with_operations: bool,
}

impl Show {
    fn asked(
        &self,
        image: &MetadataImage,
        asked: &MetadataRequestTopic,
        refused: &[(Str, ErrorCode)],
    ) -> MetadataResponseTopic {
        let found = match &asked.name {
            Some(name) => image.topics().by_name(name),
            None => image.topics().by_id(asked.topic_id),
        };
        if let Some(topic) = found {
            return self.topic(topic);
        }
        let error = match &asked.name {
            None => ErrorCode::UnknownTopicId,
            Some(name) if ottla_replication::controller::check_topic_name(name).is_err() => {
                ErrorCode::InvalidTopicException
            }
            Some(name) => {
                let refusal = refused.iter().find(|(refused, _)| refused == name);
                refusal.map_or(ErrorCode::UnknownTopicOrPartition, |(_, error)| *error)
            }
        };
        MetadataResponseTopic {
            error_code: error.code(),
            is_internal: asked.name.as_ref().is_some_and(|name| is_internal(name)),
            name: asked.name.clone(),
            topic_id: if asked.name.is_some() {
                Uuid::ZERO
            } else {
                asked.topic_id
            },
            ..Default::default()
        }
    }

    fn topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        MetadataResponseTopic {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions: topic
                .partitions()
                .map(|(index, partition)| show_partition(index, partition))
                .collect(),
            topic_authorized_operations: if self.with_operations {
                operations::TOPIC
            } else {
                operations::NOT_ASKED
            },
            ..Default::default()
        }
    }
}

fn show_partition(index: i32, partition: &Partition) -> MetadataResponsePartition {
    let error = if partition.has_leader() {
        ErrorCode::None
    } else {
        ErrorCode::LeaderNotAvailable
    };
    MetadataResponsePartition {
        error_code: error.code(),
        partition_index: index,
        leader_id: partition.leader.0,
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: partition.replicas.iter().map(|id| id.0).collect(),
        isr_nodes: partition.isr.iter().map(|id| id.0).collect(),
        offline_replicas: Vec::new(),
    }
}
