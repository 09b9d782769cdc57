//! Produces as fast as it goes, with librdkafka, until told to stop; what it achieved is read at the broker.

use super::{
    bench::Bench,
    client::{Counts, Told, producer, properties, until},
    offsets::Ends,
    target::Target,
};
use crate::core::{growth::Growth, payload, shape::Shape};
use anyhow::Context;
use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{BaseProducer, BaseRecord, Producer, PurgeConfig},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long the first record may take, and the rest after the last was asked for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is let go by between the first record and the first look.
const RAMP: Duration = Duration::from_millis(500);

/// A producer at full speed, in a thread of its own.
pub struct Flood {
    told: Arc<Told>,
    stop: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

impl Flood {
    /// Begins.
    ///
    /// # Errors
    /// A property is wrong.
    pub fn begin(target: &Target, topic: &str, shape: &Shape) -> anyhow::Result<Self> {
        let mut own = shape.properties();
        own.extend(properties([
            ("delivery.report.only.error", "true"),
            ("queue.buffering.max.kbytes", "131072"),
            ("queue.buffering.max.messages", "500000"),
            ("statistics.interval.ms", "100"),
            // A batch may be larger than its records are together.
            ("message.max.bytes", "2000000"),
        ]));
        let producer: BaseProducer<Told> = producer(target, &own, Told::default())?;
        let told = Arc::clone(producer.client().context());
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic, shape) = (Arc::clone(&stop), topic.to_owned(), *shape);
        let sending = std::thread::spawn(move || send(&producer, &topic, &shape, &stopped));
        Ok(Self { told, stop, sending })
    }

    /// What librdkafka has counted until now.
    pub fn counts(&self) -> Counts {
        self.told.counts()
    }

    /// Ends it; what is not yet sent is thrown away.
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        // It has no other way to end but a panic, which has been told.
        let _ = self.sending.join();
    }
}

fn send(producer: &BaseProducer<Told>, topic: &str, shape: &Shape, stop: &AtomicBool) {
    let values = payload::values(64, shape.record_bytes);
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(&values[(number % 64) as usize]);
        if shape.keys {
            record = record.key(&key);
        }
        match producer.send(record) {
            Ok(()) => number += 1,
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                producer.poll(Duration::from_millis(5));
            }
            // The topic is made a moment before, and may not be known yet.
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
        if number.is_multiple_of(512) {
            producer.poll(Duration::ZERO);
        }
    }
    producer.purge(PurgeConfig::default().queue().inflight());
    let _ = producer.flush(PATIENCE);
}

/// What a flood achieved.
#[derive(Clone, Debug)]
pub struct Flooded {
    /// In the measured time.
    pub growth: Growth,
    /// Over all of it; `None` while librdkafka has told nothing.
    pub records_per_request: Option<f64>,
}

/// Produces for the plan's time and measures meanwhile. `beside` is asked while the load still goes on, with the number
/// of requests per second.
///
/// # Errors
/// The end offsets do not grow, with what the client says of it.
pub fn measure(
    bench: &Bench,
    target: &Target,
    ends: &Ends,
    (topic, shape): (&str, &Shape),
    duration: Duration,
    beside: impl FnOnce(f64) -> anyhow::Result<()>,
) -> anyhow::Result<Flooded> {
    let flood = Flood::begin(target, topic, shape)?;
    let measured = under_load(bench, target, ends, duration, &flood).and_then(|flooded| {
        let rate = flooded.growth.records as f64 / flooded.growth.seconds;
        beside(rate / flooded.records_per_request.unwrap_or(1.0))?;
        Ok(flooded)
    });
    let counts = flood.counts();
    flood.end();
    measured.with_context(|| match counts.last_error {
        Some(error) => format!("{} records were not taken, the last for: {error}", counts.failed),
        None => "the client reports no error".to_owned(),
    })
}

fn under_load(
    bench: &Bench,
    target: &Target,
    ends: &Ends,
    duration: Duration,
    flood: &Flood,
) -> anyhow::Result<Flooded> {
    let before = ends.sum()?;
    until(PATIENCE, "the end offsets to grow", || {
        Ok((ends.sum()? > before).then_some(()))
    })?;
    bench.pass(RAMP);
    let first = ends.look(target)?;
    bench.pass(duration);
    let growth = Growth::between(&first, &ends.look(target)?)?;
    let counts = flood.counts();
    Ok(Flooded {
        growth,
        records_per_request: (counts.requests > 0).then(|| counts.records as f64 / counts.requests as f64),
    })
}

/// Fills a topic with about so many bytes of values; returns the ends of its partitions.
///
/// # Errors
/// The end offsets do not grow.
pub fn fill(target: &Target, topic: &str, shape: &Shape, bytes: u64) -> anyhow::Result<Vec<i64>> {
    let ends = Ends::of(target, topic, shape.partitions)?;
    let wanted = bytes.div_ceil(shape.record_bytes as u64) as i64;
    let flood = Flood::begin(target, topic, shape)?;
    let mut last = (0, std::time::Instant::now());
    let filled = loop {
        let sum = match ends.sum() {
            Ok(sum) => sum,
            Err(error) => break Err(error),
        };
        if sum >= wanted {
            break Ok(());
        }
        if sum > last.0 {
            last = (sum, std::time::Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            break Err(anyhow::anyhow!("the end offsets do not grow: they stay at {sum}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    flood.end();
    filled?;
    ends.at_rest()
}
