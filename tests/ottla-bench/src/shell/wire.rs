//! Connections that speak the protocol by hand, for what librdkafka cannot do thousands of times.

use super::{client::until, target::Target};
use anyhow::ensure;
use ottla_protocol::{
    ErrorCode, Request, frame,
    messages::{CreateTopicsRequest, ProduceRequest, create_topics_request::CreatableTopic},
};
use ottla_tests::client::{Client, batch, produce_request};
use std::{net::SocketAddr, time::Duration};

/// How long a broker may take to take a record at last.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection.
///
/// # Errors
/// Nobody listens, or the broker wants more than plaintext.
pub fn connect(target: &Target) -> anyhow::Result<Client> {
    ensure!(target.is_plaintext(), "connections by hand know no TLS and no SASL");
    Client::connect(target.plain_address()?)
}

/// A whole produce request of one record, to be sent again and again.
///
/// # Errors
/// The name is too long.
pub fn produce_frame(topic: &str, partition: i32, value: &[u8], acks: i16) -> anyhow::Result<Vec<u8>> {
    let request = produce_request(topic, partition, batch(&[value]), acks);
    Ok(frame::request(&request, PRODUCE_VERSION, 1, "ottla-bench")?
        .into_bytes()
        .to_vec())
}

/// The version that [`produce_frame`] speaks.
pub const PRODUCE_VERSION: i16 = 9;

/// Whether an answer to [`produce_frame`], without its length, says that the record was taken.
///
/// # Errors
/// It does not, or is no such answer.
pub fn ensure_taken(answer: Vec<u8>) -> anyhow::Result<()> {
    use ottla_protocol::Message;
    let (_, mut reader) = frame::split_response(answer.into(), ProduceRequest::KEY, PRODUCE_VERSION)?;
    let response = <ProduceRequest as Request>::Response::decode(&mut reader, PRODUCE_VERSION)?;
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    for partition in partitions {
        ensure!(
            partition.error_code == 0,
            "a record was refused with error {}",
            partition.error_code
        );
    }
    Ok(())
}

/// Makes topics of one request; each with so many partitions.
///
/// # Errors
/// One is refused.
pub fn create_topics(client: &mut Client, names: &[String], partitions: i32) -> anyhow::Result<()> {
    let topic = |name: &String| CreatableTopic {
        name: name.as_str().into(),
        num_partitions: partitions,
        replication_factor: -1,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: names.iter().map(topic).collect(),
        timeout_ms: 60_000,
        ..Default::default()
    };
    for created in client.call(&request, 7)?.topics {
        ensure!(
            created.error_code == 0,
            "a topic was refused with error {}: {:?}",
            created.error_code,
            created.error_message
        );
    }
    Ok(())
}

/// Produces one record as soon as the broker takes it, from before it listens: makes the topic when it is not there.
///
/// # Errors
/// It takes none in two minutes.
pub fn first_acknowledgement(address: SocketAddr, topic: &str) -> anyhow::Result<()> {
    let mut connection = None;
    until_quickly("the first acknowledgement", || {
        let mut client = connection.take().or_else(|| Client::connect(address).ok())?;
        let is_taken = produce_once(&mut client, topic).ok()?;
        // One that has failed is not used again.
        connection = Some(client);
        is_taken.then_some(())
    })
}

fn produce_once(client: &mut Client, topic: &str) -> anyhow::Result<bool> {
    let (code, _) = client.produce(topic, 0, batch(&[b"the first"]), -1)?;
    if code == ErrorCode::UnknownTopicOrPartition
        && client
            .metadata(Some(topic))?
            .topics
            .iter()
            .any(|topic| topic.error_code != 0)
    {
        client.create_topic(topic, 1, &[])?;
    }
    Ok(code == ErrorCode::None)
}

/// As [`until`], with less time between tries: what is measured takes milliseconds.
fn until_quickly<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        ensure!(std::time::Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Waits until the partitions of a topic take records.
///
/// # Errors
/// They do not.
pub fn until_led(client: &mut Client, topic: &str, partitions: i32) -> anyhow::Result<()> {
    until(PATIENCE, "all partitions to lead", || {
        for partition in [0, partitions / 2, partitions - 1] {
            client.offset_at(topic, partition, -1)?;
        }
        Ok(Some(()))
    })
}
