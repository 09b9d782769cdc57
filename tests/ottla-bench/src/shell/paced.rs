//! Produces at a fixed rate, whatever is answered, and reads beside it; latency counts from when a record was meant to be
//! sent. A producer that waits for a slow broker would not see what its users do.

use super::{
    client::{consumer, producer, properties},
    target::Target,
};
use crate::core::{latency::Latencies, statistics::Spread};
use anyhow::{Context, bail, ensure};
use rdkafka::{
    ClientContext, Message, Offset, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records are due on a grid of this: a thread cannot wake up for each of many.
const TICK: Duration = Duration::from_millis(1);
/// What is not counted: connections are made and code is first run then.
pub const WARM_UP: Duration = Duration::from_secs(1);
const UNKNOWN: u64 = u64::MAX;

/// A fixed rate.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Of each value; eight at least.
    pub record_bytes: usize,
    /// Bytes of values each second.
    pub bytes_per_second: f64,
    /// How long, with the warm-up.
    pub duration: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Paced {
    /// Records sent.
    pub sent: u64,
    /// From when they were due until they were acknowledged.
    pub acknowledged: Latencies,
    /// How late they were handed to the client: the part that is this machine's.
    pub late: Latencies,
    /// From when a request was sent until it was answered, as librdkafka tells it: the part that is the broker's.
    pub round_trips: RoundTrips,
}

/// Of each second of the run, in ms.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl RoundTrips {
    fn note(&mut self, told: &Statistics) {
        let brokers = told.brokers.values().filter(|broker| broker.nodeid >= 0);
        for window in brokers
            .filter_map(|broker| broker.rtt.as_ref())
            .filter(|window| window.cnt > 0)
        {
            self.p50.push(window.p50 as f64 / 1000.0);
            self.p99.push(window.p99 as f64 / 1000.0);
        }
    }

    /// The median over the seconds of that which half of the requests took at most, in ms.
    pub fn p50(&self) -> Option<f64> {
        Some(Spread::of(&self.p50)?.median)
    }

    /// The median over the seconds of that which 99 of 100 requests took at most, in ms.
    pub fn p99(&self) -> Option<f64> {
        Some(Spread::of(&self.p99)?.median)
    }
}

struct OnTime {
    begun: Instant,
    acknowledged: Mutex<Latencies>,
    round_trips: Mutex<RoundTrips>,
    failed: Mutex<Option<String>>,
}

impl ClientContext for OnTime {
    fn stats(&self, told: Statistics) {
        if self.begun.elapsed() >= WARM_UP {
            self.round_trips.lock().expect("nobody panics with it").note(&told);
        }
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl ProducerContext for OnTime {
    /// When it was due, in nanoseconds since the beginning.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, due_ns: usize) {
        match result {
            Ok(_) => count(
                &mut self.acknowledged.lock().expect("nobody panics with it"),
                self.begun,
                due_ns as u64,
            ),
            Err((error, _)) => *self.failed.lock().expect("nobody panics with it") = Some(error.to_string()),
        }
    }
}

fn count(latencies: &mut Latencies, begun: Instant, due_ns: u64) {
    let due = Duration::from_nanos(due_ns);
    if due >= WARM_UP {
        latencies.record(begun.elapsed().saturating_sub(due).as_micros() as u64);
    }
}

/// Produces to the topic at this pace, counted from `begun`.
///
/// # Errors
/// A record was not taken, or the last were not answered in a minute.
pub fn produce(target: &Target, topic: &str, pace: &Pace, begun: Instant) -> anyhow::Result<Paced> {
    ensure!(pace.record_bytes >= 8, "a record has to hold the time when it was due");
    let own = client_properties();
    let context = OnTime {
        begun,
        acknowledged: Mutex::default(),
        round_trips: Mutex::default(),
        failed: Mutex::default(),
    };
    let producer: ThreadedProducer<OnTime> = producer(target, &own, context)?;
    let per_tick = pace.bytes_per_second / pace.record_bytes as f64 * TICK.as_secs_f64();
    let mut value = crate::core::payload::values(1, pace.record_bytes).remove(0);
    let (mut sent, mut late, mut tick) = (0_u64, Latencies::default(), 0_u32);
    let start = begun.elapsed();
    while TICK * tick < pace.duration {
        let due = start + TICK * tick;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        value[..8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        let wanted = (f64::from(tick + 1) * per_tick) as u64;
        while sent < wanted {
            send(&producer, topic, &value, due)?;
            sent += 1;
        }
        count(&mut late, begun, due.as_nanos() as u64);
        tick += 1;
    }
    producer
        .flush(PATIENCE)
        .context("the last records are not acknowledged")?;
    let context = producer.client().context();
    if let Some(error) = context.failed.lock().expect("nobody panics with it").clone() {
        bail!("a record was not taken: {error}");
    }
    let acknowledged = context.acknowledged.lock().expect("nobody panics with it").clone();
    let round_trips = context.round_trips.lock().expect("nobody panics with it").clone();
    Ok(Paced {
        sent,
        acknowledged,
        late,
        round_trips,
    })
}

/// The properties of the paced producer, which stand beside its figures.
pub fn client_properties() -> Vec<(String, String)> {
    properties([
        ("acks", "all"),
        ("linger.ms", "1"),
        ("batch.size", "65536"),
        ("max.in.flight.requests.per.connection", "5"),
        ("queue.buffering.max.messages", "1000000"),
        ("queue.buffering.max.kbytes", "262144"),
        ("statistics.interval.ms", "1000"),
    ])
}

fn send(producer: &ThreadedProducer<OnTime>, topic: &str, value: &[u8], due: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, due.as_nanos() as usize).payload(value);
    loop {
        // A full queue makes it late, not less: the time it was due stays.
        record = match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => back,
            Err((error, _)) => return Err(error.into()),
        };
        ensure!(Instant::now() < deadline, "the broker takes nothing for {PATIENCE:?}");
        std::thread::sleep(TICK);
    }
}

