//! kill -9 under load: idempotent producers with five batches in flight each, a broker that is killed and started
//! again and again. Nothing acknowledged is lost, doubled or reordered (I1, I3, I4).

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    messages::ProduceRequest,
    records::{BatchBuilder, NewRecord, batch::HEADER_BYTES, batch::batches, record::records},
};
use ottla_tests::{
    client::{Client, code, now_ms, produce_request},
    process::Broker,
    scratch::Scratch,
};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 20;
const PARTITIONS: i32 = 3;
const IN_FLIGHT: usize = 5;
/// Acknowledgements between two kills, over all producers.
const ACKS_PER_ROUND: u64 = 600;
/// Without an acknowledgement for so long the broker is taken for dead.
const PATIENCE: Duration = Duration::from_secs(60);

struct Shared {
    address: SocketAddr,
    acknowledged: AtomicU64,
    is_over: AtomicBool,
}

/// One producer to one partition.
struct Producer {
    shared: Arc<Shared>,
    partition: i32,
    id: ProducerId,
    next_sequence: i32,
    /// Sequences sent and not yet acknowledged, oldest first.
    in_flight: VecDeque<i32>,
    /// Offset of each acknowledged sequence.
    offsets: Vec<i64>,
}

/// Long enough that segments are rolled between kills.
fn value(partition: i32, sequence: i32) -> String {
    format!("{partition}:{sequence}:{}", "x".repeat(1024))
}

impl Producer {
    fn batch(&self, sequence: i32) -> Bytes {
        let mut builder = BatchBuilder::new().producer(self.id, ProducerEpoch(0), sequence);
        builder.append(&NewRecord::of(
            now_ms(),
            b"k",
            value(self.partition, sequence).as_bytes(),
        ));
        builder.build()
    }

    fn run(mut self) -> ottla_tests::Result<Vec<i64>> {
        let mut last_progress = Instant::now();
        while !self.shared.is_over.load(Ordering::Relaxed) || !self.in_flight.is_empty() {
            let before = self.offsets.len();
            // A broken connection says nothing of what was in flight: it is sent again, with the same sequences.
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

    fn drive(&mut self, client: &mut Client) -> ottla_tests::Result<()> {
        let mut sent: VecDeque<i32> = VecDeque::new();
        for sequence in &self.in_flight {
            sent.push_back(client.send(&self.request(*sequence), 9)?);
        }
        loop {
            while self.in_flight.len() < IN_FLIGHT && !self.shared.is_over.load(Ordering::Relaxed) {
                let sequence = self.next_sequence;
                self.next_sequence += 1;
                self.in_flight.push_back(sequence);
                sent.push_back(client.send(&self.request(sequence), 9)?);
            }
            let Some(correlation_id) = sent.pop_front() else {
                return Ok(());
            };
            let response = client.receive::<ProduceRequest>(9, correlation_id)?;
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!(code(answer.error_code), ErrorCode::None, "{:?}", answer.error_message);
            self.in_flight.pop_front();
            self.offsets.push(answer.base_offset);
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn request(&self, sequence: i32) -> ProduceRequest {
        produce_request("orders", self.partition, self.batch(sequence), -1)
    }
}

/// Every record of a partition: offset and value.
fn read_all(client: &mut Client, partition: i32) -> ottla_tests::Result<Vec<(i64, String)>> {
    let mut found = Vec::new();
    loop {
        let next = found.last().map_or(0, |(offset, _)| offset + 1);
        let response = client.fetch("orders", partition, next, 0)?;
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
fn nothing_acknowledged_is_lost_doubled_or_reordered_by_kills() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("kill");
    let mut broker = Broker::start(scratch.path(), &["log.segment.bytes=1048576"])?;
    broker.connect()?.create_topic("orders", PARTITIONS, &[])?;
    let shared = Arc::new(Shared {
        address: broker.address(),
        acknowledged: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let results: Arc<Mutex<Vec<Vec<i64>>>> = Arc::default();
    let mut threads = Vec::new();
    for partition in 0..PARTITIONS {
        let id = broker.connect()?.init_producer_id()?;
        let (in_flight, offsets) = (VecDeque::new(), Vec::new());
        let producer = Producer {
            shared: shared.clone(),
            partition,
            id,
            next_sequence: 0,
            in_flight,
            offsets,
        };
        threads.push(thread::spawn(move || producer.run()));
    }
    for round in 0..ROUNDS {
        let goal = shared.acknowledged.load(Ordering::Relaxed) + ACKS_PER_ROUND;
        while shared.acknowledged.load(Ordering::Relaxed) < goal {
            assert!(
                threads.iter().all(|thread| !thread.is_finished()),
                "a producer ended in round {round}"
            );
            thread::sleep(Duration::from_millis(1));
        }
        broker.kill_and_restart()?;
    }
    shared.is_over.store(true, Ordering::Relaxed);
    for thread in threads {
        let offsets = thread.join().expect("a producer panicked")?;
        results.lock().expect("no thread panicked").push(offsets);
    }
    let mut client = broker.connect()?;
    for (partition, offsets) in (0..PARTITIONS).zip(results.lock().expect("no thread panicked").iter()) {
        let found = read_all(&mut client, partition)?;
        let expected: Vec<String> = (0..offsets.len() as i32)
            .map(|sequence| value(partition, sequence))
            .collect();
        let values: Vec<&String> = found.iter().map(|(_, value)| value).collect();
        let wrong = values
            .iter()
            .zip(&expected)
            .position(|(found, expected)| *found != expected);
        let difference = wrong.map(|at| (at, &values[at][..20], &expected[at][..20]));
        assert_eq!(difference, None, "partition {partition}: lost, doubled or reordered");
        assert_eq!(
            values.len(),
            expected.len(),
            "partition {partition}: lost or doubled at the end"
        );
        let at_offset: Vec<i64> = found.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(
            &at_offset, offsets,
            "partition {partition}: not at the acknowledged offsets"
        );
        assert!(
            offsets.len() as u64 > ACKS_PER_ROUND,
            "partition {partition} had too little load"
        );
    }
    Ok(())
}
