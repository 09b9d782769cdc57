//! Producers, the coordinator of their transactions and one log, in an order that a seed decides (KIP-890).
//!
//! The coordinator takes part in a transaction when it is asked, and writes a marker when it ends it; producers ask,
//! append late, send again, go on from an epoch that is out of date. The process is stopped and killed in between. What
//! is always true: no record is in a transaction that its coordinator will not end; the last stable offset is where the
//! first one begins that is open, or whose marker is not below the high watermark; what was aborted is told, and nothing
//! else. `OTTLA_SEED=n` repeats one, `OTTLA_SEEDS=n` runs more.

use std::collections::BTreeMap;

use ottla_protocol::records::EndTransactionMarker;
use ottla_protocol::records::builder::end_transaction_batch;

use super::*;
use crate::producer_state::verification::{VerificationGuard, VerificationRequest};
use crate::testing::Random;

const PRODUCERS: u64 = 4;

/// A producer and what its coordinator knows of it.
#[derive(Debug, Default)]
struct Client {
    epoch: i16,
    next_sequence: i32,
    /// The coordinator has said that the log is part of the transaction that is open now.
    is_part: bool,
    /// An append under way: with what word, and in which transaction that was given.
    pending: Option<(VerificationGuard, u64)>,
    /// Counts its transactions.
    transaction: u64,
    /// Where its open transaction begins in the log.
    start: Option<Offset>,
}

/// A transaction that has ended: where it began, its marker, and whether it was aborted.
#[derive(Clone, Copy, Debug)]
struct Over {
    id: i64,
    start: Offset,
    marker: Offset,
    is_aborted: bool,
}

struct World {
    random: Random,
    dir: Scratch,
    log: Option<Log>,
    /// Whether epochs rise with each transaction.
    bumps_epochs: bool,
    clients: BTreeMap<i64, Client>,
    over: Vec<Over>,
    /// How many of them were over at the last restart.
    over_before: usize,
    high_watermark: Offset,
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = scratch("live-transactions");
        let mut options = clean();
        options.config = small_config();
        Self {
            random: Random::new(seed),
            log: Some(open(dir.path(), &options)),
            dir,
            bumps_epochs: seed % 2 == 0,
            clients: (0..PRODUCERS as i64).map(|id| (id, Client::default())).collect(),
            over: Vec::new(),
            over_before: 0,
            high_watermark: 0,
        }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn step(&mut self) {
        let id = self.random.below(PRODUCERS) as i64;
        match self.random.below(16) {
            0..=4 => self.ask(id),
            5..=9 => self.append(id),
            10 | 11 => self.end(id),
            12 => self.append_out_of_date(id),
            13 | 14 => self.commit(),
            _ => self.restart(),
        }
        self.check();
    }

    /// The producer sends; where the log wants it, the coordinator is asked, and may say no.
    fn ask(&mut self, id: i64) {
        let client = &self.clients[&id];
        let asked = self.log().begin_verification(&VerificationRequest {
            producer_id: ProducerId(id),
            producer_epoch: ProducerEpoch(client.epoch),
            first_sequence: client.next_sequence,
            bumps_epochs: self.bumps_epochs,
            now_ms: 1_000,
        });
        let guard = asked.unwrap();
        assert_eq!(
            guard.is_none(),
            client.start.is_some(),
            "what is ongoing is not asked about"
        );
        let says_yes = self.random.below(4) > 0;
        let client = self.clients.get_mut(&id).unwrap();
        if let (Some(guard), true) = (guard, says_yes) {
            client.is_part = true;
            client.pending = Some((guard, client.transaction));
        }
    }

    /// The batch is appended, perhaps long after the coordinator was asked.
    fn append(&mut self, id: i64) {
        let client = &self.clients[&id];
        let check = match client.pending {
            Some((guard, _)) => TransactionCheck::Verified(guard),
            None => TransactionCheck::Ongoing,
        };
        let is_late = client
            .pending
            .is_none_or(|(_, transaction)| transaction != client.transaction);
        let appended = self.produce(id, client.epoch, client.next_sequence, check);
        let end = self.log().log_end_offset();
        let client = self.clients.get_mut(&id).unwrap();
        client.pending = None;
        match appended {
            Ok(appended) => {
                assert!(client.is_part, "nobody will end it");
                client.start.get_or_insert(appended.base_offset);
                client.next_sequence += 1;
                assert_eq!(appended.last_offset + 1, end);
            }
            Err(AppendError::NotInTransaction { .. }) => {
                assert!(client.start.is_none() && is_late, "{client:?}");
            }
            Err(error) => panic!("{error}: {client:?}"),
        }
    }

    fn produce(
        &self,
        id: i64,
        epoch: i16,
        sequence: i32,
        transaction: TransactionCheck,
    ) -> Result<Appended, AppendError> {
        let mut builder = BatchBuilder::new()
            .producer(ProducerId(id), ProducerEpoch(epoch), sequence)
            .transactional();
        builder.append(&NewRecord::of(1_000, b"key", &[b'v'; 300]));
        self.log().append(Append {
            transaction,
            ..client(&builder.build())
        })
    }

