//! Transactions and idempotent produce by hand, with few cycles of its own: what a benchmark measures is the broker.
//!
//!     transactions ADDRESS TOPIC MODE [key=value]...
//!
//! | mode | what |
//! |---|---|
//! | commit | one producer: a transaction is a produce of `records` to each of `partitions`, then its end |
//! | produce | `requests` of acks=all over `connections`, with five under way on each; `idempotent=1`: with sequences |
//! | ids | `requests` producer ids, each of which writes one record to partition 0 and is idle then |
//!
//! | key | default | |
//! |---|---|---|
//! | partitions | 3 | |
//! | records | 10 | in each batch, of `record` bytes (100) |
//! | seconds | 10 | of commit |
//! | rate | 0 | transactions per second; 0: as many as go |
//! | requests | 100000 | |
//! | connections | 4 | |
//! | idempotent | 0 | |
//!
//! Prints one line of JSON: how many, seconds, and latencies in microseconds: of the end alone (`end_*`) and of whole
//! transactions (`all_*`), these from when they were due.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use ottla_protocol::frame;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};
use ottla_protocol::messages::produce_request::PartitionProduceData;
use ottla_protocol::messages::{EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProduceRequest};
use ottla_protocol::records::{BatchBuilder, NewRecord};
use ottla_tests::client::{Client, code, now_ms, produce_request};
use ottla_tests::process::eventually;

const PRODUCE: i16 = 12;
const IN_FLIGHT: usize = 5;
const ID: &str = "bench";

#[derive(Clone, Debug)]
struct Bench {
    address: String,
    topic: String,
    mode: String,
    partitions: i32,
    records: usize,
    record: usize,
    seconds: f64,
    rate: f64,
    requests: usize,
    connections: usize,
    is_idempotent: bool,
}

/// Who writes a batch, and the sequence of its first record.
#[derive(Clone, Copy)]
struct Author {
    id: i64,
    epoch: i16,
    first_sequence: i32,
    is_transactional: bool,
}

fn main() -> anyhow::Result<()> {
    let bench = Bench::parse(std::env::args().skip(1))?;
    let measured = match bench.mode.as_str() {
        "commit" => bench.commit()?,
        "produce" => bench.produce()?,
        "ids" => bench.ids()?,
        other => bail!("there is no {other}"),
    };
    println!("{measured}");
    Ok(())
}

