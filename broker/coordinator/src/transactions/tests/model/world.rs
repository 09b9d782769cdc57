//! The producers, the coordinator with its log, what is under way between them, and what must hold.

use super::partition::{Partition, Serial};
use crate::{
    outcome::CoordinatorRecord,
    tests::model::random::Random,
    transactions::{
        Decision, EndTxn, Ending, InitProducerId, Producer, TransactionError, Transactions, TransactionsConfig,
        tests::at,
    },
};
use ottla_protocol::{Str, ids::ProducerId};
use std::collections::BTreeMap;

const PARTITIONS: usize = 3;
/// The most requests, and answers, that are under way.
const UNDER_WAY: usize = 6;
const IDS: [&str; 2] = ["a", "b"];

/// A bug put in on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bug {
    /// Answers and markers do not wait until their records are committed.
    AnswersEarly,
}

/// `transaction.version` from which on the first produce adds its partition and each end bumps the epoch.
const IMPLICIT_FROM: i8 = 2;

/// What a producer asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Init(Option<Producer>),
    /// AddPartitionsToTxn, as clients before transactions version 2 send it before they write.
    Add(Producer, usize),
    Produce(Producer, Serial, usize),
    End(Producer, bool),
}

/// A request under way. `number` says which answer belongs to it.
#[derive(Clone, Copy, Debug)]
struct Request {
    client: usize,
    /// `transaction.version` as its client plays it.
    version: i8,
    number: usize,
    ask: Ask,
}

type Answer = Result<Option<Producer>, TransactionError>;

/// What waits for the log to be committed.
enum Held {
    Answer(Request, Answer),
    /// The transaction has the partition: the batch may be appended, if the guard still holds.
    Append(Request, Producer, Serial, usize, usize),
    Ending(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    New,
    Between(Producer),
    Writing(Producer, Serial),
    Ending(Producer, Serial, bool),
}

struct Client {
    id: Str,
    /// `transaction.version` as it plays it.
    version: i8,
    phase: Phase,
    /// The request whose answer it waits for.
    waiting: Option<Request>,
    /// Partitions of the transaction that are yet to be written to.
    to_write: Vec<usize>,
    /// Whether the first of these has been added.
    is_added: bool,
}

/// A transaction as its producer knows it.
#[derive(Default)]
struct Known {
    asked_to_commit: bool,
    acknowledged: Vec<usize>,
    told: Option<bool>,
}

pub(super) struct World {
    random: Random,
    bug: Option<Bug>,
    /// `transaction.version` of the cluster.
    version: i8,
    transactions: Transactions,
    log: Vec<CoordinatorRecord>,
    committed_len: usize,
    held: Vec<(usize, Held)>,
    /// Endings whose markers are being written, with the partitions that have none yet.
    endings: Vec<(Ending, Vec<usize>)>,
    partitions: Vec<Partition>,
    clients: Vec<Client>,
    requests: Vec<Request>,
    answers: Vec<(Request, Answer)>,
    known: Vec<Known>,
    /// The producer that an id was last given to, as somebody was told.
    given: BTreeMap<Str, Producer>,
    next_number: usize,
    next_producer_id: i64,
    now_ms: i64,
    violation: Option<String>,
}

fn topic_and_index(partition: usize) -> (Str, i32) {
    (Str::from("t"), partition as i32)
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let version = (seed % 3) as i8;
        let client = |number: usize| Client {
            id: IDS[number % IDS.len()].into(),
            version,
            phase: Phase::New,
            waiting: None,
            to_write: Vec::new(),
            is_added: false,
        };
        let mut transactions = Transactions::new(TransactionsConfig::default());
        transactions.see_version(version);
        transactions.on_loaded(at(0));
        Self {
            random: Random::new(seed),
            bug,
            version,
            transactions,
            log: Vec::new(),
            committed_len: 0,
            held: Vec::new(),
            endings: Vec::new(),
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            clients: (0..3).map(client).collect(),
            requests: Vec::new(),
            answers: Vec::new(),
            known: Vec::new(),
            given: BTreeMap::new(),
            next_number: 0,
            next_producer_id: 0,
            now_ms: 0,
            violation: None,
        }
    }

    pub(super) fn log(&self) -> &[CoordinatorRecord] {
        &self.log
    }

    /// How many transactions ended so.
    pub(super) fn count(&self, is_commit: bool) -> usize {
        let has = |serial: &usize| self.outcomes(*serial).any(|outcome| outcome == is_commit);
        (0..self.known.len()).filter(has).count()
    }

