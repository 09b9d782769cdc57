//! What a partition knows of each idempotent or transactional producer (KIP-98): its epoch, its last five batches and
//! its open transaction.
//!
//! [`ProducerState::check`] decides whether a batch may be appended and changes nothing; [`ProducerState::apply`] makes
//! an appended batch known, never refuses, and is what recovery replays the log through. A batch that was appended
//! before is recognised by its sequence range and answered with the offsets it got then, which are kept here: the data
//! may long be deleted.
//!
//! The state at an offset is kept in a `.snapshot` file, see [`snapshot`]. Producers are forgotten some time after
//! their last batch (`producer.id.expiration.ms`), or when there are too many of them, never because their data is
//! deleted nor while they have a transaction open. Which of them wait for their coordinator's word is in
//! [`verification`] and nowhere else: a restart ends the wait.

pub(crate) mod snapshot;
pub(crate) mod verification;

use std::collections::{BTreeMap, HashMap};

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use ottla_protocol::records::batch::{HEADER_BYTES, increment_sequence};
use ottla_protocol::records::record::records;
use ottla_protocol::records::{BatchHeader, EndTransactionMarker};

use crate::index::txn::AbortedTransaction;
use verification::{TransactionCheck, Verification, VerificationGuard, VerificationRequest, Verifications};

/// As many batches as a client may have in flight, so that each of them can be repeated.
const BATCHES_KEPT: usize = 5;

/// The most producers without an open transaction that a log remembers. Clients that take a new producer id for each
/// batch could fill the memory otherwise; of one that was forgotten any sequence is taken, as after its expiration.
const PRODUCERS_MAX: usize = 250_000;
/// As many are forgotten together, those that have been silent longest: looking for them means looking at all.
const FORGOTTEN_AT_ONCE: usize = PRODUCERS_MAX / 16;

/// Who appends, which decides what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client's Produce: sequences and epochs must fit.
    Client,
    /// Fetched from the leader, which has checked: offsets and epochs are taken as they are.
    Replica,
    /// The broker itself, as group or transaction coordinator: epochs must fit, sequences are not checked.
    Coordinator,
}

/// A batch that was appended, as far as it takes to recognise and answer its repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its last offset less its first one.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: TimestampMs,
}

impl AppendedBatch {
    /// Sequence of its first record.
    pub fn first_sequence(&self) -> i32 {
        // 0 comes after i32::MAX, so there are 2^31 sequence numbers to count back in.
        (i64::from(self.last_sequence) - i64::from(self.offset_delta)).rem_euclid(1 << 31) as i32
    }

    /// Offset of its first record.
    pub fn base_offset(&self) -> Offset {
        self.last_offset - Offset::from(self.offset_delta)
    }
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    epoch: ProducerEpoch,
    coordinator_epoch: i32,
    last_timestamp: TimestampMs,
    transaction_start: Option<Offset>,
    /// The first `kept` are the last batches of this epoch, oldest first.
    batches: [AppendedBatch; BATCHES_KEPT],
    kept: u8,
}

/// A batch about to be appended, or appended, as producer state sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerBatch {
    pub(crate) header: BatchHeader,
    /// Where it is, or will be, in the log.
    pub(crate) base_offset: Offset,
    /// Of a control batch that ends a transaction.
    pub(crate) marker: Option<EndTransactionMarker>,
}

impl ProducerBatch {
    /// The batch with this header and these bytes at `base_offset`.
    pub(crate) fn new(header: BatchHeader, bytes: &[u8], base_offset: Offset) -> Self {
        let marker = header
            .attributes
            .is_control()
            .then(|| end_marker(&header, bytes))
            .flatten();
        Self {
            header,
            base_offset,
            marker,
        }
    }

    pub(crate) fn last_offset(&self) -> Offset {
        self.base_offset.saturating_add(self.header.last_offset_delta.into())
    }
}

/// The marker in a control batch. There is none in a batch that compaction has emptied, nor in the quorum's.
fn end_marker(header: &BatchHeader, bytes: &[u8]) -> Option<EndTransactionMarker> {
    // Control batches are never compressed.
    let record = records(bytes.get(HEADER_BYTES..)?, header.records_count).next()?.ok()?;
    EndTransactionMarker::parse(record.key, record.value).ok()?
}

/// Why a batch may not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    Duplicate(AppendedBatch),
    DuplicateOfForgotten { last_sequence: i32 },
    OutOfOrderSequence { expected: i32, first_sequence: i32 },
    InvalidProducerEpoch { current: ProducerEpoch },
    TransactionIsOpen,
    NotVerified,
    CoordinatorFenced { current: i32 },
}

/// Who appends, and what is known of the transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) origin: AppendOrigin,
    pub(crate) transaction: TransactionCheck,
}