    /// A batch of an epoch that is over, or one that was appended before.
    fn append_out_of_date(&mut self, id: i64) {
        let client = &self.clients[&id];
        let (epoch, sequence) = (client.epoch, client.next_sequence);
        let end = self.log().log_end_offset();
        if client.start.is_some() {
            let again = self.produce(id, epoch, sequence - 1, TransactionCheck::Ongoing);
            assert!(again.unwrap().is_duplicate);
        } else if epoch > 0 {
            let late = self.produce(id, epoch - 1, sequence, TransactionCheck::Skipped);
            assert!(matches!(late, Err(AppendError::InvalidProducerEpoch { .. })));
        }
        assert_eq!(self.log().log_end_offset(), end);
    }

    /// The coordinator ends the transaction, if there is one.
    fn end(&mut self, id: i64) {
        let is_aborted = self.random.below(2) == 0;
        let bumps_epochs = self.bumps_epochs;
        let client = self.clients.get_mut(&id).unwrap();
        if !client.is_part {
            return;
        }
        client.transaction += 1;
        client.is_part = false;
        if bumps_epochs {
            (client.epoch, client.next_sequence) = (client.epoch + 1, 0);
        }
        let (epoch, start) = (client.epoch, client.start.take());
        let marker = EndTransactionMarker {
            is_commit: !is_aborted,
            coordinator_epoch: 0,
        };
        let marker = end_transaction_batch(marker, ProducerId(id), ProducerEpoch(epoch), 1_000);
        let appended = self.log().append(Append {
            origin: AppendOrigin::Coordinator,
            transaction: TransactionCheck::Marker {
                transaction_version: if bumps_epochs { 2 } else { 1 },
            },
            ..super::client(&marker)
        });
        let marker = appended.unwrap().base_offset;
        self.over.extend(start.map(|start| Over {
            id,
            start,
            marker,
            is_aborted,
        }));
        if bumps_epochs {
            // The word was given to an epoch that is over: the producer begins anew.
            self.clients.get_mut(&id).unwrap().pending = None;
        }
    }

    fn commit(&mut self) {
        let end = self.log().log_end_offset();
        let range = (end - self.high_watermark + 1).unsigned_abs();
        self.high_watermark += self.random.below(range) as i64;
        self.log().set_high_watermark(self.high_watermark);
    }

    /// Stops, or is killed. Who waits for the coordinator's word has to ask again.
    fn restart(&mut self) {
        let log = self.log.take().unwrap();
        let mut options = match self.random.below(2) {
            0 => {
                log.close().unwrap();
                clean()
            }
            _ => unclean(),
        };
        drop(log);
        options.high_watermark = self.high_watermark;
        options.config = small_config();
        self.log = Some(open(self.dir.path(), &options));
        self.over_before = self.over.len();
        self.clients.values_mut().for_each(|client| client.pending = None);
    }

    /// Where it is if of the transactions that are over those from number `known` on are known.
    fn last_stable_offset(&self, known: usize) -> Offset {
        let open = self.clients.values().filter_map(|client| client.start);
        let over = self.over[known..].iter();
        let unreplicated = over.filter(|over| over.marker >= self.high_watermark);
        let first_unstable = open.chain(unreplicated.map(|over| over.start)).min();
        first_unstable.unwrap_or(Offset::MAX).min(self.high_watermark)
    }

    fn check(&self) {
        // What was over before a restart may be known from a snapshot, which has open transactions only.
        let range = self.last_stable_offset(0)..=self.last_stable_offset(self.over_before);
        let found = self.log().last_stable_offset();
        assert!(range.contains(&found), "{found} is not in {range:?}");
        let mut aborted: Vec<(i64, Offset, Offset)> = self
            .over
            .iter()
            .filter(|over| over.is_aborted)
            .map(|over| (over.id, over.start, over.marker))
            .collect();
        aborted.sort_by_key(|(_, start, _)| *start);
        let told = self.log().aborted_transactions(0, Offset::MAX).unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|each| (each.producer_id.0, each.first_offset, each.last_offset))
            .collect();
        assert_eq!(told, aborted);
        for producer in self.log().producers() {
            let client = &self.clients[&producer.producer_id.0];
            assert_eq!(producer.current_txn_start_offset, client.start);
        }
    }
}

#[test]
fn nothing_is_in_a_transaction_that_nobody_will_end() {
    crate::testing::for_each_seed(30, |seed| {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        for id in 0..PRODUCERS as i64 {
            world.end(id);
        }
        world.high_watermark = world.log().log_end_offset();
        world.log().set_high_watermark(world.high_watermark);
        world.check();
        assert_eq!(world.log().last_stable_offset(), world.high_watermark);
    });
}
