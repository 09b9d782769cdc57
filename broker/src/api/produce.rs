//! Produce, key 0, versions 3-13.
//!
//! v3: transactional id, v2 batches only. v5: log start offset. v7: zstd (KIP-110). v8: record errors (KIP-467).
//! v9: flexible. v10: current leader (KIP-951). v12: transactions of KIP-890. v13: topic ids (KIP-516).
//! 0-2 are advertised, since librdkafka looks for them before it compresses (KAFKA-18659); really sent, they close
//! the connection.
//!
//! The first batch of a transaction in a partition is appended when the transaction's coordinator knows of the partition
//! (KIP-890): before v12 the client has told it, from v12 on this does. Until then nothing behind on the connection is
//! begun, so that no batch overtakes another.
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
    partitions::{FlushWait, Partition, Placed, Produced, RequestTerms, Unverified},
    transactions::{self, Claim, Joining},
};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message, Str,
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
/// From this version on the first batch adds its partition to the transaction.
const ADDING_FROM: i16 = 12;
/// From this version on clients know TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 11;

const ACKS_NONE: i16 = 0;
const ACKS_LEADER: i16 = 1;
const ACKS_ALL: i16 = -1;

/// Begins a produce: all batches are appended before this returns, so that the appends of one connection keep its
/// order; or it is deferred until those that have to wait are.
pub(super) fn begin(broker: &Arc<Broker>, call: Call, mut reader: Reader) -> Result<Begun, Refused> {
    let request = ProduceRequest::decode(&mut reader, call.version)?;
    drop(reader);
    let acks = request.acks;
    let Outcome {
        response,
        flushes,
        unverified,
    } = handle(broker, &call, request);
    match unverified {
        None => end(call, acks, response, flushes),
        Some(unverified) => {
            let broker = broker.clone();
            let verified = async move {
                let (response, flushes) = append_verified(&broker, call.version, response, flushes, *unverified).await;
                end(call, acks, response, flushes)
            };
            Ok(Begun::Deferred(Box::pin(verified)))
        }
    }
}

/// All that can be appended is: what is left is to answer.
fn end(call: Call, acks: i16, response: ProduceResponse, flushes: Vec<PendingFlush>) -> Result<Begun, Refused> {
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

/// Asks the transaction's coordinator for all partitions together, then appends.
async fn append_verified(
    broker: &Arc<Broker>,
    version: i16,
    mut response: ProduceResponse,
    mut flushes: Vec<PendingFlush>,
    unverified: UnverifiedBatches,
) -> (ProduceResponse, Vec<PendingFlush>) {
    let UnverifiedBatches {
        claim,
        joining,
        batches,
    } = unverified;
    let partitions: Vec<(Str, i32)> = batches.iter().map(|(_, batch)| batch.topic_and_index()).collect();
    let verdicts = transactions::join(broker, &claim, &partitions, joining).await;
    for ((place, batch), verdict) in batches.into_iter().zip(verdicts) {
        let partition = batch.partition().clone();
        let appended = match verdict {
            ErrorCode::None => batch.append().map_err(refusal::of_produce),
            error => Err(refusal::of_verification(error, version >= ABORTABLE_FROM, joining)),
        };
        let (told, flush) = match appended {
            Ok(placed) => placed_answer(&partition, placed),
            Err(refusal) => (refused(refusal), None),
        };
        let answer = &mut response.responses[place.topic].partition_responses[place.partition];
        *answer = PartitionProduceResponse {
            index: answer.index,
            ..told
        };
        flushes.extend(flush.map(|wait| PendingFlush { place, wait }));
    }
    (response, flushes)
}

/// Batches of one transaction whose coordinator has to be asked, and the place of each in the answer.
struct UnverifiedBatches {
    claim: Claim,
    joining: Joining,
    batches: Vec<(Place, Unverified)>,
}

/// The place of a partition in the answer: topic and partition by number.
#[derive(Clone, Copy)]
struct Place {
    topic: usize,
    partition: usize,
}

/// What a request leads to at once.
struct Outcome {
    response: ProduceResponse,
    flushes: Vec<PendingFlush>,
    unverified: Option<Box<UnverifiedBatches>>,
}

/// An append that must be on disk before it is answered.
struct PendingFlush {
    place: Place,
    wait: FlushWait,
}

/// The rounds are under way already: waiting for one after the other takes as long as the slowest.
async fn answer_when_flushed(
    call: Call,
    mut response: ProduceResponse,
    flushes: Vec<PendingFlush>,
) -> Result<Option<Reply>, Refused> {
    for PendingFlush { place, wait } in flushes {
        if wait.done().await.is_err() {
            let answer = &mut response.responses[place.topic].partition_responses[place.partition];
            *answer = PartitionProduceResponse {
                index: answer.index,
                ..refused(Refusal::of(ErrorCode::KafkaStorageError))
            };
        }
    }
    Ok(Some(answer(&call, &response)?))
}

fn handle(broker: &Arc<Broker>, call: &Call, request: ProduceRequest) -> Outcome {
    let joining = match call.version >= ADDING_FROM {
        true => Joining::Add,
        false => Joining::Check,
    };
    let producing = Producing {
        broker,
        version: call.version,
        terms: RequestTerms {
            allow_zstd: call.version >= ZSTD_FROM,
            joining: request.transactional_id.is_some().then_some(joining),
        },
        transactional_id: request.transactional_id,
        has_legal_acks: matches!(request.acks, ACKS_NONE | ACKS_LEADER | ACKS_ALL),
        seen: HashSet::new(),
        flushes: Vec::new(),
        unverified: None,
    };
    producing.all(request.topic_data)
}

struct Producing<'a> {
    broker: &'a Arc<Broker>,
    version: i16,
    terms: RequestTerms,
    transactional_id: Option<Str>,
    has_legal_acks: bool,
    /// Partitions named more than once; only looked at where a topic or partition could repeat.
    seen: HashSet<(TopicRef, i32)>,
    flushes: Vec<PendingFlush>,
    unverified: Option<Box<UnverifiedBatches>>,
}

