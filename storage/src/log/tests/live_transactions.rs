//! Producers, the coordinator of their transactions and one log, in an order that a seed decides (KIP-890).
//!
//! The coordinator takes part in a transaction when it is asked, and writes a marker when it ends it; producers ask,
//! append late, send again, go on from an epoch that is out of date. The process is stopped and killed in between, and
//! power is lost; what the log has then is read batch by batch, and what it knows is held against that. What is always true: no record is in a transaction that its coordinator will not end; the last stable offset is where the
//! first one begins that is open, or whose marker is not below the high watermark; what was aborted is told, and nothing
//! else. `OTTLA_SEED=n` repeats one, `OTTLA_SEEDS=n` runs more.

use std::collections::BTreeMap;

use ottla_protocol::records::batch::HEADER_BYTES;
use ottla_protocol::records::builder::end_transaction_batch;
use ottla_protocol::records::record::records;
use ottla_protocol::records::{BatchHeader, EndTransactionMarker};

use super::*;
use crate::disk::faulty::FaultyDisk;
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
    /// The marker of the last transaction, which is not written yet: whether it aborts. Until it is the coordinator takes
    /// no other one.
    ending: Option<bool>,
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
    disk: FaultyDisk,
    log: Option<Log>,
    /// Whether epochs rise with each transaction.
    bumps_epochs: bool,
    clients: BTreeMap<i64, Client>,
    over: Vec<Over>,
    /// How many of them were over at the last restart.
    over_before: usize,
    high_watermark: Offset,
    /// Before this a power loss takes nothing.
    flushed: Offset,
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = FaultyDisk::default();
        Self {
            random: Random::new(seed),
            log: Some(open_on(&disk, clean())),
            disk,
            bumps_epochs: seed.is_multiple_of(2),
            clients: (0..PRODUCERS as i64).map(|id| (id, Client::default())).collect(),
            over: Vec::new(),
            over_before: 0,
            high_watermark: 0,
            flushed: 0,
        }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn step(&mut self) {
        let id = self.random.below(PRODUCERS) as i64;
        match self.random.below(17) {
            0..=4 => self.ask(id),
            5..=9 => self.append(id),
            10 => self.prepare(id),
            11 => self.end(id),
            12 => self.append_out_of_date(id),
            13 | 14 => self.commit(),
            15 => self.flushed = self.log().sync().unwrap(),
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
        let is_ongoing = client.start.is_some() && (client.ending.is_none() || !self.bumps_epochs);
        assert_eq!(guard.is_none(), is_ongoing, "what is ongoing is not asked about");
        if client.ending.is_some() && self.random.below(2) == 0 {
            // The coordinator is asked again until the last transaction is over. With the guard that was given out.
            self.end(id);
        }
        let says_yes = self.clients[&id].ending.is_none() && self.random.below(4) > 0;
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
                let is_over = client.start.is_none() || client.ending.is_some();
                assert!(is_over && is_late, "{client:?}");
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
        if client.ending.is_some() {
            return;
        }
        if client.start.is_some() {
            let again = self.produce(id, epoch, sequence - 1, TransactionCheck::Ongoing);
            assert!(again.unwrap().is_duplicate);
        } else if epoch > 0 {
            let late = self.produce(id, epoch - 1, sequence, TransactionCheck::Skipped);
            assert!(matches!(late, Err(AppendError::InvalidProducerEpoch { .. })));
        }
        assert_eq!(self.log().log_end_offset(), end);
    }

    /// The coordinator fixes how the transaction ends, if there is one; the producer goes on. Where epochs do not rise it may
    /// not go on before the marker is there.
    fn prepare(&mut self, id: i64) {
        let is_aborted = self.random.below(2) == 0;
        let bumps_epochs = self.bumps_epochs;
        let client = self.clients.get_mut(&id).unwrap();
        if !client.is_part {
            return;
        }
        client.transaction += 1;
        client.is_part = false;
        client.ending = Some(is_aborted);
        if bumps_epochs {
            (client.epoch, client.next_sequence) = (client.epoch + 1, 0);
            // The word was given to an epoch that is over: the producer begins anew.
            client.pending = None;
        } else {
            self.end(id);
        }
    }

    /// The marker is written.
    fn end(&mut self, id: i64) {
        let client = self.clients.get_mut(&id).unwrap();
        let Some(is_aborted) = client.ending.take() else {
            return;
        };
        let (epoch, start) = (client.epoch, client.start.take());
        let marker = EndTransactionMarker {
            is_commit: !is_aborted,
            coordinator_epoch: 0,
        };
        let marker = end_transaction_batch(marker, ProducerId(id), ProducerEpoch(epoch), 1_000);
        let appended = self.log().append(Append {
            origin: AppendOrigin::Coordinator,
            transaction: TransactionCheck::Marker {
                transaction_version: if self.bumps_epochs { 2 } else { 1 },
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
    }

    fn commit(&mut self) {
        let end = self.log().log_end_offset();
        let range = (end - self.high_watermark + 1).unsigned_abs();
        self.high_watermark += self.random.below(range) as i64;
        self.log().set_high_watermark(self.high_watermark);
    }

    /// Stops, is killed, or loses power. Who waits for the coordinator's word has to ask again.
    fn restart(&mut self) {
        let log = self.log.take().unwrap();
        let (kind, mut options) = (self.random.below(3), unclean());
        if kind == 0 {
            log.close().unwrap();
            options = clean();
        }
        drop(log);
        if kind == 2 {
            self.disk.power_loss(&mut self.random);
            // Nothing was promised beyond what is on the disk.
            self.high_watermark = self.high_watermark.min(self.flushed);
            options.recovery_point = self.flushed;
        }
        options.high_watermark = self.high_watermark;
        self.log = Some(open_on(&self.disk, options));
        if kind == 2 {
            self.read_again();
        }
        self.over_before = self.over.len();
        self.clients.values_mut().for_each(|client| client.pending = None);
    }

    /// What the batches say that are left. The coordinator ends what is open there, and nothing else.
    fn read_again(&mut self) {
        self.over.clear();
        for client in self.clients.values_mut() {
            *client = Client {
                transaction: client.transaction + 1,
                ..Client::default()
            };
        }
        for batch in read_all(self.log.as_ref().unwrap(), 0) {
            let header = BatchHeader::parse(&batch).unwrap();
            let id = header.producer_id.0;
            let client = self.clients.get_mut(&id).unwrap();
            if client.epoch != header.producer_epoch.0 {
                (client.epoch, client.next_sequence) = (header.producer_epoch.0, 0);
            }
            if !header.attributes.is_control() {
                client.start.get_or_insert(header.base_offset);
                client.next_sequence = header.last_sequence() + 1;
            } else if let Some(start) = client.start.take() {
                let record = records(&batch[HEADER_BYTES..], 1).next().unwrap().unwrap();
                let marker = EndTransactionMarker::parse(record.key, record.value).unwrap().unwrap();
                self.over.push(Over {
                    id,
                    start,
                    marker: header.base_offset,
                    is_aborted: !marker.is_commit,
                });
            }
        }
        for client in self.clients.values_mut() {
            client.is_part = client.start.is_some();
        }
        self.flushed = self.log().recovery_point();
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

fn open_on(disk: &FaultyDisk, options: LogOptions) -> Log {
    let options = LogOptions {
        config: small_config(),
        ..options
    };
    Log::open(Arc::new(disk.clone()), Path::new("/log/t-0"), &options).unwrap()
}

#[test]
fn nothing_is_in_a_transaction_that_nobody_will_end() {
    crate::testing::for_each_seed(200, |seed| {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        for id in 0..PRODUCERS as i64 {
            world.prepare(id);
            world.end(id);
        }
        world.high_watermark = world.log().log_end_offset();
        world.log().set_high_watermark(world.high_watermark);
        world.check();
        assert_eq!(world.log().last_stable_offset(), world.high_watermark);
    });
}
