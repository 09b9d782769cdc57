//! AddPartitionsToTxn, key 24, versions 0-5.
//!
//! v2: PRODUCER_FENCED. v3: flexible. v4: from brokers: several transactions, and looking without adding (KIP-890).
//! v5: TRANSACTION_ABORTABLE. Not done: the right to act for the cluster, which v4 needs.

use super::{init_producer_id::as_known, table::Call};
use crate::{broker::Broker, transactions};
use ottla_coordinator::{Decision, Producer};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
    messages::{
        AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        add_partitions_to_txn_response::{
            AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
        },
    },
};
use std::{collections::BTreeSet, sync::Arc};

/// From this version on clients know PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;
/// From this version on brokers ask, for several transactions.
const BATCHED_FROM: i16 = 4;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    if call.version < BATCHED_FROM {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            topics: request.v3_and_below_topics,
            ..Default::default()
        };
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: add(broker, call.version, transaction).await,
            ..Default::default()
        };
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    let mut seen = BTreeSet::new();
    for transaction in request.transactions {
        let transactional_id = transaction.transactional_id.clone();
        if seen.insert(transactional_id.clone()) {
            results.push(AddPartitionsToTxnResult {
                transactional_id,
                topic_results: add(broker, call.version, transaction).await,
            });
        }
    }
    AddPartitionsToTxnResponse {
        results_by_transaction: results,
        ..Default::default()
    }
}

async fn add(
    broker: &Arc<Broker>,
    version: i16,
    asked: AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let name = topic.name.detached();
        topic
            .partitions
            .iter()
            .map(move |index| (name.clone(), *index))
            .collect::<Vec<_>>()
    };
    let partitions: Vec<(Str, i32)> = asked.topics.iter().flat_map(of_topic).collect();
    let codes = match unknown(broker, &partitions) {
        Some(codes) => codes,
        None => ask(broker, version, &asked, partitions).await,
    };
    let mut codes = codes.into_iter();
    let result = |topic: AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        results_by_partition: topic
            .partitions
            .into_iter()
            .zip(&mut codes)
            .map(|(partition_index, code)| AddPartitionsToTxnPartitionResult {
                partition_index,
                partition_error_code: as_known(code, version >= FENCED_FROM).code(),
            })
            .collect(),
        name: topic.name,
    };
    asked.topics.into_iter().map(result).collect()
}

/// The answers if one of the partitions does not exist: none is added then.
fn unknown(broker: &Broker, partitions: &[(Str, i32)]) -> Option<Vec<ErrorCode>> {
    let image = broker.image.load();
    let exists: Vec<bool> = partitions
        .iter()
        .map(|(topic, index)| image.topics().partition(topic, *index).is_some())
        .collect();
    let code = |exists: bool| match exists {
        true => ErrorCode::OperationNotAttempted,
        false => ErrorCode::UnknownTopicOrPartition,
    };
    exists.contains(&false).then(|| exists.into_iter().map(code).collect())
}

async fn ask(
    broker: &Arc<Broker>,
    version: i16,
    asked: &AddPartitionsToTxnTransaction,
    partitions: Vec<(Str, i32)>,
) -> Vec<ErrorCode> {
    let id = asked.transactional_id.detached();
    let producer = Producer {
        id: ProducerId(asked.producer_id),
        epoch: ProducerEpoch(asked.producer_epoch),
    };
    let (count, verify_only) = (partitions.len(), asked.verify_only);
    let client_version = if version >= BATCHED_FROM { 2 } else { 0 };
    let decide = broker
        .transactions
        .decide(broker, &asked.transactional_id, move |transactions, now| {
            if verify_only {
                return Decision {
                    records: Vec::new(),
                    reply: transactions.verify_partitions(&id, producer, &partitions),
                };
            }
            let added = transactions.handle_add_partitions(&id, producer, &partitions, client_version, now);
            Decision {
                records: added.records,
                reply: vec![added.reply; partitions.len()],
            }
        });
    match decide.await {
        Ok(decided) => decided.into_iter().map(transactions::code).collect(),
        Err(error) => vec![error; count],
    }
}
