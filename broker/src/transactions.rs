//! Transactions as the rest of the broker sees them: whose partitions are part of which.
#![expect(dead_code, reason = "the coordinator and the produce path meet here")]

use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
};
use std::sync::Arc;

/// The transaction that a producer says its records or offsets are part of.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) transactional_id: Str,
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
}

/// How a partition becomes part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// The client has added it with AddPartitionsToTxn; that is checked (KIP-890, first part).
    Check,
    /// The first produce, or commit of offsets, adds it (KIP-890, second part).
    Add,
}

/// Makes partitions, by topic and index, part of a transaction, or finds out whether they are. One answer for each, in
/// their order; after `None` the partition may be written to until the marker comes.
pub(crate) async fn join(
    _broker: &Arc<Broker>,
    _claim: &Claim,
    partitions: &[(Str, i32)],
    _how: Joining,
) -> Vec<ErrorCode> {
    vec![ErrorCode::CoordinatorNotAvailable; partitions.len()]
}
