//! `ottla quickstart`: one message goes round, over a real socket, so that a newcomer sees the broker work.

use super::{Settings, serve};
use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use ottla_protocol::{
    ErrorCode, Message, Request, frame,
    messages::{
        CreateTopicsRequest, FetchRequest, ProduceRequest,
        create_topics_request::CreatableTopic,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::{BatchBuilder, NewRecord, batch::batches, record::records},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TOPIC: &str = "quickstart";
const MESSAGE: &[u8] = b"hello from ottla";

pub(super) async fn quickstart(settings: Settings) -> anyhow::Result<()> {
    let stop = serve::StopSignal::listen()?;
    let running = serve::start(settings).await?;
    let address = *running.addresses().first().context("the broker has a listener")?;
    let mut client = TcpStream::connect(address).await?;
    create_topic(&mut client).await?;
    let offset = produce(&mut client).await?;
    println!(
        "wrote  \"{}\" to {TOPIC}-0 at offset {offset}",
        String::from_utf8_lossy(MESSAGE)
    );
    let message = fetch(&mut client, offset).await?;
    println!("read   \"{}\" back", String::from_utf8_lossy(&message));
    println!("\nPoint any Kafka client at bootstrap.servers={address}; Ctrl-C ends this broker.");
    stop.wait().await;
    running.stop().await
}

async fn create_topic(client: &mut TcpStream) -> anyhow::Result<()> {
    let topic = CreatableTopic {
        name: TOPIC.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 30_000,
        ..Default::default()
    };
    let response = call(client, &request, 7).await?;
    let code = response.topics.first().context("an answer for the topic")?.error_code;
    let is_there = code == 0 || code == ErrorCode::TopicAlreadyExists.code();
    ensure!(
        is_there,
        "the topic cannot be created: {:?}",
        ErrorCode::from_code(code)
    );
    Ok(())
}

async fn produce(client: &mut TcpStream) -> anyhow::Result<i64> {
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(crate::clock::now_ms(), b"greeting", MESSAGE));
    let data = PartitionProduceData {
        index: 0,
        records: Some(builder.build()),
    };
    let topic = TopicProduceData {
        name: TOPIC.into(),
        partition_data: vec![data],
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic],
        ..Default::default()
    };
    let response = call(client, &request, 9).await?;
    let answer = response
        .responses
        .first()
        .and_then(|topic| topic.partition_responses.first());
    let answer = answer.context("an answer for the partition")?;
    ensure!(
        answer.error_code == 0,
        "the message was refused: {:?}",
        ErrorCode::from_code(answer.error_code)
    );
    Ok(answer.base_offset)
}

async fn fetch(client: &mut TcpStream, offset: i64) -> anyhow::Result<Vec<u8>> {
    let partition = FetchPartition {
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = FetchTopic {
        topic: TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: 1000,
        min_bytes: 1,
        topics: vec![topic],
        ..Default::default()
    };
    let response = call(client, &request, 12).await?;
    let partition = response.responses.first().and_then(|topic| topic.partitions.first());
    let bytes = partition
        .and_then(|partition| partition.records.clone())
        .context("records")?;
    let (header, batch) = batches(&bytes).next().context("a batch")??;
    let record = records(
        &batch[ottla_protocol::records::batch::HEADER_BYTES..],
        header.records_count,
    )
    .next()
    .context("a record")?
    .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(record.value.context("a value")?.to_vec())
}

/// Sends a request over a socket and reads its answer.
async fn call<R: Request>(client: &mut TcpStream, request: &R, version: i16) -> anyhow::Result<R::Response> {
    let bytes = frame::request(request, version, 1, "ottla-quickstart")?.into_bytes();
    client.write_all(&bytes).await?;
    let length = usize::try_from(client.read_i32().await?).context("a length")?;
    let mut answer = BytesMut::zeroed(length);
    client.read_exact(&mut answer).await?;
    let (_, mut reader) = frame::split_response(Bytes::from(answer), R::KEY, version)?;
    Ok(R::Response::decode(&mut reader, version)?)
}
