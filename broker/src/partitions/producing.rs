//! What producers send: checked, and appended at once, or after the coordinator of its transaction has been asked.

use super::{Partition, Placed};
use crate::{clock::now_ms, markers::Marker, transactions::Joining};
use bytes::Bytes;
use ottla_protocol::{
    Str,
    ids::{ProducerEpoch, ProducerId, TimestampMs},
    records::{
        BatchHeader, EndTransactionMarker, ProduceError, ProduceRules, Validated, builder::end_transaction_batch,
        validate_produce,
    },
};
use ottla_storage::{Append, AppendError, AppendOrigin, TransactionCheck, VerificationGuard, VerificationRequest};
use std::sync::Arc;

/// What the request around a batch allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTerms {
    pub(crate) allow_zstd: bool,
    /// How a partition becomes part of the transaction; `None` where the request names no transactional id.
    pub(crate) joining: Option<Joining>,
}

/// Why a produce to one partition failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProduceFailure {
    #[error(transparent)]
    Invalid(#[from] ProduceError),
    #[error(transparent)]
    NotAppended(#[from] AppendError),
}

/// What became of a batch.
pub(crate) enum Produced {
    Placed(Placed),
    /// It may be the first of a transaction here.
    Unverified(Unverified),
}

/// A batch whose transaction's coordinator has to be asked before it is appended.
pub(crate) struct Unverified {
    partition: Arc<Partition>,
    validated: Validated,
    guard: VerificationGuard,
    now_ms: TimestampMs,
}

impl Unverified {
    /// Who wrote it.
    pub(crate) fn producer(&self) -> (ProducerId, ProducerEpoch) {
        let header = &self.validated.header;
        (header.producer_id, header.producer_epoch)
    }

    /// The partition as coordinators name it.
    pub(crate) fn topic_and_index(&self) -> (Str, i32) {
        (self.partition.topic.clone(), self.partition.index)
    }

    pub(crate) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Appends it. The coordinator has said that the partition is part of the transaction.
    ///
    /// # Errors
    /// Nothing was appended: among others, the transaction has ended meanwhile.
    pub(crate) fn append(self) -> Result<Placed, ProduceFailure> {
        let check = TransactionCheck::Verified(self.guard);
        self.partition.place(&self.validated, self.now_ms, check)
    }
}

impl Partition {
    /// Checks what a producer sent, and appends it unless somebody has to be asked first.
    ///
    /// # Errors
    /// Nothing was appended.
    pub(crate) fn produce(self: &Arc<Self>, records: Bytes, terms: RequestTerms) -> Result<Produced, ProduceFailure> {
        let now_ms = now_ms();
        let rules = ProduceRules {
            allow_transactional: terms.joining.is_some(),
            allow_zstd: terms.allow_zstd,
            ..self.settings.load().produce_rules(now_ms)
        };
        let validated = validate_produce(records, &rules)?;
        let check = match terms.joining {
            Some(joining) if validated.header.attributes.is_transactional() => {
                self.transaction_check(&validated.header, joining, now_ms)?
            }
            _ => TransactionCheck::Ongoing,
        };
        if let TransactionCheck::Verified(guard) = check {
            return Ok(Produced::Unverified(Unverified {
                partition: self.clone(),
                validated,
                guard,
                now_ms,
            }));
        }
        self.place(&validated, now_ms, check).map(Produced::Placed)
    }

    /// What has to be known of the transaction before the batch is appended.
    fn transaction_check(
        &self,
        header: &BatchHeader,
        joining: Joining,
        now_ms: TimestampMs,
    ) -> Result<TransactionCheck, AppendError> {
        self.begin_verification(
            joining,
            VerificationRequest {
                producer_id: header.producer_id,
                producer_epoch: header.producer_epoch,
                first_sequence: header.base_sequence,
                bumps_epochs: joining == Joining::Add,
                now_ms,
            },
        )
    }

    /// Whether the coordinator of a transaction has to be asked before its records are appended: then the answer is a
    /// guard, and whoever has asked appends with it.
    ///
    /// # Errors
    /// Nothing of the producer may be appended.
    pub(crate) fn begin_verification(
        &self,
        joining: Joining,
        request: VerificationRequest,
    ) -> Result<TransactionCheck, AppendError> {
        // A partition that the first write adds must be added, or nobody would end the transaction here.
        if joining == Joining::Check && !self.settings.load().verifies_transactions {
            return Ok(TransactionCheck::Skipped);
        }
        let guard = self.on_log_or_again(|log| log.begin_verification(&request))?;
        Ok(guard.map_or(TransactionCheck::Ongoing, TransactionCheck::Verified))
    }

    fn place(
        self: &Arc<Self>,
        validated: &Validated,
        now_ms: TimestampMs,
        transaction: TransactionCheck,
    ) -> Result<Placed, ProduceFailure> {
        let append = Append {
            batches: &validated.batch,
            leader_epoch: self.leader().1,
            origin: AppendOrigin::Client,
            now_ms,
            log_append_time: validated.log_append_time,
            transaction,
        };
        Ok(self.append(append)?)
    }

    /// Appends what ends a transaction.
    ///
    /// # Errors
    /// Nothing was appended: its producer or its coordinator is out of date, or the log is offline.
    pub(crate) fn append_marker(self: &Arc<Self>, marker: &Marker) -> Result<Placed, AppendError> {
        let now_ms = now_ms();
        let end = EndTransactionMarker {
            is_commit: marker.is_commit,
            coordinator_epoch: marker.coordinator_epoch,
        };
        self.append(Append {
            batches: &end_transaction_batch(end, marker.producer_id, marker.producer_epoch, now_ms),
            leader_epoch: self.leader().1,
            origin: AppendOrigin::Coordinator,
            now_ms,
            log_append_time: None,
            transaction: TransactionCheck::Marker {
                transaction_version: marker.transaction_version,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::TopicSettings,
        partitions::testing::{Fixture, partition, values, with_settings},
    };
    use ottla_protocol::records::{BatchBuilder, NewRecord};
    use ottla_replication::config::Layers;

    const ID: ProducerId = ProducerId(4);

    /// Sends a batch of one record.
    fn produce(fixture: &Fixture, joining: Option<Joining>, first_sequence: i32) -> Result<Produced, ProduceFailure> {
        let mut batch = BatchBuilder::new()
            .producer(ID, ProducerEpoch(0), first_sequence)
            .transactional();
        batch.append(&NewRecord::of(now_ms(), b"key", b"value"));
        let terms = RequestTerms {
            allow_zstd: true,
            joining,
        };
        fixture.partition.produce(batch.build(), terms)
    }

    fn unverified(produced: Result<Produced, ProduceFailure>) -> Unverified {
        match produced.expect("a good batch") {
            Produced::Unverified(batch) => batch,
            Produced::Placed(placed) => panic!("appended without a question: {:?}", placed.appended),
        }
    }

    fn placed(produced: Result<Produced, ProduceFailure>) -> i64 {
        match produced.expect("a good batch") {
            Produced::Placed(placed) => placed.appended.base_offset,
            Produced::Unverified(_) => panic!("somebody has to be asked"),
        }
    }

    fn end_offset(fixture: &Fixture) -> i64 {
        fixture.partition.log().log_end_offset()
    }

    fn end(fixture: &Fixture) {
        let marker = Marker {
            producer_id: ID,
            producer_epoch: ProducerEpoch(0),
            coordinator_epoch: 0,
            is_commit: false,
            transaction_version: 1,
        };
        fixture.partition.append_marker(&marker).expect("a marker in time");
    }

    #[test]
    fn only_the_first_batch_of_a_transaction_waits_for_its_coordinator() {
        let fixture = partition(&[]);
        let first = unverified(produce(&fixture, Some(Joining::Check), 0));
        assert_eq!(end_offset(&fixture), 0);
        assert_eq!(first.producer(), (ID, ProducerEpoch(0)));
        assert_eq!(first.append().expect("it was verified").appended.base_offset, 0);
        assert_eq!(placed(produce(&fixture, Some(Joining::Check), 1)), 1);
        end(&fixture);
        unverified(produce(&fixture, Some(Joining::Check), 2));
        assert_eq!(end_offset(&fixture), 3);
    }

    #[test]
    fn a_batch_whose_transaction_ends_while_its_coordinator_is_asked_is_not_appended() {
        let fixture = partition(&[]);
        let first = unverified(produce(&fixture, Some(Joining::Add), 0));
        end(&fixture);
        let appended = first.append().map(|placed| placed.appended);
        assert!(
            matches!(
                appended,
                Err(ProduceFailure::NotAppended(AppendError::NotInTransaction { .. }))
            ),
            "{appended:?}"
        );
        assert_eq!(end_offset(&fixture), 1);
        assert_eq!(fixture.partition.log().last_stable_offset(), 1);
    }

    #[test]
    fn a_request_that_names_no_transactional_id_writes_into_no_transaction() {
        let fixture = partition(&[]);
        let produced = produce(&fixture, None, 0);
        assert!(matches!(
            produced,
            Err(ProduceFailure::Invalid(ProduceError::TransactionalNotAllowed))
        ));
    }

    #[test]
    fn where_verification_is_off_the_client_is_believed_but_nobody_else_adds_the_partition() {
        let mut settings = TopicSettings::resolve(&values(&[]), Layers::defaults());
        assert!(settings.verifies_transactions);
        settings.verifies_transactions = false;
        let fixture = with_settings(settings);
        unverified(produce(&fixture, Some(Joining::Add), 0));
        assert_eq!(placed(produce(&fixture, Some(Joining::Check), 0)), 0);
    }
}
