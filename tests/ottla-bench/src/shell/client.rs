//! librdkafka: producers and consumers for a target, topics, and what it counts of its own requests.

use super::target::Target;
use anyhow::{Context, bail};
use futures_executor::block_on;
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    message::DeliveryResult,
    producer::{Producer, ProducerContext},
};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long a request about topics may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Partitions that one request makes: Kafka takes 10,000 records of metadata for one at most.
const PARTITIONS_PER_REQUEST: i32 = 5_000;

/// A consumer of this target.
///
/// # Errors
/// A property is wrong, or there is no token.
pub fn consumer(target: &Target, own: &[(String, String)]) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = config(target, own).create()?;
    target.authenticate(consumer.client())?;
    Ok(consumer)
}

/// A producer for this target.
///
/// # Errors
/// A property is wrong, or there is no token.
pub fn producer<C, P>(target: &Target, own: &[(String, String)], context: C) -> anyhow::Result<P>
where
    C: ProducerContext,
    P: Producer<C> + FromClientConfigAndContext<C>,
{
    let producer: P = config(target, own).create_with_context(context)?;
    target.authenticate(producer.client())?;
    Ok(producer)
}

/// The properties of a client of this target.
fn config(target: &Target, own: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &target.bootstrap)
        .set("client.id", "ottla-bench");
    for (key, value) in target.properties.iter().chain(own) {
        config.set(key, value);
    }
    config
}

/// Pairs of words as properties.
pub fn properties<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}

/// Makes a topic; its partitions may take a moment to lead.
///
/// # Errors
/// The broker refuses it.
pub fn create_topic(target: &Target, name: &str, partitions: i32, settings: &[(&str, &str)]) -> anyhow::Result<()> {
    // As many replicas as the broker's own default has.
    let mut count = partitions.min(PARTITIONS_PER_REQUEST);
    let mut topic = NewTopic::new(name, count, TopicReplication::Fixed(-1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let admin = admin(target)?;
    let mut made = block_on(admin.create_topics([&topic], &options))?;
    loop {
        if let Err((_, code)) = made.into_iter().next().context("an answer for the topic")? {
            bail!("topic {name} cannot be made: {code}");
        }
        if count == partitions {
            return Ok(());
        }
        count = partitions.min(count + PARTITIONS_PER_REQUEST);
        let more = NewPartitions::new(name, count as usize);
        made = block_on(admin.create_partitions([&more], &options))?;
    }
}

/// Deletes topics; those that are not there are no error.
///
/// # Errors
/// The broker refuses it.
pub fn delete_topics(target: &Target, names: &[&str]) -> anyhow::Result<()> {
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for deleted in block_on(admin(target)?.delete_topics(names, &options))? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((name, code)) => bail!("topic {name} cannot be deleted: {code}"),
        }
    }
    Ok(())
}

fn admin(target: &Target) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    let admin: AdminClient<_> = config(target, &[]).create()?;
    target.authenticate(admin.inner())?;
    Ok(admin)
}

/// What a producer tells of itself.
#[derive(Debug, Default)]
pub struct Told {
    counts: Mutex<Counts>,
}

/// What librdkafka has counted, and what went wrong last.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Produce requests that were sent.
    pub requests: i64,
    /// Records in them.
    pub records: i64,
    /// Deliveries that failed.
    pub failed: u64,
    /// Why the last of them did.
    pub last_error: Option<String>,
}

impl Told {
    /// Until now.
    pub fn counts(&self) -> Counts {
        self.counts.lock().expect("nobody panics with it").clone()
    }
}

impl ClientContext for Told {
    fn stats(&self, statistics: Statistics) {
        let requests = statistics
            .brokers
            .values()
            .filter_map(|broker| broker.req.get("Produce"))
            .sum();
        let mut counts = self.counts.lock().expect("nobody panics with it");
        counts.requests = requests;
        counts.records = statistics.txmsgs;
    }

    // What goes wrong is told with the measurement, not on the terminal in between.
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        let mut counts = self.counts.lock().expect("nobody panics with it");
        counts.last_error = Some(format!("{error}: {reason}"));
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut counts = self.counts.lock().expect("nobody panics with it");
            counts.failed += 1;
            counts.last_error = Some(error.to_string());
        }
    }
}

/// Asks again and again until there is an answer or the time is up.
///
/// # Errors
/// The time is up: the last error, or `what` was waited for.
pub fn until<T>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        let asked = ask();
        match asked {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) if Instant::now() > deadline => bail!("waited {patience:?} for {what}"),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("waited {patience:?} for {what}")));
            }
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
