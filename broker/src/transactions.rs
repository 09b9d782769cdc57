//! Transactions as the rest of the broker sees them: whose partitions are part of which.
//!
//! [`join`] is asked by whoever writes for a transaction; [`TransactionCoordinators`] finds the task that decides about
//! a transactional id; `transactions/ending.rs` has the markers written of what it has decided to end.

mod coordinators;
mod ending;

pub(crate) use coordinators::TransactionCoordinators;
pub(crate) use ending::{Ended, end};

use crate::broker::Broker;
use ottla_coordinator::{Decision, Producer, TransactionError, Transactions};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
};
use std::{sync::Arc, time::Duration};

/// `transaction.version` that clients play whose produce adds partitions.
const IMPLICIT: i8 = 2;

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
///
/// A client may begin a transaction while the markers of its last one are being written, which takes moments: they are
/// waited for (`add.partitions.to.txn.retry.backoff.max.ms`) before the client has to ask again. The codes are the
/// coordinator's own: what a client of an older version is told instead, the caller knows.
pub(crate) async fn join(
    broker: &Arc<Broker>,
    claim: &Claim,
    partitions: &[(Str, i32)],
    how: Joining,
) -> Vec<ErrorCode> {
    let (id, asked) = (claim.transactional_id.detached(), partitions.to_vec());
    let producer = Producer {
        id: claim.producer_id,
        epoch: claim.producer_epoch,
    };
    let coordinators = &broker.transactions;
    let joined = match how {
        Joining::Check => {
            let check = move |transactions: &mut Transactions, _| Decision {
                records: Vec::new(),
                reply: transactions.verify_partitions(&id, producer, &asked),
            };
            coordinators.decide(broker, &claim.transactional_id, check).await
        }
        Joining::Add => {
            let key = "add.partitions.to.txn.retry.backoff.max.ms";
            let patience_ms = broker.layers(&broker.image.load()).broker_number(key);
            let patience = Duration::from_millis(u64::try_from(patience_ms).unwrap_or(0));
            let owned = id.clone();
            let add = move |transactions: &mut Transactions, now| {
                let added = transactions.handle_add_partitions(&owned, producer, &asked, IMPLICIT, now);
                Decision {
                    records: added.records,
                    reply: vec![added.reply; asked.len()],
                }
            };
            let is_early =
                |joined: &Vec<Result<(), TransactionError>>| joined.contains(&Err(TransactionError::Concurrent));
            coordinators
                .decide_after_end(broker, &id, patience, add, is_early)
                .await
        }
    };
    match joined {
        Ok(joined) => joined.into_iter().map(code).collect(),
        Err(error) => vec![error; partitions.len()],
    }
}

/// The code for the client.
pub(crate) fn code(decided: Result<(), TransactionError>) -> ErrorCode {
    decided.map_or_else(TransactionError::code, |()| ErrorCode::None)
}
