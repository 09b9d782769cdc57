//! A small client of the Kafka protocol, for questions about groups.

use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message, Request, Str, frame,
    messages::{
        ConsumerGroupDescribeRequest, DescribeClusterRequest, DescribeGroupsRequest, ListGroupsRequest,
        ListOffsetsRequest, MetadataRequest, OffsetFetchRequest, consumer_group_describe_response,
        describe_groups_response,
        list_groups_response::ListedGroup,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        offset_fetch_request::OffsetFetchRequestGroup,
        offset_fetch_response::OffsetFetchResponseTopics,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// The longest that a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 256 << 20;

const LATEST: i64 = -1;

/// One connection.
struct Connection {
    socket: TcpStream,
    address: String,
}

impl Connection {
    fn open(address: &str) -> anyhow::Result<Self> {
        let cannot = || format!("cannot reach the broker at {address}");
        let mut addresses = address.to_socket_addrs().with_context(cannot)?;
        let first = addresses.next().with_context(cannot)?;
        let socket = TcpStream::connect_timeout(&first, CONNECT_PATIENCE).with_context(cannot)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            address: address.to_owned(),
        })
    }

    fn call<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        let Self { socket, address } = self;
        let mut exchange = || -> anyhow::Result<R::Response> {
            let bytes = frame::request(request, version, 1, "ottla-cli")?.into_bytes();
            socket.write_all(&bytes)?;
            let mut length = [0; 4];
            socket.read_exact(&mut length)?;
            let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
            ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
            let mut answer = vec![0; length];
            socket.read_exact(&mut answer)?;
            let (_, mut reader) = frame::split_response(Bytes::from(answer), R::KEY, version)?;
            Ok(R::Response::decode(&mut reader, version)?)
        };
        exchange().with_context(|| format!("the broker at {address} does not answer to {}", R::NAME))
    }
}

/// A group, and which broker coordinates it.
#[derive(Clone, Debug)]
pub(super) struct CoordinatedGroup {
    pub(super) listed: ListedGroup,
    pub(super) coordinator: i32,
}

/// A partition by name and index.
pub(super) type PartitionName = (Str, i32);

/// The brokers, each with a connection once it has been asked something.
pub(super) struct Cluster {
    id: String,
    addresses: BTreeMap<i32, String>,
    connections: BTreeMap<i32, Connection>,
}

impl Cluster {
    /// Asks a broker for the others.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(super) fn connect(bootstrap: &str) -> anyhow::Result<Self> {
        let mut first = Connection::open(bootstrap).context("--bootstrap HOST:PORT names a broker")?;
        let described = first.call(&DescribeClusterRequest::default(), 1)?;
        check(described.error_code, "the cluster")?;
        let brokers = described.brokers.iter();
        Ok(Self {
            id: described.cluster_id.to_string(),
            addresses: brokers
                .map(|broker| (broker.broker_id, format!("{}:{}", broker.host, broker.port)))
                .collect(),
            connections: BTreeMap::new(),
        })
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Where a broker is.
    pub(super) fn address(&self, node: i32) -> &str {
        self.addresses.get(&node).map_or("", String::as_str)
    }

    fn call<R: Request>(&mut self, node: i32, request: &R, version: i16) -> anyhow::Result<R::Response> {
        if !self.connections.contains_key(&node) {
            let address = self.addresses.get(&node);
            let address = address.with_context(|| format!("broker {node} is not there"))?;
            self.connections.insert(node, Connection::open(address)?);
        }
        let connection = self.connections.get_mut(&node).context("it has just been opened")?;
        connection.call(request, version)
    }

    /// All groups, by id. Looking for a coordinator would make the topic of the offsets; this does not.
    pub(super) fn groups(&mut self) -> anyhow::Result<Vec<CoordinatedGroup>> {
        let nodes: Vec<i32> = self.addresses.keys().copied().collect();
        let mut groups = Vec::new();
        for node in nodes {
            let response = self.call(node, &ListGroupsRequest::default(), 5)?;
            check(response.error_code, "the groups")?;
            groups.extend(response.groups.into_iter().map(|listed| CoordinatedGroup {
                listed,
                coordinator: node,
            }));
        }
        groups.sort_by(|one, other| one.listed.group_id.cmp(&other.listed.group_id));
        Ok(groups)
    }

