//! A client that speaks the protocol by hand: one socket, one request after another, or raw bytes.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message, Request,
    frame::{self, split_response},
    ids::{ProducerId, Uuid},
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
        FetchRequest, FetchResponse, IncrementalAlterConfigsRequest, InitProducerIdRequest, ListOffsetsRequest,
        MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
        create_topics_request::CreatableTopic,
        delete_topics_request::DeleteTopicState,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::DescribeConfigsResourceResult,
        fetch_request::{FetchPartition, FetchTopic},
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::{BatchBuilder, NewRecord},
};
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keys are set for, with the numbers of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigResourceKind {
    /// A topic.
    Topic = 2,
    /// A broker, or all of them.
    Broker = 4,
    /// A group.
    Group = 32,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    next_correlation_id: i32,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> crate::Result<Self> {
        Self::on(TcpStream::connect(address)?)
    }

    /// Connects from an address of this machine's choice.
    pub fn connect_from(own: IpAddr, address: SocketAddr) -> crate::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((own, 0)).into())?;
        socket.connect(&address.into())?;
        Self::on(socket.into())
    }

    fn on(socket: TcpStream) -> crate::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            next_correlation_id: 1,
        })
    }

    /// Sends a request and reads its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> crate::Result<R::Response> {
        let correlation_id = self.send(request, version)?;
        self.receive::<R>(version, correlation_id)
    }

    /// Sends a request; returns its correlation id.
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> crate::Result<i32> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let bytes = frame::request(request, version, correlation_id, "ottla-tests")?.into_bytes();
        self.send_raw(&bytes)?;
        Ok(correlation_id)
    }

    /// Reads the answer to the request with `correlation_id`, which must be the next one.
    pub fn receive<R: Request>(&mut self, version: i16, correlation_id: i32) -> crate::Result<R::Response> {
        let (answered, mut reader) = split_response(self.receive_raw()?, R::KEY, version)?;
        ensure!(
            answered == correlation_id,
            "answer to {answered} instead of {correlation_id}"
        );
        let response = R::Response::decode(&mut reader, version)?;
        ensure!(
            reader.remaining() == 0,
            "{} bytes follow the answer to {}",
            reader.remaining(),
            R::NAME
        );
        Ok(response)
    }

    /// How long the broker may read nothing of what is sent before sending fails.
    pub fn give_up_writing_after(&mut self, patience: Duration) -> crate::Result<()> {
        Ok(self.socket.set_write_timeout(Some(patience))?)
    }

    /// Says that nothing more will be sent; answers still come.
    pub fn end(&mut self) -> crate::Result<()> {
        Ok(self.socket.shutdown(std::net::Shutdown::Write)?)
    }

    /// The same connection once more, so that one thread sends and another receives.
    pub fn share(&self) -> crate::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            next_correlation_id: self.next_correlation_id,
        })
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> crate::Result<()> {
        Ok(self.socket.write_all(bytes)?)
    }

    /// Reads one frame, without its length; `None` if the broker closes the connection instead.
    pub fn receive_unless_closed(&mut self) -> crate::Result<Option<Bytes>> {
        match self.socket.peek(&mut [0; 1]) {
            Ok(0) => Ok(None),
            Ok(_) => self.receive_raw().map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error).context("no answer"),
        }
    }

    /// Reads one frame, without its length.
    pub fn receive_raw(&mut self) -> crate::Result<Bytes> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).context("no answer")?;
        let length = usize::try_from(i32::from_be_bytes(length)).context("an answer of negative length")?;
        let mut frame = vec![0; length];
        self.socket.read_exact(&mut frame).context("a cut answer")?;
        Ok(frame.into())
    }

    /// Whether the broker closes the connection without another byte.
    pub fn is_closed_in_silence(&mut self) -> crate::Result<bool> {
        match self.socket.read(&mut [0; 1]) {
            Ok(0) => Ok(true),
            Ok(_) => Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The APIs of the broker.
    pub fn api_versions(&mut self) -> crate::Result<ApiVersionsResponse> {
        let software = ("ottla-tests".into(), "1".into());
        let request = ApiVersionsRequest {
            client_software_name: software.0,
            client_software_version: software.1,
            ..Default::default()
        };
        self.call(&request, 3)
    }

    /// The metadata of one topic, or of all.
    pub fn metadata(&mut self, topic: Option<&str>) -> crate::Result<MetadataResponse> {
        let topics = topic.map(|name| {
            vec![MetadataRequestTopic {
                name: Some(name.into()),
                ..Default::default()
            }]
        });
        let request = MetadataRequest {
            topics,
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.call(&request, 12)
    }

    /// Creates a topic; `configs` are its overrides. Returns its id.
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> crate::Result<Uuid> {
        use ottla_protocol::messages::create_topics_request::CreatableTopicConfig;
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
        };
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        let response = self.call(&request, 7)?;
        let created = response.topics.first().context("an answer for the topic")?;
        ensure!(
            created.error_code == 0,
            "{}: {:?}",
            code(created.error_code),
            created.error_message
        );
        Ok(created.topic_id)
    }

    /// Deletes a topic.
    pub fn delete_topic(&mut self, name: &str) -> crate::Result<()> {
        let topic = DeleteTopicState {
            name: Some(name.into()),
            ..Default::default()
        };
        let request = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: 30_000,
            ..Default::default()
        };
        let response = self.call(&request, 6)?;
        let deleted = response.responses.first().context("an answer for the topic")?;
        ensure!(deleted.error_code == 0, "{}", code(deleted.error_code));
        Ok(())
    }

    /// Sets (or with `None` unsets) keys of a resource: of a topic by its name, of a broker by its id, of all brokers
    /// by the empty name.
    pub fn alter_configs(
        &mut self,
        kind: ConfigResourceKind,
        name: &str,
        configs: &[(&str, Option<&str>)],
    ) -> crate::Result<()> {
        let config = |(name, value): &(&str, Option<&str>)| AlterableConfig {
            name: (*name).into(),
            config_operation: if value.is_some() { 0 } else { 1 },
            value: value.map(Into::into),
        };
        let resource = AlterConfigsResource {
            resource_type: kind as i8,
            resource_name: name.into(),
            configs: configs.iter().map(config).collect(),
        };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource],
            ..Default::default()
        };
        let response = self.call(&request, 1)?;
        let altered = response.responses.first().context("an answer for the resource")?;
        ensure!(
            altered.error_code == 0,
            "{}: {:?}",
            code(altered.error_code),
            altered.error_message
        );
        Ok(())
    }

    /// The keys of a resource, with where each comes from.
    pub fn describe_configs(
        &mut self,
        kind: ConfigResourceKind,
        name: &str,
    ) -> crate::Result<Vec<DescribeConfigsResourceResult>> {
        let resource = DescribeConfigsResource {
            resource_type: kind as i8,
            resource_name: name.into(),
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource],
            include_synonyms: true,
            ..Default::default()
        };
        let response = self.call(&request, 4)?;
        let described = response
            .results
            .into_iter()
            .next()
            .context("an answer for the resource")?;
        ensure!(described.error_code == 0, "{}", code(described.error_code));
        Ok(described.configs)
    }

    /// The offset that a special timestamp stands for: -1 the end, -2 the beginning.
    pub fn offset_at(&mut self, topic: &str, partition: i32, timestamp: i64) -> crate::Result<i64> {
        let partition = ListOffsetsPartition {
            partition_index: partition,
            timestamp,
            ..Default::default()
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![partition],
            }],
            ..Default::default()
        };
        let response = self.call(&request, 7)?;
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        let answer = answer.context("an answer for the partition")?;
        ensure!(answer.error_code == 0, "{}", code(answer.error_code));
        Ok(answer.offset)
    }

    /// A producer id that nobody else has.
    pub fn init_producer_id(&mut self) -> crate::Result<ProducerId> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..Default::default()
        };
        let response = self.call(&request, 4)?;
        ensure!(response.error_code == 0, "{}", code(response.error_code));
        Ok(ProducerId(response.producer_id))
    }

    /// Produces one batch (version 9) and returns the partition's answer: code and base offset.
    pub fn produce(&mut self, topic: &str, partition: i32, batch: Bytes, acks: i16) -> crate::Result<(ErrorCode, i64)> {
        let request = produce_request(topic, partition, batch, acks);
        let response: ProduceResponse = self.call(&request, 9)?;
        let answer = response
            .responses
            .first()
            .and_then(|topic| topic.partition_responses.first());
        let answer = answer.context("an answer for the partition")?;
        Ok((code(answer.error_code), answer.base_offset))
    }

    /// Fetches one partition without a session (version 12).
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_wait_ms: i32,
    ) -> crate::Result<FetchResponse> {
        self.call(&fetch_request(topic, partition, offset, max_wait_ms), 12)
    }
}

