//! EndTxn, and the end of what was prepared.
//!
//! A client of transactions version 2 (EndTxn v5) is given the next epoch with each end, so that nothing late of this
//! transaction can be taken for a part of the next one. The same EndTxn again, whose answer got lost, names the epoch
//! before and is answered alike; once the next transaction has begun it is refused.

use super::{
    BUMPS_EPOCH_FROM, Decision, Producer, TransactionError, TransactionState, Transactions, check_id,
    transaction::{Partitions, Transaction},
};
use crate::outcome::Now;
use ottla_protocol::{
    Str,
    ids::{ProducerEpoch, ProducerId},
};

/// What an EndTxn asks for.
#[derive(Clone, Debug)]
pub struct EndTxn {
    /// Whose transaction.
    pub transactional_id: Str,
    /// Who says so.
    pub producer: Producer,
    /// Commit, or abort.
    pub is_commit: bool,
    /// `transaction.version` as the client plays it.
    pub client_version: i8,
}

/// A transaction whose outcome is fixed, and whose markers are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whose transaction.
    pub transactional_id: Str,
    /// What the markers carry.
    pub producer: Producer,
    /// Commit, or abort.
    pub is_commit: bool,
    /// `transaction.version` under which it is ended: from 2 on the markers carry an epoch of their own.
    pub client_version: i8,
    /// Where a marker belongs, by topic and index.
    pub partitions: Vec<(Str, i32)>,
}

/// What an EndTxn leads to.
enum Ended {
    /// It is to be ended as this.
    Now(Transaction),
    /// It was, in the same way.
    Before(Producer),
}

impl Transactions {
    /// Ends the producer's transaction. The answer has the producer as which it goes on.
    ///
    /// `fresh`: as for [`Transactions::handle_init_producer_id`].
    pub fn handle_end_txn(
        &mut self,
        request: &EndTxn,
        fresh: Option<ProducerId>,
        now: Now,
    ) -> Decision<Result<Producer, TransactionError>> {
        let ended = match request.client_version >= BUMPS_EPOCH_FROM {
            true => self.end_and_bump(request, fresh, now),
            false => self.end(request, now),
        };
        match ended {
            Ok(Ended::Now(next)) => {
                let goes_on_as = next.producer_afterwards();
                self.write(&request.transactional_id, &next, Ok(goes_on_as))
            }
            Ok(Ended::Before(producer)) => self.answer(Ok(producer)),
            Err(error) => self.answer(Err(error)),
        }
    }

    /// EndTxn as clients before transactions version 2 have it.
    fn end(&self, request: &EndTxn, now: Now) -> Result<Ended, TransactionError> {
        check_id(&request.transactional_id)?;
        let current = self.by_id.get(&request.transactional_id);
        let current = current.ok_or(TransactionError::UnknownMapping)?;
        if current.producer.id != request.producer.id {
            return Err(TransactionError::UnknownMapping);
        }
        if current.producer.epoch != request.producer.epoch {
            return Err(TransactionError::Fenced);
        }
        match (current.state, request.is_commit) {
            (TransactionState::Ongoing, is_commit) => Ok(Ended::Now(Transaction {
                state: prepared(is_commit),
                client_version: 0,
                ..current.next(now.wall_ms)
            })),
            (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false) => {
                Ok(Ended::Before(current.producer))
            }
            (TransactionState::PrepareCommit | TransactionState::PrepareAbort, _) => Err(TransactionError::Concurrent),
            _ => Err(TransactionError::InvalidState),
        }
    }

    /// EndTxn from transactions version 2 on.
    fn end_and_bump(&self, request: &EndTxn, fresh: Option<ProducerId>, now: Now) -> Result<Ended, TransactionError> {
        check_id(&request.transactional_id)?;
        let current = self.by_id.get(&request.transactional_id);
        let current = current.ok_or(TransactionError::UnknownMapping)?;
        if current.state.is_prepared() {
            return Err(TransactionError::Concurrent);
        }
        let is_rotated = is_retry_of_rotation(current, request.producer);
        if current.producer.id != request.producer.id && !is_rotated {
            return Err(TransactionError::UnknownMapping);
        }
        let is_retry = is_rotated || request.producer.epoch.0.checked_add(1) == Some(current.producer.epoch.0);
        let is_complete = matches!(
            current.state,
            TransactionState::CompleteCommit | TransactionState::CompleteAbort
        );
        let is_current = request.producer.epoch == current.producer.epoch;
        if !(is_current || is_complete && is_retry) {
            return Err(TransactionError::Fenced);
        }
        match (current.state, request.is_commit) {
            (TransactionState::Ongoing, is_commit) => self.prepare(current, is_commit, fresh, now),
            (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false) if is_retry => {
                Ok(Ended::Before(current.producer))
            }
            // A transaction to which nothing was added may be aborted: its client cannot know that nothing was.
            (TransactionState::Empty, false) => self.prepare_empty(current, fresh, now),
            (_, false) if is_complete && !is_retry => self.prepare_empty(current, fresh, now),
            _ => Err(TransactionError::InvalidState),
        }
    }