    /// A group of the classic protocol.
    pub(super) fn classic(
        &mut self,
        group: &CoordinatedGroup,
    ) -> anyhow::Result<describe_groups_response::DescribedGroup> {
        let request = DescribeGroupsRequest {
            groups: vec![group.listed.group_id.clone()],
            ..Default::default()
        };
        let response = self.call(group.coordinator, &request, 5)?;
        let described = response.groups.into_iter().next().context("an answer for the group")?;
        check(described.error_code, &group.listed.group_id)?;
        Ok(described)
    }

    /// A group of the consumer protocol.
    pub(super) fn consumer(
        &mut self,
        group: &CoordinatedGroup,
    ) -> anyhow::Result<consumer_group_describe_response::DescribedGroup> {
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![group.listed.group_id.clone()],
            ..Default::default()
        };
        let response = self.call(group.coordinator, &request, 1)?;
        let described = response.groups.into_iter().next().context("an answer for the group")?;
        check(described.error_code, &group.listed.group_id)?;
        Ok(described)
    }

    /// What a group has committed.
    pub(super) fn committed(&mut self, group: &CoordinatedGroup) -> anyhow::Result<BTreeMap<PartitionName, i64>> {
        let request = OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: group.listed.group_id.clone(),
                topics: None,
                ..Default::default()
            }],
            ..Default::default()
        };
        let response = self.call(group.coordinator, &request, 9)?;
        let fetched = response.groups.into_iter().next().context("an answer for the group")?;
        check(fetched.error_code, &group.listed.group_id)?;
        let of_topic = |topic: OffsetFetchResponseTopics| {
            let name = topic.name;
            let partitions = topic.partitions.into_iter();
            let found = partitions.filter(|partition| partition.committed_offset >= 0);
            found.map(move |partition| ((name.clone(), partition.partition_index), partition.committed_offset))
        };
        Ok(fetched.topics.into_iter().flat_map(of_topic).collect())
    }

    /// Where consumers may read up to, of those partitions that exist.
    pub(super) fn ends(
        &mut self,
        partitions: &BTreeSet<PartitionName>,
    ) -> anyhow::Result<BTreeMap<PartitionName, i64>> {
        let mut by_leader: BTreeMap<i32, Vec<PartitionName>> = BTreeMap::new();
        for (name, leader) in self.leaders(partitions)? {
            by_leader.entry(leader).or_default().push(name);
        }
        let mut ends = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let response = self.call(leader, &latest_of(partitions), 7)?;
            for topic in response.topics {
                for partition in topic.partitions.iter().filter(|partition| partition.error_code == 0) {
                    ends.insert((topic.name.clone(), partition.partition_index), partition.offset);
                }
            }
        }
        Ok(ends)
    }

    fn leaders(&mut self, partitions: &BTreeSet<PartitionName>) -> anyhow::Result<Vec<(PartitionName, i32)>> {
        let topics: BTreeSet<&Str> = partitions.iter().map(|(topic, _)| topic).collect();
        let any = self.addresses.keys().next().copied().context("a broker")?;
        let topic = |name: &Str| MetadataRequestTopic {
            name: Some(name.clone()),
            ..Default::default()
        };
        let request = MetadataRequest {
            topics: Some(topics.into_iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let response = self.call(any, &request, 9)?;
        let mut leaders = Vec::new();
        for topic in response.topics {
            let Some(name) = topic.name else { continue };
            for partition in topic.partitions {
                let key = (name.clone(), partition.partition_index);
                if partition.leader_id >= 0 && partitions.contains(&key) {
                    leaders.push((key, partition.leader_id));
                }
            }
        }
        Ok(leaders)
    }
}

fn latest_of(partitions: Vec<PartitionName>) -> ListOffsetsRequest {
    let mut topics: BTreeMap<Str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (topic, partition_index) in partitions {
        topics.entry(topic).or_default().push(ListOffsetsPartition {
            partition_index,
            timestamp: LATEST,
            ..Default::default()
        });
    }
    ListOffsetsRequest {
        replica_id: -1,
        topics: topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic { name, partitions })
            .collect(),
        ..Default::default()
    }
}

fn check(code: i16, what: &str) -> anyhow::Result<()> {
    let name = ErrorCode::from_code(code).map_or("an unknown error", ErrorCode::name);
    ensure!(code == 0, "the broker says nothing of {what}: {name}");
    Ok(())
}