    fn outcomes(&self, serial: Serial) -> impl Iterator<Item = bool> {
        let of = move |partition: &'_ Partition| partition.outcomes.get(&serial).cloned().unwrap_or_default();
        self.partitions.iter().flat_map(of)
    }

    /// Something happens.
    pub(super) fn step(&mut self) {
        let client = self.random.below(self.clients.len());
        match self.random.below(64) {
            0..=15 => self.act(client),
            16..=30 => self.deliver_request(),
            31..=42 => self.deliver_answer(),
            43..=51 => self.commit_log(),
            52..=59 => self.write_marker(),
            60 => self.pass_some_time(),
            61 if self.random.one_in(3) => self.crash(client),
            62 if self.random.one_in(3) => self.restart(),
            _ => {}
        }
        self.forget_some();
    }

    /// The network is no heap: what lies about for too long is lost.
    fn forget_some(&mut self) {
        while self.requests.len() > UNDER_WAY {
            let index = self.random.below(self.requests.len());
            self.requests.swap_remove(index);
        }
        while self.answers.len() > UNDER_WAY {
            let index = self.random.below(self.answers.len());
            let _ = self.answers.swap_remove(index);
        }
    }

    fn pass_some_time(&mut self) {
        self.now_ms += [1, 500, 11_000, 60_000][self.random.below(4)];
        let decision = self.transactions.tick(at(self.now_ms));
        self.take(decision);
        if self.transactions.take_wish_for_producer_id() {
            let id = self.fresh();
            self.transactions.bring_producer_id(id, at(self.now_ms));
        }
    }

    fn fresh(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        ProducerId(self.next_producer_id)
    }

    /// The producer does what is next, or asks again.
    fn act(&mut self, number: usize) {
        if let Some(waiting) = self.clients[number].waiting {
            if self.random.one_in(3) {
                if self.clients[number].version < IMPLICIT_FROM {
                    self.requests.retain(|under_way| under_way.number != waiting.number);
                }
                self.requests.push(waiting);
            }
            return;
        }
        let ask = match self.clients[number].phase {
            Phase::New => Ask::Init(None),
            Phase::Between(producer) => {
                self.known.push(Known::default());
                let serial = self.known.len() - 1;
                let first = self.random.below(PARTITIONS);
                let count = 1 + self.random.below(PARTITIONS);
                let client = &mut self.clients[number];
                client.to_write = (0..count).map(|step| (first + step) % PARTITIONS).collect();
                client.phase = Phase::Writing(producer, serial);
                return;
            }
            Phase::Writing(producer, serial) => match self.clients[number].to_write.first() {
                Some(partition) if self.adds_first(number) => Ask::Add(producer, *partition),
                Some(partition) => Ask::Produce(producer, serial, *partition),
                None => {
                    let is_commit = !self.random.one_in(3);
                    self.known[serial].asked_to_commit = is_commit;
                    self.clients[number].phase = Phase::Ending(producer, serial, is_commit);
                    Ask::End(producer, is_commit)
                }
            },
            Phase::Ending(producer, _, is_commit) => Ask::End(producer, is_commit),
        };
        self.ask(number, ask);
    }

    fn adds_first(&self, number: usize) -> bool {
        self.clients[number].version < IMPLICIT_FROM && !self.clients[number].is_added
    }

    fn ask(&mut self, number: usize, ask: Ask) {
        self.next_number += 1;
        let request = Request {
            client: number,
            version: self.clients[number].version,
            number: self.next_number,
            ask,
        };
        self.clients[number].waiting = Some(request);
        self.requests.push(request);
    }

    /// The producer is gone; its requests are still under way. Another one takes its id.
    fn crash(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.waiting = None;
        client.to_write.clear();
        client.is_added = false;
        client.phase = Phase::New;
        // The next one may be of an older library than the cluster.
        client.version = self.version - self.random.below(2).min(self.version as usize) as i8;
    }

