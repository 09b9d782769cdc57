//! A client in the same thread as its broker, and the requests that it sends.

use crate::run_counted;
use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla::{Answer, InProcess};
use ottla_protocol::{
    ErrorCode, Message, Request,
    frame::{self, split_response},
    ids::{ProducerEpoch, ProducerId, Uuid},
    messages::{
        CreateTopicsRequest, FetchRequest, OffsetCommitRequest, ProduceRequest, ProduceResponse,
        create_topics_request::CreatableTopic,
        fetch_request::{FetchPartition, FetchTopic},
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::{BatchBuilder, NewRecord},
};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

pub(crate) const PRODUCE_VERSION: i16 = 13;
pub(crate) const FETCH_VERSION: i16 = 17;
pub(crate) const COMMIT_VERSION: i16 = 9;

pub(crate) type Result<T> = anyhow::Result<T>;

/// The broker, its runtime, and the one who asks.
pub(crate) struct Client {
    pub(crate) broker: InProcess,
    pub(crate) runtime: Runtime,
}

impl Client {
    pub(crate) fn start(dir: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let overrides = [
            "listeners=PLAINTEXT://127.0.0.1:0".to_owned(),
            format!("log.dirs={dir}"),
            "http.listener=".to_owned(),
            "offsets.topic.num.partitions=1".to_owned(),
        ];
        let broker = runtime.block_on(InProcess::start(&overrides))?;
        Ok(Self { broker, runtime })
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.runtime.block_on(self.broker.stop())
    }

    /// The answer to a request, counted or not.
    fn answer(&self, frame: Bytes, is_counted: bool) -> Result<Answer> {
        // As it comes off a socket: nobody else has it.
        let mut frame = Some(Bytes::copy_from_slice(&frame));
        let mut answer = None;
        let mut ask = || {
            let frame = frame.take().unwrap_or_default();
            answer = Some(self.runtime.block_on(self.broker.answer(frame)));
        };
        match is_counted {
            true => run_counted(&mut ask),
            false => ask(),
        }
        answer.context("it was asked")??.context("there is an answer")
    }

    /// Asks, and looks at the answer.
    pub(crate) fn call<R: Request>(&self, request: &R, version: i16, is_counted: bool) -> Result<R::Response> {
        let answer = self.answer(framed(request, version)?, is_counted)?;
        decoded::<R>(answer, version)
    }

    /// As [`Client::call`], where the records of the answer may lie in a file: how many bytes it has.
    pub(crate) fn call_for_records<R: Request>(&self, request: &R, version: i16, is_counted: bool) -> Result<usize> {
        let answer = self.answer(framed(request, version)?, is_counted)?;
        Ok(answer.len_bytes())
    }

    /// Produces a batch; where its records begin.
    pub(crate) fn produce(&self, topic_id: Uuid, partition: i32, batch: Bytes, is_counted: bool) -> Result<i64> {
        let produced = self.call(&produce(topic_id, partition, batch), PRODUCE_VERSION, is_counted)?;
        base_offset(&produced)
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32) -> Result<Uuid> {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        let created = self.call(&request, 7, false)?;
        Ok(created.topics.first().context("the topic")?.topic_id)
    }
}

/// A request without its length.
pub(crate) fn framed<R: Request>(request: &R, version: i16) -> Result<Bytes> {
    Ok(frame::request(request, version, 1, "costs")?.into_bytes().slice(4..))
}

/// The response, if it has no error at whatever depth.
pub(crate) fn decoded<R: Request>(answer: Answer, version: i16) -> Result<R::Response> {
    let bytes = answer.into_bytes().context("the answer is in memory")?;
    let (_, mut reader) = split_response(bytes.slice(4..), R::KEY, version)?;
    let response = R::Response::decode(&mut reader, version)?;
    let mut errors = Vec::new();
    response.visit_errors(&mut |code| errors.push(ErrorCode::from_code(code)));
    ensure!(errors.is_empty(), "{}: {errors:?}", R::NAME);
    Ok(response)
}

pub(crate) fn base_offset(produced: &ProduceResponse) -> Result<i64> {
    let partitions = produced.responses.first().map(|topic| &topic.partition_responses);
    let first = partitions.and_then(|partitions| partitions.first());
    Ok(first.context("the partition")?.base_offset)
}

/// A batch of so many records of 1 KiB.
pub(crate) fn batch(records: usize) -> Bytes {
    fill(BatchBuilder::new(), records)
}

/// A batch of one record of 1 KiB, by an idempotent producer.
pub(crate) fn batch_of(producer: i64, sequence: i32) -> Bytes {
    let builder = BatchBuilder::new().producer(ProducerId(producer), ProducerEpoch(0), sequence);
    fill(builder, 1)
}

fn fill(mut builder: BatchBuilder, records: usize) -> Bytes {
    let value = [b'v'; 1024];
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64);
    for _ in 0..records {
        builder.append(&NewRecord::of(now, b"key", &value));
    }
    builder.build()
}

/// One batch for one partition, acks=all.
pub(crate) fn produce(topic_id: Uuid, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData {
        index: partition,
        records: Some(batch),
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            topic_id,
            partition_data: vec![data],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A fetch of these partitions and offsets, without a session.
pub(crate) fn fetch(topic_id: Uuid, partitions: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 64 << 20,
        topics: vec![FetchTopic {
            topic_id,
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// One offset of a group without members.
pub(crate) fn commit(group: &str, topic: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        committed_offset: offset,
        committed_metadata: Some("".into()),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    }
}
