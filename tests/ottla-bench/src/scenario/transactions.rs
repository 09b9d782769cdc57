//! Transactions of one producer, one after another, as librdkafka plays them.

use super::{Case, Needs, Scenario, settings};
use crate::{
    core::{
        figure::Figure,
        latency::Latencies,
        plan::Plan,
        report::{CaseFacts, Measured, Setting},
    },
    shell::{
        bench::Bench,
        client::{Told, create_topic, delete_topics, producer, properties},
        offsets::Ends,
        target::Target,
    },
};
use anyhow::ensure;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::{Duration, Instant};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "transactions",
    asks: "How many transactions can a producer end, and what do they cost?",
    needs: Needs::Nothing,
    cases,
};

const PARTITIONS: i32 = 3;
const RECORDS: i32 = 30;
const RECORD_BYTES: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);

struct Transactions;

fn cases(_: &Plan) -> Vec<Box<dyn Case>> {
    vec![Box::new(Transactions)]
}

fn client_properties() -> Vec<(String, String)> {
    properties([
        ("acks", "all"),
        ("linger.ms", "0"),
        ("enable.idempotence", "true"),
        ("transaction.timeout.ms", "60000"),
    ])
}

impl Case for Transactions {
    fn facts(&self) -> CaseFacts {
        let mut settings = settings(&client_properties());
        settings.push(Setting::new("record bytes", RECORD_BYTES.to_string()));
        settings.push(Setting::new("records in a transaction", RECORDS.to_string()));
        settings.push(Setting::new("partitions in a transaction", PARTITIONS.to_string()));
        CaseFacts {
            name: format!("{RECORDS} records in {PARTITIONS} partitions each"),
            settings,
            figures: vec![
                Figure::more("per_s", "transactions", "per second"),
                Figure::less("cpu_s_per_thousand", "broker CPU", "CPU-s per 1,000"),
                Figure::less("commit_p50_ms", "flush and commit, p50", "ms"),
                Figure::less("commit_p99_ms", "flush and commit, p99", "ms"),
            ],
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("transactions");
        create_topic(target, &topic, PARTITIONS, &[])?;
        let ends = Ends::of(target, &topic, PARTITIONS)?;
        let mut own = client_properties();
        own.push(("transactional.id".to_owned(), topic.clone()));
        let producer: BaseProducer<Told> = producer(target, &own, Told::default())?;
        producer.init_transactions(PATIENCE)?;
        transaction(&producer, &topic)?;
        ends.at_rest()?;
        let first = ends.look(target)?;
        let (mut count, mut latencies) = (0_u32, Latencies::default());
        let until = Instant::now() + bench.plan.duration();
        while Instant::now() < until {
            latencies.record(transaction(&producer, &topic)?.as_micros() as u64);
            count += 1;
        }
        let last = ends.look(target)?;
        // Each has a marker in each partition.
        let wanted = i64::from(count) * i64::from(RECORDS + PARTITIONS);
        let appended = ends.at_rest()?.iter().sum::<i64>() - first.end_offset;
        ensure!(
            count > 0 && appended == wanted,
            "{count} transactions ended and the end offsets grew by {appended} instead of {wanted}"
        );
        delete_topics(target, &[&topic])?;
        let used = last
            .cpu_seconds
            .zip(first.cpu_seconds)
            .map(|(last, first)| last - first);
        let mut measured = Measured::default()
            .with("per_s", f64::from(count) / (last.at - first.at).as_secs_f64())
            .with("cpu_s_per_thousand", used.map(|used| used * 1e3 / f64::from(count)))
            .with("commit_p50_ms", latencies.ms_at(0.5))
            .with("commit_p99_ms", latencies.ms_at(0.99));
        measured.curves = vec![latencies.curve("flush and commit")];
        Ok(measured)
    }
}

/// One transaction; returns how long its end took, with the records that were still to be sent.
fn transaction(producer: &BaseProducer<Told>, topic: &str) -> anyhow::Result<Duration> {
    producer.begin_transaction()?;
    for number in 0..RECORDS {
        let record = BaseRecord::<[u8], [u8]>::to(topic)
            .payload(&[b't'; RECORD_BYTES])
            .partition(number % PARTITIONS);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    let begun = Instant::now();
    // Left to itself the client looks for deliveries every 100 ms.
    while producer.in_flight_count() > 0 {
        ensure!(begun.elapsed() < PATIENCE, "records are not acknowledged");
        producer.poll(Duration::from_millis(1));
    }
    producer.commit_transaction(PATIENCE)?;
    Ok(begun.elapsed())
}