/// Reads a topic as records come, in a thread of its own.
pub struct Tail {
    expected: Arc<AtomicU64>,
    reading: JoinHandle<anyhow::Result<Latencies>>,
    ready: Arc<AtomicU64>,
}

/// How a tail gets its partitions.
#[derive(Clone, Debug)]
pub enum Reading {
    /// All of so many, without a group.
    Assigned(i32),
    /// As a member of this group.
    Group(String),
}

impl Tail {
    /// Begins at the beginning of the topic, which is to be empty.
    ///
    /// # Errors
    /// A property is wrong.
    pub fn begin(target: &Target, topic: &str, reading: &Reading, begun: Instant) -> anyhow::Result<Self> {
        let group = match reading {
            Reading::Assigned(_) => "ottla-bench-tail",
            Reading::Group(name) => name,
        };
        let own = properties([
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "500"),
        ]);
        let consumer = consumer(target, &own)?;
        match reading {
            Reading::Assigned(partitions) => {
                let mut all = TopicPartitionList::new();
                for partition in 0..*partitions {
                    all.add_partition_offset(topic, partition, Offset::Beginning)?;
                }
                consumer.assign(&all)?;
            }
            Reading::Group(_) => consumer.subscribe(&[topic])?,
        }
        let expected = Arc::new(AtomicU64::new(UNKNOWN));
        let ready = Arc::new(AtomicU64::new(0));
        let (awaited, is_ready) = (Arc::clone(&expected), Arc::clone(&ready));
        let reading = std::thread::spawn(move || read(&consumer, &awaited, &is_ready, begun));
        Ok(Self {
            expected,
            reading,
            ready,
        })
    }

    /// Whether it has partitions.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) > 0 || self.reading.is_finished()
    }

    /// Waits until so many records have come; returns how long they took from when they were due.
    ///
    /// # Errors
    /// They do not come.
    pub fn end(self, expected: u64) -> anyhow::Result<Latencies> {
        self.expected.store(expected, Ordering::Relaxed);
        self.reading
            .join()
            .map_err(|_| anyhow::anyhow!("a reading thread has panicked"))?
    }
}

fn read(consumer: &BaseConsumer, expected: &AtomicU64, ready: &AtomicU64, begun: Instant) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    let mut received = 0;
    let mut last = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(message) => {
                let message = message?;
                let due = message
                    .payload()
                    .and_then(|value| value.first_chunk::<8>())
                    .context("a record of somebody else")?;
                count(&mut latencies, begun, u64::from_be_bytes(*due));
                received += 1;
                last = Instant::now();
            }
            None if ready.load(Ordering::Relaxed) == 0 => {
                ready.store(consumer.assignment()?.count() as u64, Ordering::Relaxed)
            }
            None => {}
        }
        let expected = expected.load(Ordering::Relaxed);
        if received >= expected {
            return Ok(latencies);
        }
        ensure!(
            expected == UNKNOWN || last.elapsed() < PATIENCE,
            "{received} of {expected} records came, and no more for {PATIENCE:?}"
        );
    }
}
