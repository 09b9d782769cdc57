//! Why a coordinator of transactions refuses.

use ottla_protocol::ErrorCode;

/// Why a request about a transaction was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The transactional id is empty, or longer than a record can hold.
    #[error("the transactional id is empty or too long")]
    InvalidRequest,
    /// Not positive, or above `transaction.max.timeout.ms`.
    #[error("the timeout is not between 1 and transaction.max.timeout.ms")]
    InvalidTimeout,
    /// The one before is being ended: ask again.
    #[error("the transaction before is being ended")]
    Concurrent,
    /// Another producer has taken over, or the transaction was aborted.
    #[error("a later producer has the transactional id")]
    Fenced,
    /// The id is unknown, or has another producer id.
    #[error("the transactional id does not have this producer id")]
    UnknownMapping,
    /// It cannot be ended in this way.
    #[error("the transaction is not in a state for this")]
    InvalidState,
    /// The partition is not part of the transaction: abort it.
    #[error("the partition is not part of the transaction")]
    Abortable,
    /// It has more partitions than a record can name.
    #[error("the transaction has too many partitions")]
    TooLarge,
    /// Nobody has used the id, or not for a long time.
    #[error("the transactional id is unknown")]
    NotFound,
    /// The epochs are used up: decide again, with a producer id that nobody has.
    #[error("another producer id is needed")]
    NeedsProducerId,
}

impl TransactionError {
    /// What the client is told.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::InvalidRequest => ErrorCode::InvalidRequest,
            Self::InvalidTimeout => ErrorCode::InvalidTransactionTimeout,
            Self::Concurrent => ErrorCode::ConcurrentTransactions,
            Self::Fenced => ErrorCode::ProducerFenced,
            Self::UnknownMapping => ErrorCode::InvalidProducerIdMapping,
            Self::InvalidState => ErrorCode::InvalidTxnState,
            Self::Abortable => ErrorCode::TransactionAbortable,
            // Kafka too: the log has refused the record, and no other code says so.
            Self::TooLarge => ErrorCode::UnknownServerError,
            Self::NotFound => ErrorCode::TransactionalIdNotFound,
            Self::NeedsProducerId => ErrorCode::CoordinatorNotAvailable,
        }
    }
}
