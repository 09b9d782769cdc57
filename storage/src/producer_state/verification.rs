//! Which producers are asking their coordinator whether a partition is part of their transaction (KIP-890).
//!
//! The first records of a transaction are appended only after the coordinator has said that it will write a marker for
//! them; else nobody would, and the last stable offset would stand still for ever. Its word is worth nothing any more
//! once a marker has been appended meanwhile: that may have been the one. So an append shows the guard that was given out
//! before the coordinator was asked, and any append of that transaction, or its marker, takes the guard away.

use std::collections::HashMap;

use ottla_protocol::ids::{ProducerEpoch, ProducerId, TimestampMs};

/// As many producers may wait for the word of their coordinators, in one log. Beyond that the one that has waited
/// longest gives way; its append is refused and it aborts.
const VERIFICATIONS_MAX: usize = 10_000;

/// Names one verification; none is given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationGuard(u64);

/// What an append knows of the transaction that its batches say they are part of, or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionCheck {
    /// Nothing is looked at: another leader has, or `transaction.partition.verification.enable` is off.
    Skipped,
    /// The log must say that the transaction is ongoing.
    Ongoing,
    /// The log must say so, or this must be the latest verification of the producer, with no marker of that transaction
    /// since.
    Verified(VerificationGuard),
    /// The batch ends a transaction that was run under this `transaction.version`.
    Marker {
        /// From 2 on each marker has a higher epoch than the records before it.
        transaction_version: i8,
    },
}

/// Who wants to append the first records of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationRequest {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Of the first record; -1 where sequences are not checked.
    pub first_sequence: i32,
    /// Whether its epoch rises with each transaction (`transaction.version` 2): then sequences begin at 0 in each.
    pub bumps_epochs: bool,
    /// The time, from which a verification ages that nobody ends.
    pub now_ms: TimestampMs,
}

/// One producer that is waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verification {
    pub(super) guard: VerificationGuard,
    epoch: ProducerEpoch,
    lowest_sequence: i32,
    bumps_epochs: bool,
    since_ms: TimestampMs,
}

impl Verification {
    /// The sequence that must come first, if `first_sequence` must not.
    ///
    /// While a batch waits for its coordinator, or has been refused and will come again, those behind it must not be
    /// taken: it would be out of order for ever.
    pub(super) fn awaited_before(&self, first_sequence: i32) -> Option<i32> {
        if self.bumps_epochs && first_sequence != 0 {
            return Some(0);
        }
        (first_sequence > self.lowest_sequence).then_some(self.lowest_sequence)
    }
}

/// The producers of one log that are waiting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verifications {
    by_producer: HashMap<ProducerId, Verification>,
    given_out: u64,
}

impl Verifications {
    pub(super) fn of(&self, id: ProducerId) -> Option<&Verification> {
        self.by_producer.get(&id)
    }

    /// The guard for `request`; the same for all batches of a producer that wait together.
    pub(super) fn begin(&mut self, request: &VerificationRequest) -> VerificationGuard {
        if let Some(waiting) = self.by_producer.get_mut(&request.producer_id) {
            if request.producer_epoch > waiting.epoch {
                waiting.epoch = request.producer_epoch;
                waiting.lowest_sequence = request.first_sequence;
            } else if request.producer_epoch == waiting.epoch {
                waiting.lowest_sequence = waiting.lowest_sequence.min(request.first_sequence);
            }
            return waiting.guard;
        }
        if self.by_producer.len() >= VERIFICATIONS_MAX {
            let oldest = self.by_producer.iter().min_by_key(|(_, waiting)| waiting.guard.0);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.by_producer.remove(&oldest);
            }
        }
        self.given_out += 1;
        let guard = VerificationGuard(self.given_out);
        let waiting = Verification {
            guard,
            epoch: request.producer_epoch,
            lowest_sequence: request.first_sequence,
            bumps_epochs: request.bumps_epochs,
            since_ms: request.now_ms,
        };
        self.by_producer.insert(request.producer_id, waiting);
        guard
    }

    /// Something of a transaction of this producer was appended, whose epoch was `last_epoch` at most.
    pub(super) fn end(&mut self, id: ProducerId, last_epoch: ProducerEpoch) {
        if self.of(id).is_none_or(|waiting| waiting.epoch > last_epoch) {
            return;
        }
        self.by_producer.remove(&id);
        if self.by_producer.is_empty() {
            self.by_producer = HashMap::new();
        }
    }

    pub(super) fn expire(&mut self, now_ms: TimestampMs, expiration_ms: i64) {
        self.by_producer
            .retain(|_, waiting| now_ms.saturating_sub(waiting.since_ms) < expiration_ms);
    }
}
