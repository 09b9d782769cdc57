//! The transactions of one `__transaction_state` partition: which producer is behind a transactional id, what its
//! transaction has written to, and how it ends (KIP-98, KIP-360, KIP-890).
//!
//! It is decided as for groups: a request goes in with the time, out comes a [`Decision`] with records and an answer;
//! [`Transactions::apply`] alone changes what is true, for a record that was just decided and for one that is read
//! again. What is not in the records is volatile and may be lost: which epoch an answer that got lost was for.
//!
//! ```text
//! load:   apply each record of the log; on_loaded(now)
//! loop:   a request or a due timer -> handle_x(..) / tick(now) -> decision; apply its records before the next one
//!         append them; once they are committed, answer, and have the markers written of what
//!         take_endings() returns; markers written -> handle_markers_written
//! error:  throw the state away, load again
//! ```
//!
//! Always true: a prepared transaction changes in one way only, to complete, and its id does nothing else until then.
//! So a transaction has one outcome, and no marker of it can meet the next one. Elsewhere: what a partition does with
//! markers (the broker), which partitions exist (the broker), producer ids (the controller).

mod config;
mod end;
mod error;
mod init;
mod look;
mod partitions;
mod record;
mod transaction;

pub use config::TransactionsConfig;
pub use end::{EndTxn, Ending};
pub use error::TransactionError;
pub use init::InitProducerId;
pub use look::{TransactionFilter, TransactionSummary};
pub use transaction::{Producer, TransactionState};

use crate::{
    outcome::{CoordinatorRecord, Now},
    record::ApplyError,
};
use ottla_protocol::{
    Str,
    ids::{ProducerEpoch, ProducerId},
};
use record::Record;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use transaction::Transaction;

/// `transaction.version` from which on each EndTxn gives its producer the next epoch (KIP-890, second part).
pub(crate) const BUMPS_EPOCH_FROM: i8 = 2;

/// What a decision leads to: records to apply, then to append, and an answer that waits until they are committed.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Decision<R> {
    /// To be applied before the next decision, and appended, in this order.
    pub records: Vec<CoordinatorRecord>,
    /// What is told when they are committed; without records, when all earlier ones are.
    pub reply: R,
}

impl<R> Decision<R> {
    fn unchanged(reply: R) -> Self {
        Self {
            records: Vec::new(),
            reply,
        }
    }
}

/// What of a transaction its record does not say; comes with the decision.
#[derive(Clone, Copy, Debug)]
struct Volatile {
    last_producer_epoch: ProducerEpoch,
    previous_producer_id: ProducerId,
}

/// The transactional ids that fall on one partition of `__transaction_state`.
///
/// Methods named `handle_x` decide a request, [`Transactions::tick`] decides what time brings. Nothing here depends on
/// a clock, a random number or the order of a hash table.
#[derive(Debug)]
pub struct Transactions {
    config: TransactionsConfig,
    /// `transaction.version` of the cluster.
    version: i8,
    by_id: BTreeMap<Str, Transaction>,
    /// Ids whose markers are to be written and of whom nobody has been told yet.
    endings: BTreeSet<Str>,
    /// For a transaction past its timeout whose producer has used up its epochs: to abort it takes another producer id.
    spare_producer_id: Option<ProducerId>,
    wants_producer_id: bool,
    next_abort_ms: i64,
    next_expiry_ms: i64,
    is_loading: bool,
    /// What belongs to records of the last decision that have not been applied yet.
    unapplied: VecDeque<Option<Volatile>>,
}

impl Transactions {
    /// No transactions yet: the log is to be replayed through [`Transactions::apply`], then
    /// [`Transactions::on_loaded`] is due.
    pub fn new(config: TransactionsConfig) -> Self {
        Self {
            config,
            version: BUMPS_EPOCH_FROM,
            by_id: BTreeMap::new(),
            endings: BTreeSet::new(),
            spare_producer_id: None,
            wants_producer_id: false,
            next_abort_ms: i64::MAX,
            next_expiry_ms: i64::MAX,
            is_loading: true,
            unapplied: VecDeque::new(),
        }
    }

    /// Takes over `transaction.version` of the cluster.
    pub fn see_version(&mut self, version: i8) {
        self.version = version;
    }

    /// Makes one record true, whether read from the log or just decided.
    ///
    /// # Errors
    /// The record cannot be understood; nothing has changed. It is to be logged and skipped.
    pub fn apply(&mut self, record: &CoordinatorRecord) -> Result<(), ApplyError> {
        let volatile = self.unapplied.pop_front().flatten();
        match record::decode(record)? {
            Record::Transaction(id, Some(value)) => {
                let mut transaction = Transaction::from_value(&value)?;
                if let Some(volatile) = volatile {
                    transaction.last_producer_epoch = volatile.last_producer_epoch;
                    transaction.previous_producer_id = volatile.previous_producer_id;
                }
                match transaction.state.is_prepared() {
                    true => self.endings.insert(id.clone()),
                    false => self.endings.remove(&id),
                };
                self.by_id.insert(id, transaction);
            }
            Record::Transaction(id, None) => {
                self.endings.remove(&id);
                self.by_id.remove(&id);
            }
            Record::Other => {}
        }
        Ok(())
    }

