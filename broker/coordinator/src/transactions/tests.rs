//! Decisions about one transactional id after another; each test names the rule.

mod end;
mod init;
mod model;
mod partitions;
mod replay;

use super::*;
use crate::outcome::Now;

pub(super) const MAX_EPOCH: i16 = i16::MAX - 1;

/// A coordinator whose decisions are applied at once, with its log.
pub(super) struct Driver {
    pub(super) transactions: Transactions,
    pub(super) log: Vec<CoordinatorRecord>,
    pub(super) now_ms: i64,
    next_producer_id: i64,
}

impl Driver {
    pub(super) fn new() -> Self {
        let mut transactions = Transactions::new(TransactionsConfig::default());
        transactions.on_loaded(at(0));
        Self {
            transactions,
            log: Vec::new(),
            now_ms: 0,
            next_producer_id: 100,
        }
    }

    pub(super) fn take<R>(&mut self, decision: Decision<R>) -> R {
        for record in decision.records {
            self.transactions.apply(&record).expect("a decision can be read back");
            self.log.push(record);
        }
        decision.reply
    }

    /// The coordinator starts over with what its log has.
    pub(super) fn reload(&mut self) {
        self.transactions = Transactions::new(TransactionsConfig::default());
        for record in &self.log {
            self.transactions.apply(record).expect("what was written can be read");
        }
        self.transactions.on_loaded(at(self.now_ms));
    }

    fn fresh(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        ProducerId(self.next_producer_id)
    }

    pub(super) fn init(&mut self, id: &str, expected: Option<Producer>) -> Result<Producer, TransactionError> {
        let request = InitProducerId {
            transactional_id: id.into(),
            timeout_ms: 60_000,
            expected,
        };
        let first = self
            .transactions
            .handle_init_producer_id(&request, None, at(self.now_ms));
        match self.take(first) {
            Err(TransactionError::NeedsProducerId) => {
                let fresh = Some(self.fresh());
                let second = self
                    .transactions
                    .handle_init_producer_id(&request, fresh, at(self.now_ms));
                self.take(second)
            }
            decided => decided,
        }
    }

    pub(super) fn add(&mut self, id: &str, producer: Producer, topic: &str) -> Result<(), TransactionError> {
        let now = at(self.now_ms);
        let partitions = [(topic.into(), 0)];
        let decision = self
            .transactions
            .handle_add_partitions(&id.into(), producer, &partitions, 2, now);
        self.take(decision)
    }

    fn ask_to_end(&mut self, request: &EndTxn) -> Result<Producer, TransactionError> {
        let first = self.transactions.handle_end_txn(request, None, at(self.now_ms));
        match self.take(first) {
            Err(TransactionError::NeedsProducerId) => {
                let fresh = Some(self.fresh());
                let second = self.transactions.handle_end_txn(request, fresh, at(self.now_ms));
                self.take(second)
            }
            decided => decided,
        }
    }

    /// EndTxn v5.
    pub(super) fn end(&mut self, id: &str, producer: Producer, is_commit: bool) -> Result<Producer, TransactionError> {
        self.ask_to_end(&EndTxn {
            transactional_id: id.into(),
            producer,
            is_commit,
            client_version: 2,
        })
    }

    /// EndTxn before v5.
    pub(super) fn end_old(
        &mut self,
        id: &str,
        producer: Producer,
        is_commit: bool,
    ) -> Result<Producer, TransactionError> {
        self.ask_to_end(&EndTxn {
            transactional_id: id.into(),
            producer,
            is_commit,
            client_version: 0,
        })
    }

    /// All markers that are due are written.
    pub(super) fn write_markers(&mut self) -> Vec<Ending> {
        let endings = self.transactions.take_endings();
        for ending in &endings {
            let decision = self.transactions.handle_markers_written(ending, at(self.now_ms));
            self.take(decision);
        }
        endings
    }

    pub(super) fn pass_ms(&mut self, ms: i64) {
        self.now_ms += ms;
        let decision = self.transactions.tick(at(self.now_ms));
        self.take(decision);
    }

    pub(super) fn state(&self, id: &str) -> Option<&'static str> {
        self.transactions
            .by_id
            .get(id)
            .map(|transaction| transaction.state.name())
    }

    /// The id with a producer that has used up its epochs.
    pub(super) fn exhaust(&mut self, id: &str) -> Producer {
        let producer = self.init(id, None).expect("a producer");
        let current = self.transactions.by_id.get_mut(id).expect("it is there");
        current.producer.epoch = ProducerEpoch(MAX_EPOCH);
        let record = record::transaction(&id.into(), current, 2);
        self.log.push(record);
        Producer {
            epoch: ProducerEpoch(MAX_EPOCH),
            ..producer
        }
    }
}

pub(super) fn at(ms: i64) -> Now {
    Now {
        monotonic_ms: ms,
        wall_ms: ms,
    }
}

pub(super) fn with_epoch(producer: Producer, epoch: i16) -> Producer {
    Producer {
        epoch: ProducerEpoch(epoch),
        ..producer
    }
}
