//! Produce, key 0, versions 3-13.
//!
//! v3: transactional id, v2 batches only. v5: log start offset. v7: zstd (KIP-110). v8: record errors (KIP-467).
//! v9: flexible. v10: current leader (KIP-951). v12: transactions of KIP-890. v13: topic ids (KIP-516).
//! 0-2 are advertised, since librdkafka looks for them before it compresses (KAFKA-18659); really sent, they close
//! the connection. Not done: transactional batches.
//!
//! Where `flush.messages` says so the answer waits until the batch is on disk.
//!
//! acks=0 has no answer at all; where such a produce fails the connection is closed, so that the client hears of it.

use super::{
    refusal::{self, Refusal},
    table::{Begun, Call, Refused, answer},
};
use crate::{
    broker::Broker,
    fetching::TopicRef,
    net::reply::Reply,
    partitions::{FlushWait, Placed},
};
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
    let (response, flushes) = handle(broker, &call, request);
    if acks != ACKS_NONE {
        return match flushes.is_empty() {
            true => Ok(Begun::Answered(answer(&call, &response)?)),
            false => Ok(Begun::Waiting(Box::pin(answer_when_flushed(call, response, flushes)))),
        };
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

/// An append that must be on disk before it is answered, and the place of its answer: topic and partition by number.
struct PendingFlush {
    topic: usize,
    partition: usize,
    wait: FlushWait,
}

/// The rounds are under way already: waiting for one after the other takes as long as the slowest.
async fn answer_when_flushed(
    call: Call,
    mut response: ProduceResponse,
    flushes: Vec<PendingFlush>,
) -> Result<Option<Reply>, Refused> {
    for PendingFlush { topic, partition, wait } in flushes {
        if wait.done().await.is_err() {
            let answer = &mut response.responses[topic].partition_responses[partition];
            *answer = PartitionProduceResponse {
                index: answer.index,
                ..refused(Refusal::of(ErrorCode::KafkaStorageError))
            };
        }
    }
    Ok(Some(answer(&call, &response)?))
}

fn handle(broker: &Arc<Broker>, call: &Call, request: ProduceRequest) -> (ProduceResponse, Vec<PendingFlush>) {
    let producing = Producing {
        broker,
        version: call.version,
        has_legal_acks: matches!(request.acks, ACKS_NONE | ACKS_LEADER | ACKS_ALL),
        seen: HashSet::new(),
        flushes: Vec::new(),
    };
    producing.all(request.topic_data)
}

struct Producing<'a> {
    broker: &'a Arc<Broker>,
    version: i16,
    has_legal_acks: bool,
    /// Partitions named more than once; only looked at where a topic or partition could repeat.
    seen: HashSet<(TopicRef, i32)>,
    flushes: Vec<PendingFlush>,
}

impl Producing<'_> {
    fn all(mut self, topics: Vec<TopicProduceData>) -> (ProduceResponse, Vec<PendingFlush>) {
        let may_repeat = topics.len() > 1 || topics.iter().any(|topic| topic.partition_data.len() > 1);
        let mut response = ProduceResponse::default();
        for topic in topics {
            let topic_ref = match self.version >= TOPIC_IDS_FROM {
                true => TopicRef::Id(topic.topic_id),
                false => TopicRef::Name(topic.name.clone()),
            };
            let number = response.responses.len();
            let partitions = topic
                .partition_data
                .into_iter()
                .enumerate()
                .map(|(position, partition)| {
                    let is_repeated = may_repeat && !self.seen.insert((topic_ref.clone(), partition.index));
                    let (answer, flush) = self.one(&topic_ref, partition, is_repeated);
                    self.flushes.extend(flush.map(|wait| PendingFlush {
                        topic: number,
                        partition: position,
                        wait,
                    }));
                    answer
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
        (response, self.flushes)
    }

    fn one(
        &self,
        topic: &TopicRef,
        data: PartitionProduceData,
        is_repeated: bool,
    ) -> (PartitionProduceResponse, Option<FlushWait>) {
        let index = data.index;
        let appended = match is_repeated {
            // The same partition twice in one request: appending the second would be a guess about its order.
            true => Err(Refusal::of(ErrorCode::InvalidRequest)),
            false => self.append(topic, index, data.records.unwrap_or_default()),
        };
        let (mut answer, flush) = appended.unwrap_or_else(|refusal| (refused(refusal), None));
        answer.index = index;
        (answer, flush)
    }

    fn append(
        &self,
        topic: &TopicRef,
        index: i32,
        records: Bytes,
    ) -> Result<(PartitionProduceResponse, Option<FlushWait>), Refusal> {
        if !self.has_legal_acks {
            return Err(Refusal::of(ErrorCode::InvalidRequiredAcks));
        }
        let image = self.broker.image.load();
        let partition = self.broker.partitions.find(&image, topic, index).ok_or_else(|| {
            let otherwise = match topic {
                TopicRef::Id(_) => ErrorCode::UnknownTopicId,
                TopicRef::Name(_) => ErrorCode::UnknownTopicOrPartition,
            };
            Refusal::of(self.broker.partitions.absence(&image, topic, index, otherwise))
        })?;
        let Placed { appended, flush } = partition
            .produce(records, self.version >= ZSTD_FROM)
            .map_err(refusal::of_produce)?;
        let answer = PartitionProduceResponse {
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time.unwrap_or(-1),
            log_start_offset: partition.log().log_start_offset(),
            ..Default::default()
        };
        Ok((answer, flush))
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
