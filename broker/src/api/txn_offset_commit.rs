//! TxnOffsetCommit, key 28, versions 0-6: offsets that count when the producer's transaction is committed (KIP-98).
//!
//! v2: leader epoch. v3: member id, generation, group_instance_id (KIP-447); flexible. v4: TRANSACTION_ABORTABLE.
//! v5: adds the group to the transaction (KIP-890). v6: topic ids, member epochs, GROUP_ID_NOT_FOUND.
//! Topics and partitions that do not exist are refused here, each alone; the rest is committed.

use super::{offset_commit, refusal, table::Call};
use crate::{
    broker::Broker,
    clock::now_ms,
    coordinators::OFFSETS_TOPIC,
    partitions::Partition,
    runtime::coordinator_shard::Producer,
    transactions::{self, Claim, Joining},
};
use ottla_coordinator::commit_refused;
use ottla_protocol::{
    ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    messages::{
        OffsetCommitRequest, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_commit_response::OffsetCommitResponseTopic,
        txn_offset_commit_request::TxnOffsetCommitRequestTopic,
        txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic},
    },
};
use ottla_storage::{TransactionCheck, VerificationRequest};
use std::sync::Arc;

/// From this version on clients know COORDINATOR_LOAD_IN_PROGRESS; older ones could crash (KAFKA-7296).
const LOADING_FROM: i16 = 2;
/// From this version on clients know TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 4;
/// From this version on the commit adds the group to the transaction.
const ADDING_FROM: i16 = 5;
/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 6;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let version = call.version;
    let image = broker.image.load_full();
    let topics: Vec<_> = request.topics.into_iter().map(plain_topic).collect();
    let claim = Claim {
        transactional_id: request.transactional_id,
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
    };
    let commit = OffsetCommitRequest {
        group_id: request.group_id,
        generation_id_or_member_epoch: request.generation_id_or_member_epoch,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        topics,
        ..Default::default()
    };
    let answered = offset_commit::sorted(&image, commit, version >= TOPIC_IDS_FROM, |known| async move {
        let committed = commit_known(broker, version, claim, known.clone()).await;
        committed.unwrap_or_else(|error| commit_refused(&known, told(error, version)).topics)
    });
    TxnOffsetCommitResponse {
        topics: answered.await.into_iter().map(answer).collect(),
        ..Default::default()
    }
}

/// The answer for each topic, all of which exist.
async fn commit_known(
    broker: &Arc<Broker>,
    version: i16,
    claim: Claim,
    request: Arc<OffsetCommitRequest>,
) -> Result<Vec<OffsetCommitResponseTopic>, ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    if !claim.producer_id.is_some() || !claim.producer_epoch.is_some() {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let partition = broker.coordinators.partition_of(broker, &request.group_id)?;
    let check = verify(broker, version, &claim, &partition).await?;
    let producer = Producer {
        id: claim.producer_id,
        epoch: claim.producer_epoch,
        check,
    };
    let decide = move |groups: &ottla_coordinator::Groups, now| groups.commit_in_transaction(&request, version, now);
    Ok(broker.coordinators.commit(&partition, producer, decide).await?.topics)
}

/// Makes the group's partition part of the transaction, or finds out whether it is.
async fn verify(
    broker: &Arc<Broker>,
    version: i16,
    claim: &Claim,
    partition: &Partition,
) -> Result<TransactionCheck, ErrorCode> {
    let joining = match version >= ADDING_FROM {
        true => Joining::Add,
        false => Joining::Check,
    };
    let request = VerificationRequest {
        producer_id: claim.producer_id,
        producer_epoch: claim.producer_epoch,
        // Commits have no sequences.
        first_sequence: -1,
        bumps_epochs: joining == Joining::Add,
        now_ms: now_ms(),
    };
    let check = partition.begin_verification(joining, request);
    let check = check.map_err(|error| refusal::not_appended(&error))?;
    if matches!(check, TransactionCheck::Verified(_)) {
        let partitions = [(OFFSETS_TOPIC.into(), partition.index)];
        let verdicts = transactions::join(broker, claim, &partitions, joining).await;
        match verdicts.first() {
            Some(ErrorCode::None) => {}
            Some(error) => return Err(*error),
            None => return Err(ErrorCode::UnknownServerError),
        }
    }
    Ok(check)
}

/// The error in words that a client of this version knows what to do with.
fn told(error: ErrorCode, version: i16) -> ErrorCode {
    let error = match error {
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::TransactionAbortable if version < ABORTABLE_FROM => ErrorCode::InvalidTxnState,
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        error => error,
    };
    match error {
        ErrorCode::CoordinatorLoadInProgress if version < LOADING_FROM => ErrorCode::CoordinatorNotAvailable,
        error => error,
    }
}

/// The topic in the words of an OffsetCommit.
fn plain_topic(topic: TxnOffsetCommitRequestTopic) -> OffsetCommitRequestTopic {
    let partitions = topic
        .partitions
        .into_iter()
        .map(|partition| OffsetCommitRequestPartition {
            partition_index: partition.partition_index,
            committed_offset: partition.committed_offset,
            committed_leader_epoch: partition.committed_leader_epoch,
            committed_metadata: partition.committed_metadata,
            ..Default::default()
        });
    OffsetCommitRequestTopic {
        partitions: partitions.collect(),
        name: topic.name,
        topic_id: topic.topic_id,
    }
}

fn answer(topic: OffsetCommitResponseTopic) -> TxnOffsetCommitResponseTopic {
    let partitions = topic
        .partitions
        .into_iter()
        .map(|partition| TxnOffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: partition.error_code,
        });
    TxnOffsetCommitResponseTopic {
        partitions: partitions.collect(),
        name: topic.name,
        topic_id: topic.topic_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_the_words_of_the_version() {
        let loading = ErrorCode::CoordinatorLoadInProgress;
        assert_eq!(told(loading, 1), ErrorCode::CoordinatorNotAvailable);
        assert_eq!(told(loading, 2), loading);
        let concurrent = ErrorCode::ConcurrentTransactions;
        assert!([0, 4, 5].iter().all(|version| told(concurrent, *version) == concurrent));
        let abortable = ErrorCode::TransactionAbortable;
        assert_eq!(told(abortable, 3), ErrorCode::InvalidTxnState);
        assert_eq!(told(abortable, 4), abortable);
        assert_eq!(told(ErrorCode::ProducerFenced, 5), ErrorCode::InvalidProducerEpoch);
    }
}
