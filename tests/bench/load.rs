//! Produces at full speed, or at a fixed rate, over connections of its own, with few cycles of its own: what a benchmark measures is the broker.
//!
//!     load ADDRESS TOPIC [key=value]...
//!
//! | key | default | what |
//! |---|---|---|
//! | partitions | 1 | each connection sends to the partition of its number, round robin |
//! | connections | 16 | threads, each with a connection |
//! | in_flight | 1 | requests that a connection sends before it waits for the first answer |
//! | record | 1024 | bytes of each record's value |
//! | records | 1 | records in each batch; a request has one batch |
//! | acks | -1 | |
//! | seconds | 10 | how long; or |
//! | bytes | 0 | how many bytes of values in all |
//! | rate | 0 | MB of values per second and connection: sent on time whatever is answered, and counted from that time |
//!
//! Batches are made once and sent again and again. Prints one line of JSON: requests, seconds, and the latency of requests
//! in microseconds at some percentiles.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla_protocol::frame;
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::records::{BatchBuilder, NewRecord};
use ottla_tests::client::{Client, now_ms, produce_request};

const VERSION: i16 = 9;

#[derive(Clone, Debug)]
struct Load {
    address: String,
    topic: String,
    partitions: usize,
    connections: usize,
    in_flight: usize,
    record: usize,
    records: usize,
    acks: i16,
    seconds: f64,
    bytes: u64,
    rate: f64,
}

fn main() -> anyhow::Result<()> {
    let load = Load::parse(std::env::args().skip(1))?;
    let begin = Instant::now();
    let threads: Vec<_> = (0..load.connections)
        .map(|number| {
            let load = load.clone();
            std::thread::spawn(move || load.run(number))
        })
        .collect();
    let mut latencies = Vec::new();
    for thread in threads {
        latencies.extend(
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a connection's thread has panicked"))??,
        );
    }
    let seconds = begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies.get(((latencies.len() as f64 * share) as usize).min(latencies.len() - 1));
    println!(
        "{}",
        serde_json::json!({
            "requests": latencies.len(), "seconds": seconds, "records": latencies.len() * load.records,
            "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999), "max_us": latencies.last(),
        })
    );
    Ok(())
}

impl Load {
    fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut load = Self {
            address: arguments.next().context("load ADDRESS TOPIC [key=value]...")?,
            topic: arguments.next().context("load ADDRESS TOPIC [key=value]...")?,
            partitions: 1,
            connections: 16,
            in_flight: 1,
            record: 1024,
            records: 1,
            acks: -1,
            seconds: 10.0,
            bytes: 0,
            rate: 0.0,
        };
        for argument in arguments {
            let (key, value) = argument.split_once('=').context("key=value")?;
            match key {
                "partitions" => load.partitions = value.parse()?,
                "connections" => load.connections = value.parse()?,
                "in_flight" => load.in_flight = value.parse()?,
                "record" => load.record = value.parse()?,
                "records" => load.records = value.parse()?,
                "acks" => load.acks = value.parse()?,
                "seconds" => load.seconds = value.parse()?,
                "bytes" => load.bytes = value.parse()?,
                "rate" => load.rate = value.parse()?,
                _ => anyhow::bail!("there is no {key}"),
            }
        }
        ensure!(
            load.partitions * load.connections * load.in_flight * load.record * load.records > 0,
            "no zeros"
        );
        Ok(load)
    }

    fn request(&self, partition: usize) -> ProduceRequest {
        // Other bytes in each partition, none that a file system could leave out.
        let value: Vec<u8> = (0..self.record).map(|at| (at * 31 + partition + 1) as u8 | 1).collect();
        let mut batch = BatchBuilder::new();
        for _ in 0..self.records {
            batch.append(&NewRecord::of(now_ms(), b"", &value));
        }
        produce_request(&self.topic, partition as i32, batch.build(), self.acks)
    }

    /// Sends until time or bytes are up; returns each request's latency in microseconds.
    fn run(&self, number: usize) -> anyhow::Result<Vec<u64>> {
        let mut client = Client::connect(self.address.parse()?)?;
        let frame: Bytes = frame::request(&self.request(number % self.partitions), VERSION, 1, "load")?.into_bytes();
        let per_request = (self.record * self.records) as u64;
        if self.rate > 0.0 {
            return self.run_on_time(client, &frame, per_request);
        }
        let wanted = match self.bytes {
            0 => u64::MAX,
            bytes => bytes.div_ceil(per_request * self.connections as u64),
        };
        let end = Instant::now() + Duration::from_secs_f64(if self.bytes == 0 { self.seconds } else { 86_400.0 });
        let (mut sent, mut begun, mut latencies) = (0, std::collections::VecDeque::new(), Vec::new());
        loop {
            while begun.len() < self.in_flight && sent < wanted && Instant::now() < end {
                begun.push_back(Instant::now());
                client.send_raw(&frame)?;
                sent += 1;
            }
            let Some(begin) = begun.pop_front() else {
                return Ok(latencies);
            };
            let response = client.receive::<ProduceRequest>(VERSION, 1)?;
            ensure_taken(&response)?;
            latencies.push(begin.elapsed().as_micros() as u64);
        }
    }

    /// Sends each request when it is due; returns how long after that its answer came, without the first second's.
    fn run_on_time(&self, mut client: Client, frame: &Bytes, per_request: u64) -> anyhow::Result<Vec<u64>> {
        let interval = Duration::from_secs_f64(per_request as f64 / (self.rate * 1e6));
        let count = (self.seconds / interval.as_secs_f64()) as u32;
        let start = Instant::now();
        let (mut sender, frame) = (client.share()?, frame.clone());
        let sending = std::thread::spawn(move || {
            for number in 0..count {
                std::thread::sleep((start + interval * number).saturating_duration_since(Instant::now()));
                sender.send_raw(&frame)?;
            }
            anyhow::Ok(())
        });
        let mut latencies = Vec::new();
        for number in 0..count {
            ensure_taken(&client.receive::<ProduceRequest>(VERSION, 1)?)?;
            let due = interval * number;
            if due >= Duration::from_secs(1) {
                latencies.push((start + due).elapsed().as_micros() as u64);
            }
        }
        sending
            .join()
            .map_err(|_| anyhow::anyhow!("the sending thread has panicked"))??;
        Ok(latencies)
    }
}

fn ensure_taken(response: &ProduceResponse) -> anyhow::Result<()> {
    let error = response.responses[0].partition_responses[0].error_code;
    ensure!(error == 0, "the broker answers with error {error}");
    Ok(())
}
