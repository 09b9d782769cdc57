//! Produce, key 0, versions 3-13.
//!
//! v3: transactional id, v2 batches only. v5: log start offset. v7: zstd (KIP-110). v8: record errors (KIP-467).
//! v9: flexible. v10: current leader (KIP-951). v12: transactions of KIP-890. v13: topic ids (KIP-516).
//! 0-2 are advertised, since librdkafka looks for them before it compresses (KAFKA-18659); really sent, they close
//! the connection. Not done: transactional batches.
//!
//! acks=0 has no answer at all; where such a produce fails the connection is closed, so that the client hears of it.

use super::{
    refusal::{self, Refusal},
    table::{Begun, Call, Refused, answer},
};
use crate::{broker::Broker, fetching::TopicRef};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message,
    ids::{NodeId, Uuid},
    messages::{
        ProduceRequest, ProduceResponse,
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::{
            BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
        },
    },
    primitives::Reader,
};
use std::{collections::HashSet, sync::Arc};

/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// From this version on a batch may be compressed with zstd.
const ZSTD_FROM: i16 = 7;

const ACKS_NONE: i16 = 0;
const ACKS_LEADER: i16 = 1;
const ACKS_ALL: i16 = -1;

/// Begins a produce: all batches are appended before this returns, so that the appends of one connection keep its
/// order.
pub(super) fn begin(broker: &Arc<Broker>, call: Call, mut reader: Reader) -> Result<Begun, Refused> {
    let request = ProduceRequest::decode(&mut reader, call.version)?;
    drop(reader);
    let acks = request.acks;
    let response = handle(broker, &call, request);
    if acks != ACKS_NONE {
        return Ok(Begun::Answered(answer(&call, &response)?));
    }
    let codes = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .map(|each| each.error_code);
    match codes.filter_map(ErrorCode::from_code).find(|code| !code.is_none()) {
        Some(code) => Err(Refused::SilentProduce(code)),
        None => Ok(Begun::NoAnswer),
    }
}

fn handle(broker: &Arc<Broker>, call: &Call, request: ProduceRequest) -> ProduceResponse {
    let producing = Producing {
        broker,
        version: call.version,
        has_legal_acks: matches!(request.acks, ACKS_NONE | ACKS_LEADER | ACKS_ALL),
        seen: HashSet::new(),
    };
    producing.all(request.topic_data)
}

struct Producing<'a> {
    broker: &'a Arc<Broker>,
    version: i16,
    has_legal_acks: bool,
    /// Partitions named more than once; only looked at where a topic or partition could repeat.
    seen: HashSet<(TopicRef, i32)>,
}

impl Producing<'_> {
    fn all(mut self, topics: Vec<TopicProduceData>) -> ProduceResponse {
        let may_repeat = topics.len() > 1 || topics.iter().any(|topic| topic.partition_data.len() > 1);
        let mut response = ProduceResponse::default();
        for topic in topics {
            let topic_ref = match self.version >= TOPIC_IDS_FROM {
                true => TopicRef::Id(topic.topic_id),
                false => TopicRef::Name(topic.name.clone()),
            };
            let partitions = topic.partition_data.into_iter().map(|partition| {
                let is_repeated = may_repeat && !self.seen.insert((topic_ref.clone(), partition.index));
                self.one(&topic_ref, partition, is_repeated)
            });
            let partition_responses: Vec<PartitionProduceResponse> = partitions.collect();
            let topic_id = if let TopicRef::Id(id) = topic_ref {
                id
            } else {
                Uuid::ZERO
            };
            response.responses.push(TopicProduceResponse {
                name: topic.name,
                topic_id,
                partition_responses,
            });
        }
        response.node_endpoints = self.node_endpoints(&response);
        response
    }

    fn one(&self, topic: &TopicRef, data: PartitionProduceData, is_repeated: bool) -> PartitionProduceResponse {
        let index = data.index;
        let appended = match is_repeated {
            // The same partition twice in one request: appending the second would be a guess about its order.
            true => Err(Refusal::of(ErrorCode::InvalidRequest)),
            false => self.append(topic, index, data.records.unwrap_or_default()),
        };
        let mut answer = appended.unwrap_or_else(refused);
        answer.index = index;
        answer
    }

    fn append(&self, topic: &TopicRef, index: i32, records: Bytes) -> Result<PartitionProduceResponse, Refusal> {
        if !self.has_legal_acks {
            return Err(Refusal::of(ErrorCode::InvalidRequiredAcks));
        }
        let image = self.broker.image.load();
        let partition = self
            .broker
            .partitions
            .find(&image, topic, index)
            .ok_or_else(|| match topic {
                TopicRef::Id(_) => Refusal::of(ErrorCode::UnknownTopicId),
                TopicRef::Name(_) => Refusal::of(ErrorCode::UnknownTopicOrPartition),
            })?;
        let appended = partition
            .produce(records, self.version >= ZSTD_FROM)
            .map_err(refusal::of_produce)?;
        Ok(PartitionProduceResponse {
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time.unwrap_or(-1),
            log_start_offset: partition.log.log_start_offset(),
            ..Default::default()
        })
    }

    /// Where the leaders named in the answer are to be found (KIP-951).
    fn node_endpoints(&self, response: &ProduceResponse) -> Vec<NodeEndpoint> {
        let answers = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let leaders: HashSet<i32> = answers
            .map(|answer| answer.current_leader.leader_id)
            .filter(|leader| *leader >= 0)
            .collect();
        let endpoints = leaders
            .into_iter()
            .filter_map(|leader| self.broker.endpoint_of(NodeId(leader)));
        endpoints
            .map(|endpoint| NodeEndpoint {
                node_id: endpoint.node_id.0,
                host: endpoint.host,
                port: endpoint.port,
                rack: endpoint.rack,
            })
            .collect()
    }
}

fn refused(refusal: Refusal) -> PartitionProduceResponse {
    PartitionProduceResponse {
        error_code: refusal.code.code(),
        base_offset: -1,
        error_message: refusal.message.map(Into::into),
        record_errors: refusal
            .record_errors
            .into_iter()
            .map(|(index, message)| BatchIndexAndErrorMessage {
                batch_index: index,
                batch_index_error_message: Some(message.into()),
            })
            .collect(),
        current_leader: LeaderIdAndEpoch::default(),
        ..Default::default()
    }
}