    /// One of the requests under way arrives, whichever; it may arrive once more later. Of clients before transactions
    /// version 2 it does not: nothing tells a late request from one of the next transaction there (KAFKA-17754), and what
    /// holds for them holds as long as requests of one producer arrive in order.
    fn deliver_request(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        let index = self.random.below(self.requests.len());
        let version = self.requests[index].version;
        let request = match version >= IMPLICIT_FROM && self.random.one_in(5) {
            true => self.requests[index],
            false => self.requests.swap_remove(index),
        };
        let id = self.clients[request.client].id.clone();
        match request.ask {
            Ask::Init(expected) => {
                let answer = self.init(&id, expected);
                self.hold(Held::Answer(request, answer.map(Some)));
            }
            Ask::Add(producer, partition) => {
                let answer = self.add(&id, producer, partition, version);
                self.hold(Held::Answer(request, answer.map(|()| None)));
            }
            Ask::Produce(producer, serial, partition) => {
                let guard = self.partitions[partition].guard(producer);
                let joined = match version >= IMPLICIT_FROM {
                    true => self.add(&id, producer, partition, version),
                    false => self.verify(&id, producer, partition),
                };
                match joined {
                    Ok(()) => self.hold(Held::Append(request, producer, serial, partition, guard)),
                    Err(error) => self.hold(Held::Answer(request, Err(error))),
                }
            }
            Ask::End(producer, is_commit) => {
                let asked = EndTxn {
                    transactional_id: id,
                    producer,
                    is_commit,
                    client_version: version,
                };
                let decision = self.transactions.handle_end_txn(&asked, None, at(self.now_ms));
                let answer = self.take(decision);
                self.hold(Held::Answer(request, answer.map(Some)));
            }
        }
    }

    fn add(&mut self, id: &Str, producer: Producer, partition: usize, version: i8) -> Result<(), TransactionError> {
        let now = at(self.now_ms);
        let wanted = [topic_and_index(partition)];
        let decision = self
            .transactions
            .handle_add_partitions(id, producer, &wanted, version, now);
        self.take(decision)
    }

    fn verify(&self, id: &Str, producer: Producer, partition: usize) -> Result<(), TransactionError> {
        let verified = self
            .transactions
            .verify_partitions(id, producer, &[topic_and_index(partition)]);
        verified.into_iter().collect()
    }

    fn init(&mut self, id: &Str, expected: Option<Producer>) -> Result<Producer, TransactionError> {
        let asked = InitProducerId {
            transactional_id: id.clone(),
            timeout_ms: 60_000,
            expected,
        };
        let fresh = Some(self.fresh());
        let decision = self
            .transactions
            .handle_init_producer_id(&asked, fresh, at(self.now_ms));
        self.take(decision)
    }

    /// Applies and logs a decision; what follows from it waits for the log.
    fn take<R>(&mut self, decision: Decision<R>) -> R {
        for record in decision.records {
            self.transactions.apply(&record).expect("a decision can be read back");
            self.log.push(record);
        }
        for ending in self.transactions.take_endings() {
            self.hold(Held::Ending(ending));
        }
        decision.reply
    }

    fn hold(&mut self, held: Held) {
        self.held.push((self.log.len(), held));
        if self.bug == Some(Bug::AnswersEarly) {
            self.release(usize::MAX);
        }
    }

    fn commit_log(&mut self) {
        let room = self.log.len() - self.committed_len;
        self.committed_len += self.random.below(room + 1);
        self.release(self.committed_len);
    }

