//! InitProducerId for a transactional id: a producer is given its id and an epoch that fences those before it.

use super::{
    BUMPS_EPOCH_FROM, Decision, Producer, TransactionError, TransactionState, Transactions, check_id,
    transaction::{Partitions, Transaction},
};
use crate::outcome::Now;
use ottla_protocol::{
    Str,
    ids::{ProducerEpoch, ProducerId, TimestampMs},
};

/// What an InitProducerId asks for.
#[derive(Clone, Debug)]
pub struct InitProducerId {
    /// Whose producer.
    pub transactional_id: Str,
    /// How long its transactions may stay open.
    pub timeout_ms: i32,
    /// The producer that it was and wants to go on as (KIP-360).
    pub expected: Option<Producer>,
}

impl Transactions {
    /// Gives the id's next producer. A transaction that is open is aborted first: ask again until that is done.
    ///
    /// `fresh`: a producer id that nobody has; asked for by [`TransactionError::NeedsProducerId`], unused otherwise.
    pub fn handle_init_producer_id(
        &mut self,
        request: &InitProducerId,
        fresh: Option<ProducerId>,
        now: Now,
    ) -> Decision<Result<Producer, TransactionError>> {
        match self.init(request, fresh, now) {
            Ok(next) if next.state.is_prepared() => {
                // The epoch that fences is nobody's: the next attempt gets a later one.
                self.write(&request.transactional_id, &next, Err(TransactionError::Concurrent))
            }
            Ok(next) => self.write(&request.transactional_id, &next, Ok(next.producer)),
            Err(error) => self.answer(Err(error)),
        }
    }

    fn init(
        &self,
        request: &InitProducerId,
        fresh: Option<ProducerId>,
        now: Now,
    ) -> Result<Transaction, TransactionError> {
        check_id(&request.transactional_id)?;
        if request.timeout_ms <= 0 || request.timeout_ms > self.config.max_timeout_ms {
            return Err(TransactionError::InvalidTimeout);
        }
        let fresh = fresh.ok_or(TransactionError::NeedsProducerId);
        let Some(current) = self.by_id.get(&request.transactional_id) else {
            // Whatever it says that it was: that has expired.
            return fresh.map(|id| first(id, request.timeout_ms, now.wall_ms));
        };
        if current.state.is_prepared() {
            return Err(TransactionError::Concurrent);
        }
        if !request.expected.is_none_or(|expected| may_go_on(expected, current)) {
            return Err(TransactionError::Fenced);
        }
        if current.state == TransactionState::Ongoing {
            let fenced = self.fenced(current, fresh.ok(), now.wall_ms);
            return fenced.ok_or(TransactionError::NeedsProducerId);
        }
        let next = Transaction {
            timeout_ms: request.timeout_ms,
            state: TransactionState::Empty,
            partitions: Partitions::new(),
            start_ms: -1,
            ..current.next(now.wall_ms)
        };
        let is_current = |expected: Producer| expected.epoch == current.producer.epoch;
        if current.producer.is_exhausted() && request.expected.is_none_or(is_current) {
            return Ok(Transaction {
                producer: Producer {
                    id: fresh?,
                    epoch: ProducerEpoch(0),
                },
                last_producer_epoch: match request.expected {
                    Some(_) => current.producer.epoch,
                    None => ProducerEpoch::NONE,
                },
                ..next
            });
        }
        bumped(current, next, request.expected)
    }

    /// The transaction `current`, which is open, with its producer fenced and about to be aborted; `None` if that takes
    /// a producer id and there is none.
    pub(super) fn fenced(
        &self,
        current: &Transaction,
        fresh: Option<ProducerId>,
        now_ms: TimestampMs,
    ) -> Option<Transaction> {
        let bumps = self.version >= BUMPS_EPOCH_FROM;
        let epoch = current.producer.epoch;
        let next_producer_id = match bumps && current.producer.is_exhausted() {
            true => fresh?,
            false => ProducerId::NONE,
        };
        Some(Transaction {
            producer: Producer {
                epoch: ProducerEpoch(epoch.0.saturating_add(1)),
                ..current.producer
            },
            next_producer_id,
            last_producer_epoch: if bumps { epoch } else { ProducerEpoch::NONE },
            state: TransactionState::PrepareAbort,
            client_version: if bumps { self.version } else { 0 },
            ..current.next(now_ms)
        })
    }
}

fn first(id: ProducerId, timeout_ms: i32, now_ms: TimestampMs) -> Transaction {
    Transaction {
        producer: Producer {
            id,
            epoch: ProducerEpoch(0),
        },
        previous_producer_id: id,
        next_producer_id: ProducerId::NONE,
        last_producer_epoch: ProducerEpoch::NONE,
        timeout_ms,
        state: TransactionState::Empty,
        partitions: Partitions::new(),
        start_ms: -1,
        last_update_ms: now_ms,
        client_version: 0,
    }
}

/// Whether a producer that names itself is the one that has the id, or has not heard that it was given another
/// producer id (KIP-360). Its epoch is looked at when it is to be followed by another.
fn may_go_on(expected: Producer, current: &Transaction) -> bool {
    expected.id == current.producer.id || (expected.id == current.previous_producer_id && expected.is_exhausted())
}

/// `next` with the epoch after that of `current`.
fn bumped(
    current: &Transaction,
    next: Transaction,
    expected: Option<Producer>,
) -> Result<Transaction, TransactionError> {
    let epoch = current.producer.epoch;
    let with = |epoch: ProducerEpoch, last_producer_epoch: ProducerEpoch| Transaction {
        producer: Producer {
            epoch,
            ..current.producer
        },
        last_producer_epoch,
        ..next
    };
    let after = ProducerEpoch(epoch.0.saturating_add(1));
    match expected {
        None => Ok(with(after, ProducerEpoch::NONE)),
        Some(expected) if expected.epoch == epoch => Ok(with(after, epoch)),
        // It was given this epoch and has not heard of it. Had another producer come, nobody's epoch would be noted.
        Some(expected) if expected.epoch == current.last_producer_epoch => Ok(with(epoch, current.last_producer_epoch)),
        Some(_) => Err(TransactionError::Fenced),
    }
}
