//! Moving logs between directories while they are in use: nothing is lost, doubled or reordered, whatever happens in
//! the middle.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    messages::{
        AlterReplicaLogDirsRequest, DescribeLogDirsRequest, ProduceRequest,
        alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic},
    },
    records::{BatchBuilder, NewRecord, batch::HEADER_BYTES, batch::batches, record::records},
};
use ottla_tests::{
    client::{Client, ConfigResourceKind, batch, code, now_ms, produce_request},
    process::{Broker, eventually},
    scratch::Scratch,
};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

type Outcome = ottla_tests::Result<()>;

const LIMIT: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
/// Enough that appends go on while a log is moved.
const RECORDS_DURING_MOVE: u64 = 2_500;
/// Without progress for so long the broker is taken for dead.
const PATIENCE: Duration = Duration::from_secs(60);

fn dirs(scratch: &Scratch) -> [PathBuf; 3] {
    ["a", "b", "c"].map(|name| scratch.path().join(name))
}

fn start(scratch: &Scratch, others: &[&str]) -> ottla_tests::Result<Broker> {
    let names: Vec<String> = dirs(scratch).iter().map(|dir| dir.display().to_string()).collect();
    let dirs = format!("log.dirs={}", names.join(","));
    Broker::start(scratch.path(), &[&[dirs.as_str()], others].concat())
}

fn alter(client: &mut Client, topic: &str, partition: i32, dir: &Path) -> ottla_tests::Result<ErrorCode> {
    let topic = AlterReplicaLogDirTopic {
        name: topic.into(),
        partitions: vec![partition],
    };
    let dir = AlterReplicaLogDir {
        path: dir.display().to_string().into(),
        topics: vec![topic],
    };
    let answer = client.call(&AlterReplicaLogDirsRequest { dirs: vec![dir] }, 2)?;
    Ok(code(answer.results[0].partitions[0].error_code))
}

/// Where a partition lies, and where a copy of it is being made, with its lag.
type Places = (Option<PathBuf>, Option<(PathBuf, i64)>);

fn places(client: &mut Client, topic: &str) -> ottla_tests::Result<Places> {
    let (mut current, mut future) = (None, None);
    for dir in client.call(&DescribeLogDirsRequest { topics: None }, 4)?.results {
        let path = PathBuf::from(dir.log_dir.as_str());
        for topic in dir.topics.iter().filter(|each| each.name.as_str() == topic) {
            for partition in &topic.partitions {
                match partition.is_future_key {
                    true => future = Some((path.clone(), partition.offset_lag)),
                    false => current = Some(path.clone()),
                }
            }
        }
    }
    Ok((current, future))
}

fn await_move(client: &mut Client, topic: &str, dir: &Path) -> Outcome {
    eventually(|| Ok(places(client, topic)? == (Some(dir.to_owned()), None)))
}

/// A topic of one partition, and the directories in which it does not lie.
fn topic(scratch: &Scratch, client: &mut Client, configs: &[(&str, &str)]) -> ottla_tests::Result<[PathBuf; 3]> {
    client.create_topic("t", 1, configs)?;
    let mut dirs = dirs(scratch);
    let (current, _) = places(client, "t")?;
    let at = dirs
        .iter()
        .position(|dir| Some(dir) == current.as_ref())
        .expect("it lies somewhere");
    dirs.swap(0, at);
    Ok(dirs)
}

/// Everything in the partition: offsets and values.
fn read_all(client: &mut Client, from: i64) -> ottla_tests::Result<Vec<(i64, String)>> {
    let mut found = Vec::new();
    loop {
        let next = found.last().map_or(from, |(offset, _)| offset + 1);
        let response = client.fetch("t", 0, next, 0)?;
        let answer = &response.responses[0].partitions[0];
        assert_eq!(code(answer.error_code), ErrorCode::None);
        let bytes = answer.records.clone().unwrap_or_default();
        if bytes.is_empty() {
            assert_eq!(next, answer.high_watermark, "the read ends before the high watermark");
            return Ok(found);
        }
        for item in batches(&bytes) {
            let Ok((header, batch)) = item else { break };
            for record in records(&batch[HEADER_BYTES..], header.records_count) {
                let record = record.map_err(|error| anyhow::anyhow!("{error}"))?;
                let text = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                found.push((header.base_offset + i64::from(record.offset_delta), text));
            }
        }
    }
}

