//! The one place where our errors become wire codes.

use crate::{partitions::ProduceFailure, transactions::Joining};
use ottla_protocol::{
    ErrorCode,
    records::{BatchError, ProduceError, compression::DecompressError, validate::RefusalReason},
};
use ottla_storage::AppendError;

/// A code with what else the client is told.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
    /// Index in the batch and text, for each refused record (KIP-467).
    pub(super) record_errors: Vec<(i32, String)>,
}

impl Refusal {
    pub(super) fn of(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
            record_errors: Vec::new(),
        }
    }
}

/// Why a produce was refused.
pub(super) fn of_produce(failure: ProduceFailure) -> Refusal {
    let code = match &failure {
        ProduceFailure::Invalid(error) => invalid(error),
        ProduceFailure::NotAppended(error) => not_appended(error),
    };
    let record_errors = match &failure {
        ProduceFailure::Invalid(ProduceError::Refused(refusals)) => refusals
            .iter()
            .map(|refusal| (refusal.index, refusal.reason.to_string()))
            .collect(),
        _ => Vec::new(),
    };
    Refusal {
        code,
        message: Some(failure.to_string()),
        record_errors,
    }
}

/// Why the coordinator of a transaction does not let a batch be appended, in words that the client knows what to do with.
pub(super) fn of_verification(error: ErrorCode, knows_abortable: bool, joining: Joining) -> Refusal {
    use ErrorCode::{
        ConcurrentTransactions, CoordinatorLoadInProgress, CoordinatorNotAvailable, InvalidProducerEpoch,
        InvalidTxnState, NetworkException, NotCoordinator, NotEnoughReplicas, ProducerFenced, TransactionAbortable,
    };
    let code = match error {
        // Clients try again, and do not look for another leader of the partition.
        CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator | NetworkException => NotEnoughReplicas,
        // Every day, where the last transaction is still being ended; older clients do not expect it here.
        ConcurrentTransactions if joining == Joining::Check => NotEnoughReplicas,
        TransactionAbortable if !knows_abortable => InvalidTxnState,
        // Fatal for a producer, which may only have to abort.
        ProducerFenced => InvalidProducerEpoch,
        error => error,
    };
    let message = match error {
        InvalidTxnState | TransactionAbortable => "the partition is not part of the transaction".to_owned(),
        error => format!(
            "whether the partition is part of the transaction is not known: {}",
            error.name()
        ),
    };
    Refusal {
        message: Some(message),
        ..Refusal::of(code)
    }
}

fn invalid(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::Batch(BatchError::CrcMismatch { .. } | BatchError::Truncated { .. }) => ErrorCode::CorruptMessage,
        ProduceError::TooLarge { .. } | ProduceError::Decompress(DecompressError::TooLarge { .. }) => {
            ErrorCode::MessageTooLarge
        }
        ProduceError::UnknownCodec(_) | ProduceError::ZstdNotAllowed => ErrorCode::UnsupportedCompressionType,
        ProduceError::LogAppendTime => ErrorCode::InvalidTimestamp,
        ProduceError::TransactionalNotAllowed => ErrorCode::TransactionalIdAuthorizationFailed,
        ProduceError::Refused(refusals)
            if refusals
                .iter()
                .any(|refusal| matches!(refusal.reason, RefusalReason::Timestamp { .. })) =>
        {
            ErrorCode::InvalidTimestamp
        }
        _ => ErrorCode::InvalidRecord,
    }
}

/// Why the log did not take it.
pub(crate) fn not_appended(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::DuplicateSequence { .. } => ErrorCode::DuplicateSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::InvalidTransactionState { .. } | AppendError::NotInTransaction { .. } => {
            ErrorCode::InvalidTxnState
        }
        AppendError::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        AppendError::InvalidBatch(_) | AppendError::Empty => ErrorCode::InvalidRecord,
        AppendError::UnexpectedOffset { .. } => ErrorCode::CorruptMessage,
        AppendError::Offline | AppendError::Io(_) => ErrorCode::KafkaStorageError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transactions_coordinator_says_is_told_as_clients_know_it() {
        let told = |error, knows_abortable, joining| of_verification(error, knows_abortable, joining).code;
        for error in [
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::CoordinatorNotAvailable,
            ErrorCode::NotCoordinator,
        ] {
            assert_eq!(told(error, true, Joining::Add), ErrorCode::NotEnoughReplicas);
        }
        let concurrent = ErrorCode::ConcurrentTransactions;
        assert_eq!(told(concurrent, true, Joining::Check), ErrorCode::NotEnoughReplicas);
        assert_eq!(told(concurrent, true, Joining::Add), concurrent);
        let abortable = ErrorCode::TransactionAbortable;
        assert_eq!(told(abortable, false, Joining::Check), ErrorCode::InvalidTxnState);
        assert_eq!(told(abortable, true, Joining::Check), abortable);
        let fenced = ErrorCode::ProducerFenced;
        assert_eq!(told(fenced, true, Joining::Add), ErrorCode::InvalidProducerEpoch);
    }
}