    /// The log has been replayed: decisions may be asked for, and what was prepared is to be ended.
    pub fn on_loaded(&mut self, now: Now) {
        self.is_loading = false;
        self.unapplied.clear();
        self.next_abort_ms = now.monotonic_ms;
        self.next_expiry_ms = now.monotonic_ms + self.config.expiry_interval_ms;
    }

    /// When [`Transactions::tick`] is to be called next, on the monotonic clock.
    pub fn next_deadline_ms(&self) -> i64 {
        self.next_abort_ms.min(self.next_expiry_ms)
    }

    /// Decides what is due at `now`: transactions past their timeout are aborted, idle ids forgotten.
    pub fn tick(&mut self, now: Now) -> Decision<()> {
        let mut decided = Decision::unchanged(());
        let mut lasts = VecDeque::new();
        if self.next_abort_ms <= now.monotonic_ms {
            self.next_abort_ms = now.monotonic_ms + self.config.abort_interval_ms;
            self.abort_timed_out(now, &mut decided.records, &mut lasts);
        }
        if self.next_expiry_ms <= now.monotonic_ms {
            self.next_expiry_ms = now.monotonic_ms + self.config.expiry_interval_ms;
            let expired = self
                .by_id
                .iter()
                .filter(|(_, transaction)| self.is_expired(transaction, now));
            for (id, _) in expired {
                decided.records.push(record::tombstone(id));
                lasts.push_back(None);
            }
        }
        self.decided(decided, lasts)
    }

    fn is_expired(&self, transaction: &Transaction, now: Now) -> bool {
        let is_idle = !matches!(transaction.state, TransactionState::Ongoing) && !transaction.state.is_prepared();
        is_idle && transaction.last_update_ms <= now.wall_ms - self.config.id_expiration_ms
    }

    fn abort_timed_out(
        &mut self,
        now: Now,
        records: &mut Vec<CoordinatorRecord>,
        lasts: &mut VecDeque<Option<Volatile>>,
    ) {
        let mut spare = self.spare_producer_id.take();
        let mut is_short = false;
        for (id, transaction) in &self.by_id {
            if !transaction.is_timed_out(now.wall_ms) {
                continue;
            }
            match self.fenced(transaction, spare, now.wall_ms) {
                Some(fenced) => {
                    if fenced.next_producer_id.is_some() {
                        spare = None;
                    }
                    records.push(record::transaction(id, &fenced, self.version));
                    lasts.push_back(Some(fenced.volatile()));
                }
                None => is_short = true,
            }
        }
        self.spare_producer_id = spare;
        self.wants_producer_id |= is_short && self.spare_producer_id.is_none();
    }

    /// Whether a producer id is needed that nobody has asked for; true once.
    pub fn take_wish_for_producer_id(&mut self) -> bool {
        std::mem::take(&mut self.wants_producer_id)
    }

    /// Brings a producer id that was wished for; what waits for it is looked at again at once.
    pub fn bring_producer_id(&mut self, id: ProducerId, now: Now) {
        self.spare_producer_id = Some(id);
        self.next_abort_ms = now.monotonic_ms;
    }

    /// The transaction becomes `next`; `reply` says so.
    fn write<R>(&mut self, id: &Str, next: &Transaction, reply: R) -> Decision<R> {
        let records = vec![record::transaction(id, next, self.version)];
        self.decided(Decision { records, reply }, VecDeque::from([Some(next.volatile())]))
    }

    /// Nothing becomes otherwise.
    fn answer<R>(&mut self, reply: R) -> Decision<R> {
        self.decided(Decision::unchanged(reply), VecDeque::new())
    }

    /// Ends a decision. The one before must have been applied, or this one rests on a state that is not true.
    fn decided<R>(&mut self, decision: Decision<R>, lasts: VecDeque<Option<Volatile>>) -> Decision<R> {
        assert!(!self.is_loading, "decided before the log was replayed");
        assert_eq!(self.unapplied.len(), 0, "decided before the last decision was applied");
        self.unapplied = lasts;
        decision
    }
}

/// Whether an id can be one: Kafka refuses the empty one, and a record's key has 16 bits for its length.
fn check_id(id: &Str) -> Result<(), TransactionError> {
    match id.is_empty() || id.len() > crate::config::MAX_NAME_BYTES {
        true => Err(TransactionError::InvalidRequest),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