    fn prepare_empty(
        &self,
        current: &Transaction,
        fresh: Option<ProducerId>,
        now: Now,
    ) -> Result<Ended, TransactionError> {
        let begun = Transaction {
            start_ms: now.wall_ms,
            ..current.clone()
        };
        self.prepare(&begun, false, fresh, now)
    }

    fn prepare(
        &self,
        current: &Transaction,
        is_commit: bool,
        fresh: Option<ProducerId>,
        now: Now,
    ) -> Result<Ended, TransactionError> {
        let next_producer_id = match current.producer.is_exhausted() {
            true => fresh.ok_or(TransactionError::NeedsProducerId)?,
            false => ProducerId::NONE,
        };
        Ok(Ended::Now(Transaction {
            producer: Producer {
                epoch: ProducerEpoch(current.producer.epoch.0.saturating_add(1)),
                ..current.producer
            },
            last_producer_epoch: current.producer.epoch,
            next_producer_id,
            state: prepared(is_commit),
            client_version: BUMPS_EPOCH_FROM,
            ..current.next(now.wall_ms)
        }))
    }

    /// The transactions whose outcome has been fixed since this was last asked for, or before the log was read. Their
    /// markers may be written when the records are committed that had been decided when this is called.
    pub fn take_endings(&mut self) -> Vec<Ending> {
        let ids = std::mem::take(&mut self.endings);
        ids.iter().filter_map(|id| self.ending(id)).collect()
    }

    fn ending(&self, id: &Str) -> Option<Ending> {
        let current = self.by_id.get(id).filter(|current| current.state.is_prepared())?;
        let partitions = current.partitions.iter();
        Some(Ending {
            transactional_id: id.clone(),
            producer: current.producer,
            is_commit: current.state == TransactionState::PrepareCommit,
            client_version: current.client_version,
            partitions: partitions
                .flat_map(|(topic, indexes)| indexes.iter().map(|index| (topic.clone(), *index)))
                .collect(),
        })
    }

    /// All markers of `ending` are written: the id is free for the next transaction.
    pub fn handle_markers_written(&mut self, ending: &Ending, now: Now) -> Decision<()> {
        let id = &ending.transactional_id;
        let Some(current) = self.by_id.get(id) else {
            return self.answer(());
        };
        if !current.state.is_prepared() || current.producer != ending.producer {
            return self.answer(());
        }
        let completed = Transaction {
            producer: current.producer_afterwards(),
            next_producer_id: ProducerId::NONE,
            state: current.state.completed(),
            partitions: Partitions::new(),
            ..current.next(now.wall_ms)
        };
        self.write(id, &completed, ())
    }
}

impl Transaction {
    /// The producer when the transaction has ended.
    fn producer_afterwards(&self) -> Producer {
        match self.next_producer_id.is_some() && self.client_version >= BUMPS_EPOCH_FROM {
            true => Producer {
                id: self.next_producer_id,
                epoch: ProducerEpoch(0),
            },
            false => self.producer,
        }
    }
}

fn prepared(is_commit: bool) -> TransactionState {
    match is_commit {
        true => TransactionState::PrepareCommit,
        false => TransactionState::PrepareAbort,
    }
}

/// Whether an EndTxn names the producer id whose epochs were used up by the end that it asks for.
fn is_retry_of_rotation(current: &Transaction, producer: Producer) -> bool {
    current.previous_producer_id == producer.id
        && producer.epoch.0 == i16::MAX - 1
        && current.producer.epoch == ProducerEpoch(0)
}
