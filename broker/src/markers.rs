//! Ends transactions in the logs that this broker leads.
#![expect(dead_code, reason = "the coordinator and the logs meet here")]

use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
};
use std::sync::Arc;

/// What ends a transaction in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    /// Leader epoch of the coordinator's partition of `__transaction_state`: one that is out of date is refused.
    pub(crate) coordinator_epoch: i32,
    pub(crate) is_commit: bool,
    /// `transaction.version` under which the transaction was run, 0 where nobody says (WriteTxnMarkers before v2).
    pub(crate) transaction_version: i8,
}

/// Appends the marker to these partitions, by topic and index. One answer for each, in their order, when it is as safe
/// as an acks=all produce; of a partition of `__consumer_offsets` when its groups know it too.
pub(crate) async fn write(_broker: &Arc<Broker>, _marker: &Marker, partitions: &[(Str, i32)]) -> Vec<ErrorCode> {
    vec![ErrorCode::NotLeaderOrFollower; partitions.len()]
}