impl Bench {
    fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut next = || {
            arguments
                .next()
                .context("transactions ADDRESS TOPIC MODE [key=value]...")
        };
        let mut bench = Self {
            address: next()?,
            topic: next()?,
            mode: next()?,
            partitions: 3,
            records: 10,
            record: 100,
            seconds: 10.0,
            rate: 0.0,
            requests: 100_000,
            connections: 4,
            is_idempotent: false,
        };
        for argument in arguments {
            let (key, value) = argument.split_once('=').context("key=value")?;
            match key {
                "partitions" => bench.partitions = value.parse()?,
                "records" => bench.records = value.parse()?,
                "record" => bench.record = value.parse()?,
                "seconds" => bench.seconds = value.parse()?,
                "rate" => bench.rate = value.parse()?,
                "requests" => bench.requests = value.parse()?,
                "connections" => bench.connections = value.parse()?,
                "idempotent" => bench.is_idempotent = value == "1",
                _ => bail!("there is no {key}"),
            }
        }
        Ok(bench)
    }

    fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(self.address.parse()?)
    }

    fn batch(&self, author: Option<Author>, records: usize) -> Bytes {
        let mut batch = BatchBuilder::new();
        if let Some(author) = author {
            let epoch = ProducerEpoch(author.epoch);
            batch = batch.producer(ProducerId(author.id), epoch, author.first_sequence);
            if author.is_transactional {
                batch = batch.transactional();
            }
        }
        let value = vec![b'v'; self.record];
        for _ in 0..records {
            batch.append(&NewRecord::of(now_ms(), b"key", &value));
        }
        batch.build()
    }

    /// Transactions one after another, each when it is due.
    fn commit(&self) -> anyhow::Result<serde_json::Value> {
        let mut client = self.connect()?;
        let mut author = producer(&mut client, Some(ID))?;
        let begin = Instant::now();
        let (mut ends, mut alls) = (Vec::new(), Vec::new());
        while begin.elapsed().as_secs_f64() < self.seconds {
            let due = match self.rate > 0.0 {
                true => begin + Duration::from_secs_f64(alls.len() as f64 / self.rate),
                false => Instant::now(),
            };
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.write(&mut client, author)?;
            let ending = Instant::now();
            let request = EndTxnRequest {
                transactional_id: ID.into(),
                producer_id: author.id,
                producer_epoch: author.epoch,
                committed: true,
            };
            let ended = client.call(&request, 5)?;
            ensure!(ended.error_code == 0, "{:?}", code(ended.error_code));
            (author.id, author.epoch) = (ended.producer_id, ended.producer_epoch);
            ends.push(ending.elapsed().as_micros() as u64);
            alls.push(due.elapsed().as_micros() as u64);
        }
        let seconds = begin.elapsed().as_secs_f64();
        let (end, all) = (percentiles(ends), percentiles(alls));
        Ok(serde_json::json!({
            "transactions": all.0, "seconds": seconds, "end_p50_us": end.1, "end_p99_us": end.2, "all_p50_us": all.1,
            "all_p99_us": all.2,
        }))
    }

    /// A batch for each partition. A broker may say for a while that the last transaction is not over.
    fn write(&self, client: &mut Client, author: Author) -> anyhow::Result<()> {
        let batch = self.batch(Some(author), self.records);
        let mut request = produce_request(&self.topic, 0, batch.clone(), -1);
        request.transactional_id = Some(ID.into());
        for index in 1..self.partitions {
            request.topic_data[0].partition_data.push(PartitionProduceData {
                index,
                records: Some(batch.clone()),
            });
        }
        loop {
            let response = client.call(&request, PRODUCE)?;
            let answers = response.responses.iter().flat_map(|topic| &topic.partition_responses);
            let refused: Vec<_> = answers
                .map(|one| code(one.error_code))
                .filter(|one| *one as i16 != 0)
                .collect();
            match refused.iter().all(|one| one.is_retriable()) {
                _ if refused.is_empty() => return Ok(()),
                true => std::thread::sleep(Duration::from_millis(1)),
                false => bail!("the broker answers with {refused:?}"),
            }
        }
    }

    /// The same requests with and without sequences.
    fn produce(&self) -> anyhow::Result<serde_json::Value> {
        let begin = Instant::now();
        let threads: Vec<_> = (0..self.connections)
            .map(|number| {
                let bench = self.clone();
                std::thread::spawn(move || bench.produce_on(number))
            })
            .collect();
        let mut latencies = Vec::new();
        for thread in threads {
            let done = thread.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))?;
            latencies.extend(done?);
        }
        let (count, p50, p99) = percentiles(latencies);
        let seconds = begin.elapsed().as_secs_f64();
        Ok(serde_json::json!({ "requests": count, "seconds": seconds, "p50_us": p50, "p99_us": p99 }))
    }

    fn produce_on(&self, number: usize) -> anyhow::Result<Vec<u64>> {
        let mut client = self.connect()?;
        let mut author = match self.is_idempotent {
            true => Some(producer(&mut client, None)?),
            false => None,
        };
        let (mut begun, mut latencies) = (VecDeque::new(), Vec::new());
        for _ in 0..self.requests / self.connections {
            let batch = self.batch(author, self.records);
            if let Some(author) = &mut author {
                author.first_sequence += self.records as i32;
            }
            let request = produce_request(&self.topic, number as i32 % self.partitions, batch, -1);
            let bytes = frame::request(&request, PRODUCE, 1, "bench")?.into_bytes();
            begun.push_back(Instant::now());
            client.send_raw(&bytes)?;
            if begun.len() == IN_FLIGHT {
                latencies.extend(answered(&mut client, &mut begun)?);
            }
        }
        while !begun.is_empty() {
            latencies.extend(answered(&mut client, &mut begun)?);
        }
        Ok(latencies)
    }

    /// Producers that write once.
    fn ids(&self) -> anyhow::Result<serde_json::Value> {
        let mut client = self.connect()?;
        let begin = Instant::now();
        for _ in 0..self.requests {
            let author = producer(&mut client, None)?;
            let request = produce_request(&self.topic, 0, self.batch(Some(author), 1), -1);
            let response = client.call(&request, PRODUCE)?;
            let error = response.responses[0].partition_responses[0].error_code;
            ensure!(error == 0, "{:?}", code(error));
        }
        Ok(serde_json::json!({ "ids": self.requests, "seconds": begin.elapsed().as_secs_f64() }))
    }
}

/// The latency of the request whose answer is next.
fn answered(client: &mut Client, begun: &mut VecDeque<Instant>) -> anyhow::Result<Option<u64>> {
    let response = client.receive::<ProduceRequest>(PRODUCE, 1)?;
    let error = response.responses[0].partition_responses[0].error_code;
    ensure!(error == 0, "{:?}", code(error));
    Ok(begun.pop_front().map(|begin| begin.elapsed().as_micros() as u64))
}

fn producer(client: &mut Client, transactional_id: Option<&str>) -> anyhow::Result<Author> {
    if let Some(id) = transactional_id {
        let request = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec![id.into()],
            ..Default::default()
        };
        eventually(|| Ok(client.call(&request, 6)?.coordinators[0].error_code == 0))?;
    }
    let request = InitProducerIdRequest {
        transactional_id: transactional_id.map(Into::into),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let mut response = Default::default();
    eventually(|| {
        response = client.call(&request, 5)?;
        Ok(response.error_code == 0)
    })?;
    Ok(Author {
        id: response.producer_id,
        epoch: response.producer_epoch,
        first_sequence: 0,
        is_transactional: transactional_id.is_some(),
    })
}

/// How many, and the latencies that half and one in a hundred exceed.
fn percentiles(mut latencies: Vec<u64>) -> (usize, Option<u64>, Option<u64>) {
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied();
    (latencies.len(), at(0.5), at(0.99))
}
