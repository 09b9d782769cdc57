//! One transactional id: its producer, and its transaction, if there is one.

use super::Volatile;
use crate::record::ApplyError;
use ottla_protocol::{
    Str,
    ids::{ProducerEpoch, ProducerId, TimestampMs},
    messages::{TransactionLogValue, transaction_log_value::PartitionsSchema},
};
use std::collections::{BTreeMap, BTreeSet};

/// A producer as clients name it: an id and which incarnation of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Fences those before it.
    pub epoch: ProducerEpoch,
}

impl Producer {
    /// Whether no later epoch may be given to a client: the last one is kept for fencing.
    pub(super) fn is_exhausted(self) -> bool {
        self.epoch.0 >= i16::MAX - 1
    }
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum TransactionState {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl TransactionState {
    /// All that a transaction can be found in, in the order of their numbers in records.
    const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// The name in DescribeTransactions and ListTransactions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// The state that Kafka calls `name`. `Dead` and `PrepareEpochFence` are names too, of which nothing is ever found.
    pub fn is_known(name: &str) -> bool {
        let is_passing = matches!(name, "Dead" | "PrepareEpochFence");
        is_passing || Self::ALL.iter().any(|state| state.name() == name)
    }

    /// Whether markers are being written.
    pub(super) fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// What it becomes when all markers are written.
    pub(super) fn completed(self) -> Self {
        match self {
            Self::PrepareCommit => Self::CompleteCommit,
            _ => Self::CompleteAbort,
        }
    }

    pub(super) fn number(self) -> i8 {
        self as i8
    }

    fn of(number: i8) -> Result<Self, ApplyError> {
        let found = usize::try_from(number).ok().and_then(|index| Self::ALL.get(index));
        found.copied().ok_or(ApplyError::UnknownTransactionStatus(number))
    }
}

/// The partitions of a transaction, by topic.
pub(super) type Partitions = BTreeMap<Str, BTreeSet<i32>>;

/// What is known of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) producer: Producer,
    /// The producer id before the last change; a client whose answer got lost may still have it.
    pub(super) previous_producer_id: ProducerId,
    /// The producer id that comes with the end of the transaction, if epochs are used up.
    pub(super) next_producer_id: ProducerId,
    /// The epoch before, if the producer is the one that had it and may not have heard of the later one. Volatile.
    pub(super) last_producer_epoch: ProducerEpoch,
    pub(super) timeout_ms: i32,
    pub(super) state: TransactionState,
    pub(super) partitions: Partitions,
    pub(super) start_ms: TimestampMs,
    pub(super) last_update_ms: TimestampMs,
    /// `transaction.version` as its client plays it.
    pub(super) client_version: i8,
}

impl Transaction {
    pub(super) fn from_value(value: &TransactionLogValue) -> Result<Self, ApplyError> {
        let state = TransactionState::of(value.transaction_status)?;
        let mut partitions = Partitions::new();
        for topic in value.transaction_partitions.iter().flatten() {
            let of_topic = partitions.entry(topic.topic.detached()).or_default();
            of_topic.extend(&topic.partition_ids);
        }
        Ok(Self {
            producer: Producer {
                id: ProducerId(value.producer_id),
                epoch: ProducerEpoch(value.producer_epoch),
            },
            previous_producer_id: ProducerId(value.previous_producer_id),
            next_producer_id: ProducerId(value.next_producer_id),
            last_producer_epoch: ProducerEpoch::NONE,
            timeout_ms: value.transaction_timeout_ms,
            state,
            partitions,
            start_ms: value.transaction_start_timestamp_ms,
            last_update_ms: value.transaction_last_update_timestamp_ms,
            client_version: i8::try_from(value.client_transaction_version).unwrap_or(i8::MAX),
        })
    }

    /// The value of its record; the fields that version 0 lacks are left out there.
    pub(super) fn to_value(&self, version: i16) -> TransactionLogValue {
        let topics = self.partitions.iter().map(|(topic, indexes)| PartitionsSchema {
            topic: topic.clone(),
            partition_ids: indexes.iter().copied().collect(),
        });
        let mut value = TransactionLogValue {
            producer_id: self.producer.id.0,
            producer_epoch: self.producer.epoch.0,
            transaction_timeout_ms: self.timeout_ms,
            transaction_status: self.state.number(),
            transaction_partitions: (self.state != TransactionState::Empty).then(|| topics.collect()),
            transaction_last_update_timestamp_ms: self.last_update_ms,
            transaction_start_timestamp_ms: self.start_ms,
            ..Default::default()
        };
        if version > 0 {
            value.previous_producer_id = self.previous_producer_id.0;
            value.next_producer_id = self.next_producer_id.0;
            value.client_transaction_version = self.client_version.into();
        }
        value
    }

    pub(super) fn volatile(&self) -> Volatile {
        Volatile {
            last_producer_epoch: self.last_producer_epoch,
            previous_producer_id: self.previous_producer_id,
        }
    }

    /// The same at `now_ms`, to be changed.
    pub(super) fn next(&self, now_ms: TimestampMs) -> Self {
        Self {
            previous_producer_id: self.producer.id,
            last_update_ms: now_ms,
            ..self.clone()
        }
    }

    pub(super) fn is_timed_out(&self, now_ms: TimestampMs) -> bool {
        self.state == TransactionState::Ongoing && self.start_ms + i64::from(self.timeout_ms) < now_ms
    }

    pub(super) fn has(&self, topic: &str, index: i32) -> bool {
        self.partitions
            .get(topic)
            .is_some_and(|indexes| indexes.contains(&index))
    }
}