#[test]
fn a_log_is_moved_with_all_that_it_has() -> Outcome {
    let scratch = Scratch::new("move");
    let mut broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    let [from, to, _] = topic(&scratch, &mut client, &[("segment.bytes", "1048576")])?;
    let producer = client.init_producer_id()?;
    for sequence in 0..60 {
        let answer = client.call(&produce_request("t", 0, idempotent(producer, sequence), -1), 9)?;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    let before = read_all(&mut client, 0)?;
    assert_eq!(alter(&mut client, "t", 0, &to)?, ErrorCode::None);
    await_move(&mut client, "t", &to)?;
    eventually(|| {
        Ok(!from.join("t-0").exists()
            && std::fs::read_dir(&from)?
                .flatten()
                .all(|each| !each.file_name().to_string_lossy().starts_with("t-0")))
    })?;
    assert!(to.join("t-0").is_dir());
    assert_eq!(read_all(&mut client, 0)?, before);
    // The producer's last batch again: it is known.
    let again = client.call(&produce_request("t", 0, idempotent(producer, 59), -1), 9)?;
    let answer = &again.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (0, 59));
    // To where it is: nothing happens.
    assert_eq!(alter(&mut client, "t", 0, &to)?, ErrorCode::None);
    broker.kill_and_restart()?;
    let mut client = broker.connect()?;
    assert_eq!(places(&mut client, "t")?, (Some(to), None));
    assert_eq!(read_all(&mut client, 0)?, before);
    broker.assert_sound()
}

