//! Thousands of producers, each with a connection of its own and one record a second: what devices and small services
//! are like. The connections speak the protocol by hand; as many clients of a library would need more of the machine
//! than the broker.

use super::{Case, Needs, Scenario};
use crate::{
    core::{
        figure::{Bar, Figure},
        latency::Latencies,
        plan::Plan,
        report::{Axis, CaseFacts, Measured, Setting},
    },
    shell::{
        bench::{Bench, with_memory},
        client::{create_topic, delete_topics},
        offsets::Ends,
        target::Target,
        wire,
    },
};
use anyhow::{Context, ensure};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fanin",
    asks: "What do thousands of producers cost that send one record a second each?",
    needs: Needs::Plaintext,
    cases,
};

const PARTITIONS: i32 = 16;
const RECORD_BYTES: usize = 100;
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a connection or an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// An answer to a produce of one record is far smaller.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

struct Fanin {
    producers: u32,
}

fn cases(_: &Plan) -> Vec<Box<dyn Case>> {
    let case = |producers| -> Box<dyn Case> { Box::new(Fanin { producers }) };
    [1_000, 4_000].map(case).into()
}

impl Case for Fanin {
    fn facts(&self) -> CaseFacts {
        let bar = |bar| (self.producers == 4_000).then_some(Bar::Ratio(bar));
        CaseFacts {
            name: format!("{} producers", self.producers),
            settings: vec![
                Setting::new("acks", "1"),
                Setting::new("record bytes", RECORD_BYTES.to_string()),
                Setting::new("partitions", PARTITIONS.to_string()),
                Setting::new("client", "by hand, Produce v9, one record a second and connection"),
            ],
            figures: vec![
                Figure::less("cpu_ms_per_s", "broker CPU", "ms per second").with_maybe_bar(bar(0.25)),
                Figure::less("anonymous_mib", "anonymous memory, peak", "MiB").with_maybe_bar(bar(0.125)),
                Figure::less("p99_ms", "acknowledged, p99", "ms"),
                Figure::less("p999_ms", "acknowledged, p99.9", "ms"),
                Figure::told("file_mib", "pages of files, peak", "MiB"),
            ],
            axis: Some(Axis {
                title: "producers",
                value: f64::from(self.producers),
            }),
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("fanin");
        create_topic(target, &topic, PARTITIONS, &[])?;
        let ends = Ends::of(target, &topic, PARTITIONS)?;
        let address = target.plain_address()?;
        let rounds = bench.plan.duration().as_secs().max(2) as u32;
        let process = target.process();
        let watch = process.map(|process| process.watch());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (latencies, used) = runtime.block_on(async {
            let connected = connect(address, &topic, self.producers).await?;
            let before = process.map(|process| process.cpu_seconds()).transpose()?;
            let latencies = produce(connected, rounds).await?;
            let after = process.map(|process| process.cpu_seconds()).transpose()?;
            anyhow::Ok((latencies, after.zip(before).map(|(after, before)| after - before)))
        })?;
        let sent = i64::from(self.producers) * i64::from(rounds);
        let appended = ends.sum()?;
        ensure!(
            appended == sent,
            "{sent} records were sent and the end offsets grew by {appended}"
        );
        delete_topics(target, &[&topic])?;
        let mut measured = Measured::default()
            .with("cpu_ms_per_s", used.map(|used| used * 1e3 / f64::from(rounds)))
            .with("p99_ms", latencies.ms_at(0.99))
            .with("p999_ms", latencies.ms_at(0.999));
        measured.curves = vec![latencies.curve("acknowledged")];
        Ok(with_memory(measured, watch.map(|watch| watch.peak()).transpose()?))
    }
}

/// A producer: its socket and the request that it sends again and again.
struct Producer {
    socket: TcpStream,
    frame: Vec<u8>,
}

/// Connects one after the other: a listener has a short queue.
async fn connect(address: SocketAddr, topic: &str, count: u32) -> anyhow::Result<Vec<Producer>> {
    let mut producers = Vec::with_capacity(count as usize);
    for number in 0..count {
        let socket = timeout(PATIENCE, TcpStream::connect(address))
            .await
            .context("the broker accepts no more")??;
        socket.set_nodelay(true)?;
        let frame = wire::produce_frame(topic, number as i32 % PARTITIONS, &[b'm'; RECORD_BYTES], 1)?;
        producers.push(Producer { socket, frame });
    }
    Ok(producers)
}

/// Each sends once a second, spread evenly over the second.
async fn produce(producers: Vec<Producer>, rounds: u32) -> anyhow::Result<Latencies> {
    let start = Instant::now() + Duration::from_millis(100);
    let count = producers.len() as u32;
    let begin = |(number, producer): (usize, Producer)| {
        let phase = INTERVAL * number as u32 / count;
        tokio::spawn(producer.run(start + phase, rounds))
    };
    let running: Vec<_> = producers.into_iter().enumerate().map(begin).collect();
    let mut latencies = Latencies::default();
    for each in running {
        for us in each.await?? {
            latencies.record(us);
        }
    }
    Ok(latencies)
}

impl Producer {
    /// Returns how long after it was due each answer came, in microseconds.
    async fn run(mut self, start: Instant, rounds: u32) -> anyhow::Result<Vec<u64>> {
        let mut taken = Vec::with_capacity(rounds as usize);
        for round in 0..rounds {
            let due = start + INTERVAL * round;
            sleep_until(due).await;
            self.socket.write_all(&self.frame).await?;
            let answer = timeout(PATIENCE, receive(&mut self.socket))
                .await
                .context("no answer")??;
            taken.push(due.elapsed().as_micros() as u64);
            wire::ensure_taken(answer)?;
        }
        Ok(taken)
    }
}

async fn receive(socket: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let length = usize::try_from(socket.read_i32().await?)?;
    ensure!(length <= MAX_ANSWER_BYTES, "an answer of {length} bytes");
    let mut answer = vec![0; length];
    socket.read_exact(&mut answer).await?;
    Ok(answer)
}