/// The error with this number.
///
/// # Panics
/// There is none.
pub fn code(number: i16) -> ErrorCode {
    ErrorCode::from_code(number).unwrap_or_else(|| panic!("unknown error code {number}"))
}

/// A Produce of one batch to one partition.
pub fn produce_request(topic: &str, partition: i32, batch: Bytes, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData {
        index: partition,
        records: Some(batch),
    };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![data],
        ..Default::default()
    };
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![topic],
        ..Default::default()
    }
}

/// A Fetch of one partition without a session.
pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = FetchTopic {
        topic: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 64 << 20,
        topics: vec![topic],
        ..Default::default()
    }
}

/// A batch of records with these values, at the time now.
pub fn batch(values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(&NewRecord::of(now_ms(), b"key", value));
    }
    builder.build()
}

/// Milliseconds since 1970.
///
/// # Panics
/// The clock stands before 1970.
pub fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is set");
    now.as_millis() as i64
}

/// For tests that expect a refusal to be typed: the code of the first partition of a produce.
pub fn first_code(response: &ProduceResponse) -> crate::Result<ErrorCode> {
    let answer = response
        .responses
        .first()
        .and_then(|topic| topic.partition_responses.first());
    match answer {
        Some(answer) => Ok(code(answer.error_code)),
        None => bail!("no partition in the answer"),
    }
}