    fn release(&mut self, committed_len: usize) {
        let (ready, waiting) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(after, _)| *after <= committed_len);
        self.held = waiting;
        for (_, held) in ready {
            match held {
                Held::Answer(request, answer) => self.tell(request, answer),
                Held::Append(request, producer, serial, partition, guard) => {
                    self.append(request, producer, serial, partition, guard);
                }
                Held::Ending(ending) => {
                    let partitions = ending.partitions.iter().map(|(_, index)| *index as usize);
                    self.endings.push((ending.clone(), partitions.collect()));
                }
            }
        }
    }

    fn append(&mut self, request: Request, producer: Producer, serial: Serial, partition: usize, guard: usize) {
        let id = &self.clients[request.client].id;
        let is_fenced = self
            .given
            .get(id)
            .is_some_and(|given| given.id != producer.id || given.epoch > producer.epoch);
        let was_there = self.partitions[partition].has(producer, serial);
        let appended = self.partitions[partition].append(producer, serial, guard);
        if appended && !was_there && is_fenced {
            self.violation = Some(format!("{producer:?} was fenced and has appended"));
        }
        let answer = match appended {
            true => Ok(None),
            false => Err(TransactionError::Abortable),
        };
        self.tell(request, answer);
    }

    /// An answer leaves the coordinator; it may get lost.
    fn tell(&mut self, request: Request, answer: Answer) {
        if let (Ask::Init(_) | Ask::End(..), Ok(Some(producer))) = (request.ask, answer) {
            let id = self.clients[request.client].id.clone();
            let given = self.given.entry(id).or_insert(producer);
            if (given.id, given.epoch) < (producer.id, producer.epoch) {
                *given = producer;
            }
        }
        if !self.random.one_in(8) {
            self.answers.push((request, answer));
        }
    }

    fn deliver_answer(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let index = self.random.below(self.answers.len());
        let (request, answer) = self.answers.swap_remove(index);
        let number = request.client;
        let is_awaited = |waiting: Request| waiting.number == request.number;
        if !self.clients[number].waiting.is_some_and(is_awaited) {
            return;
        }
        match (self.clients[number].phase, answer) {
            // Asked again when its turn comes.
            (_, Err(TransactionError::Concurrent)) => {}
            (Phase::New, Ok(Some(producer))) => self.go_on(number, Phase::Between(producer)),
            (phase @ Phase::Writing(..), Ok(None)) if self.adds_first(number) => {
                self.clients[number].is_added = true;
                self.go_on(number, phase);
            }
            (phase @ Phase::Writing(_, serial), Ok(None)) => {
                self.clients[number].is_added = false;
                let partition = self.clients[number].to_write.remove(0);
                self.known[serial].acknowledged.push(partition);
                self.go_on(number, phase);
            }
            (Phase::Ending(_, serial, is_commit), Ok(Some(next))) => {
                self.known[serial].told = Some(is_commit);
                self.go_on(number, Phase::Between(next));
            }
            (Phase::Writing(producer, serial), Err(TransactionError::Abortable)) => {
                self.clients[number].is_added = false;
                self.go_on(number, Phase::Ending(producer, serial, false));
            }
            // Fenced, or timed out.
            (_, Err(_)) => self.crash(number),
            (phase, answer) => self.violation = Some(format!("{answer:?} in {phase:?}")),
        }
    }

    fn go_on(&mut self, number: usize, phase: Phase) {
        self.clients[number].phase = phase;
        self.clients[number].waiting = None;
    }

    fn write_marker(&mut self) {
        if self.endings.is_empty() {
            return;
        }
        let index = self.random.below(self.endings.len());
        let (ending, left) = &mut self.endings[index];
        if !left.is_empty() {
            let partition = left.swap_remove(self.random.below(left.len()));
            self.partitions[partition].take_marker(ending);
            return;
        }
        let (ending, _) = self.endings.swap_remove(index);
        let decision = self.transactions.handle_markers_written(&ending, at(self.now_ms));
        self.take(decision);
    }

    /// The coordinator starts over; what was not committed may be lost, and so is what waited.
    fn restart(&mut self) {
        let room = self.log.len() - self.committed_len;
        self.log.truncate(self.committed_len + self.random.below(room + 1));
        self.committed_len = self.log.len();
        self.held.clear();
        self.endings.clear();
        self.transactions = Transactions::new(TransactionsConfig::default());
        self.transactions.see_version(self.version);
        for record in &self.log {
            self.transactions.apply(record).expect("what was written can be read");
        }
        self.transactions.on_loaded(at(self.now_ms));
        for ending in self.transactions.take_endings() {
            self.hold(Held::Ending(ending));
        }
        self.release(self.committed_len);
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        for (serial, known) in self.known.iter().enumerate() {
            let outcomes: Vec<bool> = self.outcomes(serial).collect();
            let is_committed = outcomes.contains(&true);
            if is_committed && outcomes.contains(&false) {
                return Err(format!("transaction {serial} has two outcomes"));
            }
            if is_committed && !known.asked_to_commit {
                return Err(format!("transaction {serial} is committed and nobody asked for it"));
            }
            if known
                .told
                .is_some_and(|told| !outcomes.is_empty() && told != is_committed)
            {
                return Err(format!("transaction {serial} ended otherwise than was told"));
            }
        }
        Ok(())
    }

    /// No more producers, no more losses: whatever is open times out, and all that is prepared ends.
    pub(super) fn calm_down(&mut self) -> Result<(), String> {
        for _ in 0..4 {
            self.now_ms += 120_000;
            let decision = self.transactions.tick(at(self.now_ms));
            self.take(decision);
            self.committed_len = self.log.len();
            self.release(self.committed_len);
            while !self.endings.is_empty() {
                self.write_marker();
            }
            self.committed_len = self.log.len();
            self.release(self.committed_len);
        }
        self.check()?;
        if self.transactions.by_id.values().any(|one| one.state.is_prepared()) {
            return Err("a prepared transaction does not end".to_owned());
        }
        if self.partitions.iter().any(Partition::has_open) {
            return Err("a partition has an open transaction that nobody knows of".to_owned());
        }
        for (serial, known) in self.known.iter().enumerate() {
            let has = |partition: &usize| self.partitions[*partition].outcomes.contains_key(&serial);
            if known.told == Some(true) && !known.acknowledged.iter().all(has) {
                return Err(format!(
                    "transaction {serial} is committed without what was acknowledged"
                ));
            }
        }
        Ok(())
    }
}