/// What DescribeProducers says of a producer (KIP-664).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its latest epoch.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of its last record; -1 if none is known.
    pub last_sequence: i32,
    /// The largest timestamp of its last batch.
    pub last_timestamp: TimestampMs,
    /// Epoch of the coordinator that wrote its last marker; -1 if none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub current_txn_start_offset: Option<Offset>,
}

/// What shows how far a producer has come: its last data, or, if there is none of its epoch, the marker that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    pub(crate) data_offset: Option<Offset>,
    pub(crate) producer_epoch: ProducerEpoch,
}

const NO_BATCH: AppendedBatch = AppendedBatch {
    last_sequence: -1,
    last_offset: -1,
    offset_delta: 0,
    timestamp: -1,
};

impl Producer {
    const UNKNOWN: Self = Self {
        epoch: ProducerEpoch::NONE,
        coordinator_epoch: -1,
        last_timestamp: -1,
        transaction_start: None,
        batches: [NO_BATCH; BATCHES_KEPT],
        kept: 0,
    };

    fn batches(&self) -> &[AppendedBatch] {
        &self.batches[..usize::from(self.kept)]
    }

    fn last_batch(&self) -> AppendedBatch {
        self.batches().last().copied().unwrap_or(NO_BATCH)
    }

    fn add_batch(&mut self, batch: AppendedBatch) {
        let kept = usize::from(self.kept);
        if kept == BATCHES_KEPT {
            self.batches.copy_within(1.., 0);
            self.batches[BATCHES_KEPT - 1] = batch;
        } else {
            self.batches[kept] = batch;
            self.kept += 1;
        }
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.kept = 0;
        }
    }

    fn check(&self, batch: &ProducerBatch, terms: Terms, waiting: Option<&Verification>) -> Result<(), Rejection> {
        let header = &batch.header;
        let is_clients = terms.origin == AppendOrigin::Client;
        if is_clients && !header.attributes.is_control() {
            self.check_repetition(header)?;
        }
        if let Some(marker) = batch.marker {
            return self.check_marker(header.producer_epoch, marker, terms.transaction);
        }
        self.check_epoch(header.producer_epoch)?;
        let is_transactional = header.attributes.is_transactional() && !header.attributes.is_control();
        if is_transactional && !self.is_ongoing(header.producer_epoch) && !is_verified(terms.transaction, waiting) {
            return Err(Rejection::NotVerified);
        }
        if is_clients {
            let first_sequence = header.base_sequence;
            if let Some(expected) = waiting.and_then(|waiting| waiting.awaited_before(first_sequence)) {
                return Err(Rejection::OutOfOrderSequence {
                    expected,
                    first_sequence,
                });
            }
            self.check_sequence(header)?;
        }
        if self.transaction_start.is_some() && !header.attributes.is_transactional() {
            return Err(Rejection::TransactionIsOpen);
        }
        Ok(())
    }

    fn check_epoch(&self, epoch: ProducerEpoch) -> Result<(), Rejection> {
        match epoch < self.epoch {
            true => Err(Rejection::InvalidProducerEpoch { current: self.epoch }),
            false => Ok(()),
        }
    }

    /// Whether a transaction of that epoch has records here and no marker.
    fn is_ongoing(&self, epoch: ProducerEpoch) -> bool {
        self.transaction_start.is_some() && self.epoch == epoch
    }

    /// From `transaction.version` 2 on the epoch of a marker is higher than that of the records it ends: an equal one is
    /// late, and would end the transaction after its own. Where nothing is open it is the same marker once more.
    fn check_marker(
        &self,
        epoch: ProducerEpoch,
        marker: EndTransactionMarker,
        transaction: TransactionCheck,
    ) -> Result<(), Rejection> {
        self.check_epoch(epoch)?;
        let has_own_epoch = matches!(
            transaction,
            TransactionCheck::Marker {
                transaction_version: 2..
            }
        );
        if has_own_epoch && self.is_ongoing(epoch) {
            return Err(Rejection::InvalidProducerEpoch { current: self.epoch });
        }
        match self.coordinator_epoch > marker.coordinator_epoch {
            true => Err(Rejection::CoordinatorFenced {
                current: self.coordinator_epoch,
            }),
            false => Ok(()),
        }
    }

    fn check_repetition(&self, header: &BatchHeader) -> Result<(), Rejection> {
        if header.producer_epoch != self.epoch {
            return Ok(());
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        let is_same = |kept: &&AppendedBatch| kept.first_sequence() == first && kept.last_sequence == last;
        if let Some(kept) = self.batches().iter().find(is_same) {
            return Err(Rejection::Duplicate(*kept));
        }
        match self.batches().first() {
            Some(oldest)
                if first <= last && last < oldest.first_sequence() && oldest.first_sequence() - last < 1 << 30 =>
            {
                Err(Rejection::DuplicateOfForgotten { last_sequence: last })
            }
            _ => Ok(()),
        }
    }

    /// Without a known epoch any sequence may come: the producer may have expired, or its data been deleted.
    fn check_sequence(&self, header: &BatchHeader) -> Result<(), Rejection> {
        let first_sequence = header.base_sequence;
        if !self.epoch.is_some() {
            return Ok(());
        }
        let expected = match self.last_batch().last_sequence {
            _ if header.producer_epoch != self.epoch => 0,
            -1 => 0,
            last => increment_sequence(last, 1),
        };
        if first_sequence == expected {
            return Ok(());
        }
        Err(Rejection::OutOfOrderSequence {
            expected,
            first_sequence,
        })
    }

    /// Makes the batch known. Returns the transaction that it ends: where it began, and whether it was aborted.
    fn apply(&mut self, batch: &ProducerBatch) -> Option<(Offset, bool)> {
        let header = &batch.header;
        if header.attributes.is_control() {
            let Some(marker) = batch.marker else {
                // Compaction has taken the marker with its transaction, and left the batch for its epoch, which fences.
                if header.producer_epoch > self.epoch {
                    self.enter_epoch(header.producer_epoch);
                    self.last_timestamp = header.max_timestamp;
                }
                return None;
            };
            self.enter_epoch(header.producer_epoch);
            self.coordinator_epoch = marker.coordinator_epoch;
            self.last_timestamp = header.max_timestamp;
            return Some((self.transaction_start.take()?, !marker.is_commit));
        }
        self.enter_epoch(header.producer_epoch);
        self.add_batch(AppendedBatch {
            last_sequence: header.last_sequence(),
            last_offset: batch.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        self.last_timestamp = header.max_timestamp;
        if header.attributes.is_transactional() && self.transaction_start.is_none() {
            self.transaction_start = Some(batch.base_offset);
        }
        None
    }
}

fn is_verified(transaction: TransactionCheck, waiting: Option<&Verification>) -> bool {
    match transaction {
        TransactionCheck::Skipped => true,
        TransactionCheck::Verified(guard) => waiting.is_some_and(|waiting| waiting.guard == guard),
        TransactionCheck::Ongoing | TransactionCheck::Marker { .. } => false,
    }
}

/// The producers of one log.
#[derive(Debug, Default)]
pub(crate) struct ProducerState {
    producers: HashMap<ProducerId, Producer>,
    verifications: Verifications,
    /// First offset of each open transaction.
    open: BTreeMap<Offset, ProducerId>,
    /// First offset of ended transactions whose marker is not below the high watermark, and the marker's offset.
    unreplicated: BTreeMap<Offset, Offset>,
}

impl ProducerState {
    pub(crate) fn count(&self) -> usize {
        self.producers.len()
    }

    /// Whether `batches` may be appended one after another. The first that may not decides.
    pub(crate) fn check<'a>(
        &self,
        batches: &'a [ProducerBatch],
        terms: Terms,
    ) -> Result<(), (&'a ProducerBatch, Rejection)> {
        let mut changed: Vec<(ProducerId, Producer)> = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            let id = batch.header.producer_id;
            if !id.is_some() {
                continue;
            }
            let changed_at = changed.iter().position(|(other, _)| *other == id);
            let producer = match changed_at {
                Some(at) => &changed[at].1,
                None => self.producers.get(&id).unwrap_or(&Producer::UNKNOWN),
            };
            let waiting = self.verifications.of(id);
            let checked = producer.check(batch, terms, waiting);
            checked.map_err(|rejection| (batch, rejection))?;
            if at + 1 < batches.len() {
                let mut producer = producer.clone();
                producer.apply(batch);
                match changed_at {
                    Some(at) => changed[at].1 = producer,
                    None => changed.push((id, producer)),
                }
            }
        }
        Ok(())
    }

    /// What a producer has been told of the transaction that this batch is part of, or ends, is worth nothing any more.
    ///
    /// A producer may ask for its next transaction before the marker of the last one is here. From `transaction.version`
    /// 2 on a marker's epoch is that of the next transaction, whose verification goes on.
    pub(crate) fn end_verification(&mut self, batch: &ProducerBatch, transaction: TransactionCheck) {
        let header = &batch.header;
        let has_own_epoch = matches!(
            transaction,
            TransactionCheck::Marker {
                transaction_version: 2..
            }
        );
        let last_epoch = match has_own_epoch {
            true => ProducerEpoch(header.producer_epoch.0.saturating_sub(1)),
            false => header.producer_epoch,
        };
        if header.attributes.is_transactional() {
            self.verifications.end(header.producer_id, last_epoch);
        }
    }

    /// Makes an appended batch known. Returns the transaction that it aborts, if it does.
    pub(crate) fn apply(&mut self, batch: &ProducerBatch) -> Option<AbortedTransaction> {
        let id = batch.header.producer_id;
        let last_offset = batch.last_offset();
        if !id.is_some() {
            return None;
        }
        if self.producers.len() >= PRODUCERS_MAX && !self.producers.contains_key(&id) {
            self.forget_most_silent();
        }
        let producer = self.producers.entry(id).or_insert(Producer::UNKNOWN);
        let had_transaction = producer.transaction_start.is_some();
        let ended = producer.apply(batch);
        if let (false, Some(start)) = (had_transaction, producer.transaction_start) {
            self.open.insert(start, id);
        }
        let (first_offset, is_aborted) = ended?;
        self.open.remove(&first_offset);
        self.unreplicated.insert(first_offset, last_offset);
        let last_stable_offset = self.open.keys().next().copied().unwrap_or(last_offset + 1);
        is_aborted.then_some(AbortedTransaction {
            producer_id: id,
            first_offset,
            last_offset,
            last_stable_offset,
        })
    }

    /// Where the first transaction begins that is open, or whose end is not replicated yet.
    pub(crate) fn first_unstable_offset(&self) -> Option<Offset> {
        let open = self.open.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        open.into_iter().chain(unreplicated).min().copied()
    }

    /// Forgets ended transactions whose marker is below the high watermark.
    pub(crate) fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|_, marker| *marker >= high_watermark);
    }

    /// Forgets producers whose last batch is older than `expiration_ms`, unless they have a transaction open.
    pub(crate) fn expire(&mut self, now_ms: TimestampMs, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.transaction_start.is_some() || now_ms.saturating_sub(producer.last_timestamp) < expiration_ms
        });
        self.verifications.expire(now_ms, expiration_ms);
    }

    /// Makes room for [`FORGOTTEN_AT_ONCE`] more producers, or as many as have no transaction open.
    fn forget_most_silent(&mut self) {
        let idle = self
            .producers
            .values()
            .filter(|producer| producer.transaction_start.is_none());
        let mut timestamps: Vec<TimestampMs> = idle.map(|producer| producer.last_timestamp).collect();
        let Some(last) = timestamps.len().min(FORGOTTEN_AT_ONCE).checked_sub(1) else {
            return;
        };
        let (_, newest, _) = timestamps.select_nth_unstable(last);
        let (newest, mut room) = (*newest, FORGOTTEN_AT_ONCE);
        self.producers.retain(|_, producer| {
            let is_kept = room == 0 || producer.transaction_start.is_some() || producer.last_timestamp > newest;
            room -= usize::from(!is_kept);
            is_kept
        });
    }

    /// What has to happen before the first records of a transaction may be appended: the guard to show then, `None` if
    /// the transaction is ongoing here.
    ///
    /// # Errors
    /// InvalidProducerEpoch: a newer incarnation has been here.
    pub(crate) fn begin_verification(
        &mut self,
        request: &VerificationRequest,
    ) -> Result<Option<VerificationGuard>, Rejection> {
        if let Some(producer) = self.producers.get(&request.producer_id) {
            producer.check_epoch(request.producer_epoch)?;
            if producer.is_ongoing(request.producer_epoch) {
                return Ok(None);
            }
        }
        Ok(Some(self.verifications.begin(request)))
    }

    /// Who waits, for the log that takes the place of this one.
    pub(crate) fn verifications(&self) -> &Verifications {
        &self.verifications
    }

    /// Takes over who waits from the log that this one takes the place of.
    pub(crate) fn adopt(&mut self, verifications: Verifications) {
        self.verifications = verifications;
    }

    /// What compaction must not take away.
    pub(crate) fn last_records(&self) -> HashMap<ProducerId, LastRecord> {
        let last = |producer: &Producer| LastRecord {
            data_offset: producer.batches().last().map(|batch| batch.last_offset),
            producer_epoch: producer.epoch,
        };
        self.producers
            .iter()
            .map(|(id, producer)| (*id, last(producer)))
            .collect()
    }

    /// All producers, in the order of their ids.
    pub(crate) fn describe(&self) -> Vec<ProducerDescription> {
        let describe = |(id, producer): (&ProducerId, &Producer)| ProducerDescription {
            producer_id: *id,
            producer_epoch: producer.epoch,
            last_sequence: producer.last_batch().last_sequence,
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_start_offset: producer.transaction_start,
        };
        let mut all: Vec<_> = self.producers.iter().map(describe).collect();
        all.sort_by_key(|producer| producer.producer_id);
        all
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
