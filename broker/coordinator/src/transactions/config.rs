//! The settings that decisions about transactions depend on.

/// Settings of a coordinator; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionsConfig {
    /// `transaction.max.timeout.ms`: the longest that a transaction may be asked to stay open.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`: after so long without a transaction an id is forgotten.
    pub id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiry_interval_ms: i64,
}

impl Default for TransactionsConfig {
    fn default() -> Self {
        Self {
            max_timeout_ms: 900_000,
            id_expiration_ms: 7 * 24 * 60 * 60 * 1_000,
            abort_interval_ms: 10_000,
            expiry_interval_ms: 3_600_000,
        }
    }
}

/// The most bytes that the partitions of one transaction may take in its record. Kafka's bound is `max.message.bytes`
/// of `__transaction_state`, 1 MiB, for the whole record.
pub(super) const MAX_PARTITIONS_BYTES: usize = 1_000_000;