impl Producing<'_> {
    fn all(mut self, topics: Vec<TopicProduceData>) -> Outcome {
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
                    let place = Place {
                        topic: number,
                        partition: position,
                    };
                    self.one(&topic_ref, partition, is_repeated, place)
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
        Outcome {
            response,
            flushes: self.flushes,
            unverified: self.unverified,
        }
    }

    /// The answer for one partition; of one that waits for its verification the index alone counts.
    fn one(
        &mut self,
        topic: &TopicRef,
        data: PartitionProduceData,
        is_repeated: bool,
        place: Place,
    ) -> PartitionProduceResponse {
        let index = data.index;
        let appended = match is_repeated {
            // The same partition twice in one request: appending the second would be a guess about its order.
            true => Err(Refusal::of(ErrorCode::InvalidRequest)),
            false => self.append(topic, index, data.records.unwrap_or_default(), place),
        };
        let mut answer = appended.unwrap_or_else(refused);
        answer.index = index;
        answer
    }

    fn append(
        &mut self,
        topic: &TopicRef,
        index: i32,
        records: Bytes,
        place: Place,
    ) -> Result<PartitionProduceResponse, Refusal> {
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
        match partition.produce(records, self.terms).map_err(refusal::of_produce)? {
            Produced::Placed(placed) => {
                let (answer, flush) = placed_answer(&partition, placed);
                self.flushes.extend(flush.map(|wait| PendingFlush { place, wait }));
                Ok(answer)
            }
            Produced::Unverified(batch) => {
                self.verify_later(batch, place)?;
                Ok(PartitionProduceResponse::default())
            }
        }
    }

    /// Notes a batch whose transaction's coordinator has to be asked. A request is of one producer.
    fn verify_later(&mut self, batch: Unverified, place: Place) -> Result<(), Refusal> {
        let (producer_id, producer_epoch) = batch.producer();
        let (terms, transactional_id) = (self.terms, &self.transactional_id);
        let unverified = self.unverified.get_or_insert_with(|| {
            let claim = Claim {
                transactional_id: transactional_id.clone().unwrap_or_default(),
                producer_id,
                producer_epoch,
            };
            Box::new(UnverifiedBatches {
                claim,
                joining: terms.joining.unwrap_or(Joining::Check),
                batches: Vec::new(),
            })
        });
        let claim = &unverified.claim;
        if (claim.producer_id, claim.producer_epoch) != (producer_id, producer_epoch) {
            return Err(Refusal::of(ErrorCode::InvalidProducerIdMapping));
        }
        unverified.batches.push((place, batch));
        Ok(())
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

/// The answer for a batch that was appended, and what it waits for.
fn placed_answer(partition: &Partition, placed: Placed) -> (PartitionProduceResponse, Option<FlushWait>) {
    let Placed { appended, flush } = placed;
    let answer = PartitionProduceResponse {
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time.unwrap_or(-1),
        log_start_offset: partition.log().log_start_offset(),
        ..Default::default()
    };
    (answer, flush)
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