#[test]
fn refusals_are_typed() -> Outcome {
    let scratch = Scratch::new("refusals");
    let broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    let [_, to, other] = topic(&scratch, &mut client, &[])?;
    assert_eq!(
        alter(&mut client, "t", 0, Path::new("/nowhere"))?,
        ErrorCode::LogDirNotFound
    );
    assert_eq!(alter(&mut client, "nope", 0, &to)?, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(alter(&mut client, "t", 7, &to)?, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(alter(&mut client, "a b", -1, &to)?, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(
        alter(&mut client, &"x".repeat(240), 0, &to)?,
        ErrorCode::InvalidTopicException
    );
    let cordoned = other.display().to_string();
    client.alter_configs(
        ConfigResourceKind::Broker,
        "1",
        &[("cordoned.log.dirs", Some(&cordoned))],
    )?;
    eventually(|| Ok(alter(&mut client, "t", 0, &other)? == ErrorCode::InvalidReplicaAssignment))?;
    // What was asked for before the topic existed is remembered.
    client.create_topic("nope", 1, &[])?;
    assert_eq!(places(&mut client, "nope")?.0, Some(to));
    Ok(())
}

#[test]
fn a_move_that_was_accepted_goes_on_after_a_kill_even_if_nothing_was_copied() -> Outcome {
    let scratch = Scratch::new("moves");
    let mut broker = start(&scratch, &[&format!("{LIMIT}=1")])?;
    let mut client = broker.connect()?;
    let [_, target, _] = topic(&scratch, &mut client, &[])?;
    client.produce("t", 0, batch(&[&[b'v'; 10_000]]), -1)?;
    assert_eq!(alter(&mut client, "t", 0, &target)?, ErrorCode::None);
    await_move(&mut client, "t", &target)?;
    // For the next hours the limit is used up.
    client.create_topic("waits", 1, &[])?;
    client.produce("waits", 0, batch(&[b"value"]), -1)?;
    let (current, _) = places(&mut client, "waits")?;
    let target = dirs(&scratch).into_iter().find(|dir| Some(dir) != current.as_ref());
    let target = target.expect("there are others");
    assert_eq!(alter(&mut client, "waits", 0, &target)?, ErrorCode::None);
    assert_eq!(places(&mut client, "waits")?, (current, Some((target.clone(), 1))));
    broker.kill()?;
    drop(broker);

    let broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    await_move(&mut client, "waits", &target)?;
    assert_eq!(client.offset_at("waits", 0, -1)?, 1);
    Ok(())
}

#[test]
fn another_target_takes_the_place_of_the_first_and_the_way_back_calls_it_off() -> Outcome {
    let scratch = Scratch::new("targets");
    let mut broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    let [from, first, second] = topic(&scratch, &mut client, &[])?;
    for _ in 0..40 {
        client.produce("t", 0, batch(&[&[b'v'; 100_000]]), -1)?;
    }
    // Too slow to come to an end.
    client.alter_configs(ConfigResourceKind::Broker, "", &[(LIMIT, Some("100000"))])?;
    assert_eq!(alter(&mut client, "t", 0, &first)?, ErrorCode::None);
    eventually(|| {
        let (current, future) = places(&mut client, "t")?;
        assert_eq!(current.as_ref(), Some(&from));
        Ok(future.is_some_and(|(path, lag)| path == first && lag > 0 && lag < 40))
    })?;
    assert_eq!(alter(&mut client, "t", 0, &second)?, ErrorCode::None);
    eventually(|| {
        let copies = std::fs::read_dir(&first)?
            .flatten()
            .filter(|each| each.file_name().to_string_lossy().ends_with("-future"))
            .count();
        Ok(copies == 0 && places(&mut client, "t")?.1.is_some_and(|(path, _)| path == second))
    })?;
    assert_eq!(alter(&mut client, "t", 0, &from)?, ErrorCode::None);
    eventually(|| Ok(places(&mut client, "t")? == (Some(from.clone()), None)))?;
    // Without a limit it is there at once.
    assert_eq!(alter(&mut client, "t", 0, &second)?, ErrorCode::None);
    client.alter_configs(ConfigResourceKind::Broker, "", &[(LIMIT, None)])?;
    await_move(&mut client, "t", &second)?;
    assert_eq!(read_all(&mut client, 0)?.len(), 40);
    broker.assert_sound()
}

fn value(sequence: i32) -> String {
    format!("{sequence}:{}", "x".repeat(1024))
}

fn idempotent(producer: ProducerId, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer, ProducerEpoch(0), sequence);
    builder.append(&NewRecord::of(now_ms(), b"k", value(sequence).as_bytes()));
    builder.build()
}

struct Shared {
    address: SocketAddr,
    acknowledged: AtomicU64,
    /// How many records there may be: a log that grows without end is not moved in any time.
    allowed: AtomicU64,
    is_over: AtomicBool,
}

/// An idempotent producer with five batches in flight, which sends again what was in flight when a connection broke.
struct Producer {
    shared: Arc<Shared>,
    id: ProducerId,
    next_sequence: i32,
    in_flight: VecDeque<i32>,
    offsets: Vec<i64>,
}

impl Producer {
    fn run(mut self) -> ottla_tests::Result<Vec<i64>> {
        let mut last_progress = Instant::now();
        while !self.shared.is_over.load(Ordering::Relaxed) || !self.in_flight.is_empty() {
            let before = self.offsets.len();
            let broken = Client::connect(self.shared.address).and_then(|mut client| self.drive(&mut client));
            if self.offsets.len() > before {
                last_progress = Instant::now();
            }
            if let Err(error) = broken {
                assert!(last_progress.elapsed() < PATIENCE, "no progress: {error:#}");
            }
        }
        Ok(self.offsets)
    }

    fn drive(&mut self, client: &mut Client) -> Outcome {
        let mut sent: VecDeque<i32> = VecDeque::new();
        for sequence in &self.in_flight {
            sent.push_back(client.send(&self.request(*sequence), 9)?);
        }
        loop {
            while self.in_flight.len() < 5 && self.may_send() {
                let sequence = self.next_sequence;
                self.next_sequence += 1;
                self.in_flight.push_back(sequence);
                sent.push_back(client.send(&self.request(sequence), 9)?);
            }
            let Some(correlation_id) = sent.pop_front() else {
                if self.shared.is_over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            let response = client.receive::<ProduceRequest>(9, correlation_id)?;
            let answer = &response.responses[0].partition_responses[0];
            // No append is refused because of a move.
            assert_eq!(code(answer.error_code), ErrorCode::None, "{:?}", answer.error_message);
            self.in_flight.pop_front();
            self.offsets.push(answer.base_offset);
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn may_send(&self) -> bool {
        let is_over = self.shared.is_over.load(Ordering::Relaxed);
        !is_over && u64::from(self.next_sequence.unsigned_abs()) < self.shared.allowed.load(Ordering::Relaxed)
    }

    fn request(&self, sequence: i32) -> ProduceRequest {
        produce_request("t", 0, idempotent(self.id, sequence), -1)
    }
}

/// Reads on as records come, and checks that none is missing, doubled or refused.
fn consume(shared: &Shared) -> ottla_tests::Result<usize> {
    let mut next: i64 = 0;
    let mut last_progress = Instant::now();
    while !shared.is_over.load(Ordering::Relaxed) {
        let fetched = Client::connect(shared.address).and_then(|mut client| {
            loop {
                if shared.is_over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let response = client.fetch("t", 0, next, 100)?;
                let answer = &response.responses[0].partitions[0];
                assert_eq!(code(answer.error_code), ErrorCode::None, "at {next}");
                for item in batches(&answer.records.clone().unwrap_or_default()) {
                    let Ok((header, batch)) = item else { break };
                    for record in records(&batch[HEADER_BYTES..], header.records_count) {
                        let record = record.map_err(|error| anyhow::anyhow!("{error}"))?;
                        let offset = header.base_offset + i64::from(record.offset_delta);
                        if offset >= next {
                            assert_eq!(offset, next);
                            let found = record.value.unwrap_or_default();
                            assert_eq!(found, value(i32::try_from(next)?).as_bytes(), "at {next}");
                            next += 1;
                            last_progress = Instant::now();
                        }
                    }
                }
            }
        });
        if let Err(error) = fetched {
            assert!(last_progress.elapsed() < PATIENCE, "no progress: {error:#}");
        }
    }
    Ok(usize::try_from(next)?)
}

/// Moves the log back and forth under load; `between` is done after each move has been asked for.
fn move_under_load(
    name: &str,
    moves: usize,
    configs: &[(&str, &str)],
    mut between: impl FnMut(&mut Broker, usize) -> Outcome,
) -> Outcome {
    let scratch = Scratch::new(name);
    let mut broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    let [from, to, _] = topic(
        &scratch,
        &mut client,
        &[&[("segment.bytes", "1048576")], configs].concat(),
    )?;
    let shared = Arc::new(Shared {
        address: broker.address(),
        acknowledged: AtomicU64::new(0),
        allowed: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let producer = Producer {
        shared: shared.clone(),
        id: client.init_producer_id()?,
        next_sequence: 0,
        in_flight: VecDeque::new(),
        offsets: Vec::new(),
    };
    let producing = thread::spawn(move || producer.run());
    let for_consumer = shared.clone();
    let consuming = thread::spawn(move || consume(&for_consumer));
    let targets = [&to, &from];
    for number in 0..moves {
        let goal = shared.acknowledged.load(Ordering::Relaxed) + 500;
        shared.allowed.fetch_max(goal + RECORDS_DURING_MOVE, Ordering::Relaxed);
        while shared.acknowledged.load(Ordering::Relaxed) < goal {
            assert!(
                !producing.is_finished() && !consuming.is_finished(),
                "it ended before move {number}"
            );
            thread::sleep(Duration::from_millis(1));
        }
        let target = targets[number % 2];
        assert_eq!(alter(&mut broker.connect()?, "t", 0, target)?, ErrorCode::None);
        between(&mut broker, number)?;
        let mut client = broker.connect()?;
        eventually(|| match places(&mut client, "t")? {
            (Some(current), None) if current == *target => Ok(true),
            (current, None) => {
                // A kill before the copy was begun leaves no trace of the wish.
                assert!(current.is_some());
                alter(&mut client, "t", 0, target)?;
                Ok(false)
            }
            _ => Ok(false),
        })?;
    }
    shared.is_over.store(true, Ordering::Relaxed);
    let offsets = producing.join().expect("the producer panicked")?;
    let consumed = consuming.join().expect("the consumer panicked")?;
    let found = read_all(&mut broker.connect()?, 0)?;
    let expected: Vec<(i64, String)> = (0..offsets.len()).map(|at| (at as i64, value(at as i32))).collect();
    assert_eq!(found.len(), expected.len(), "lost or doubled");
    let wrong = found
        .iter()
        .zip(&expected)
        .position(|(found, expected)| found != expected);
    assert_eq!(wrong, None, "lost, doubled or reordered");
    let in_order: Vec<i64> = (0..offsets.len() as i64).collect();
    assert_eq!(offsets, in_order, "not at the acknowledged offsets");
    assert!(consumed > 500 && consumed <= found.len());
    broker.assert_sound()
}

#[test]
fn moving_under_load_loses_nothing_and_refuses_nothing() -> Outcome {
    move_under_load("load", 12, &[], |_, _| Ok(()))
}

#[test]
fn moving_under_load_with_flushes_loses_nothing() -> Outcome {
    move_under_load("flushes", 6, &[("flush.messages", "1")], |_, _| Ok(()))
}

#[test]
fn kills_in_the_middle_of_moves_lose_nothing() -> Outcome {
    move_under_load("kills", 20, &[], |broker, number| {
        // Anywhere between the wish and long after the move.
        thread::sleep(Duration::from_micros(1_500 * number as u64));
        broker.kill_and_restart()
    })
}
