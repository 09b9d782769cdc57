//! Which APIs are served, in which versions, and by what.
//!
//! The one list from which dispatch, ApiVersions and docs/protocol.md follow: an API that does not work is not in it.

use super::*;
use crate::{
    broker::Broker,
    net::{connection::Peer, reply::Reply},
    runtime::controller::Stopped,
};
use bytes::Bytes;
use ottla_protocol::{
    ApiKey, ErrorCode, Message, Request, Str,
    frame::{self, Prelude},
    messages::*,
    primitives::{DecodeError, EncodeError, Reader},
};
use std::{future::Future, pin::Pin, sync::Arc};

/// What a handler may know of the request besides its body.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    /// Empty where the client gave none.
    pub(crate) client_id: Str,
    pub(crate) peer: Arc<Peer>,
}

impl Call {
    /// Counts the answer that has been made.
    pub(crate) fn count<M: Message>(&self, response: &M, reply: &Reply) {
        let metrics = &self.peer.metrics;
        metrics.answered(self.key, reply.len());
        response.visit_errors(&mut |code| metrics.failed(self.key, code));
    }

    /// The client's address as Kafka writes it into group metadata.
    pub(crate) fn client_host(&self) -> String {
        format!("/{}", self.peer.address.ip())
    }
}

/// An answer that comes later.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Result<Option<Reply>, Refused>> + Send>>;

/// A request whose beginning itself has to wait.
pub(crate) type Deferred = Pin<Box<dyn Future<Output = Result<Begun, Refused>> + Send>>;

/// What became of a request when it was begun.
pub(crate) enum Begun {
    /// What has to be done in the order of the requests is not done yet: nothing behind it may begin before.
    Deferred(Deferred),
    Answered(Reply),
    /// Produce with acks=0 has no answer at all.
    NoAnswer,
    Waiting(Waiting),
}

/// A request that cannot be answered: the connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("api key {0} is not served")]
    UnknownApi(i16),
    #[error("version {version} of {} is not served", key.name())]
    UnservedVersion { key: ApiKey, version: i16 },
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
    #[error("the answer cannot be written: {0}")]
    Unanswerable(#[from] EncodeError),
    #[error("a produce with acks=0 failed: {}", .0.name())]
    SilentProduce(ErrorCode),
    #[error(transparent)]
    Stopping(#[from] Stopped),
}

/// What a handler returns: a response, or none because the broker stops.
pub(crate) trait Answer<M> {
    /// The response.
    fn into_response(self) -> Result<M, Refused>;
}

impl<M: Message> Answer<M> for M {
    fn into_response(self) -> Result<M, Refused> {
        Ok(self)
    }
}

impl<M: Message> Answer<M> for Result<M, Stopped> {
    fn into_response(self) -> Result<M, Refused> {
        Ok(self?)
    }
}

/// One API.
pub(crate) struct Entry {
    pub(crate) key: ApiKey,
    /// The versions that work.
    pub(crate) served: VersionRange,
    /// The versions in ApiVersions; wider than `served` only for Produce (KAFKA-18659).
    pub(crate) advertised: VersionRange,
    /// A version above these that is served and advertised under `unstable.api.versions.enable`.
    pub(crate) unstable: Option<i16>,
    begin: fn(&Arc<Broker>, Call, Reader) -> Result<Begun, Refused>,
}

impl Entry {
    const fn with_unstable(self, version: i16) -> Self {
        Self {
            unstable: Some(version),
            ..self
        }
    }

    fn serves(&self, version: i16, has_unstable: bool) -> bool {
        self.served.contains(version) || has_unstable && self.unstable == Some(version)
    }
}

const fn versions(first: i16, last: i16) -> VersionRange {
    VersionRange { first, last }
}

/// Answered at once, from memory.
macro_rules! now {
    ($name:ident, $first:literal..=$last:literal, $request:ty, $handler:path) => {
        Entry {
            key: ApiKey::$name,
            served: versions($first, $last),
            advertised: versions($first, $last),
            unstable: None,
            begin: |broker, call, mut reader| {
                let request = <$request>::decode(&mut reader, call.version)?;
                drop(reader);
                let response: <$request as Request>::Response = $handler(broker, &call, request);
                Ok(Begun::Answered(answer(&call, &response)?))
            },
        }
    };
}

/// Answered when a future ends.
macro_rules! later {
    ($name:ident, $first:literal..=$last:literal, $request:ty, $handler:path) => {
        Entry {
            key: ApiKey::$name,
            served: versions($first, $last),
            advertised: versions($first, $last),
            unstable: None,
            begin: |broker, call, mut reader| {
                let request = <$request>::decode(&mut reader, call.version)?;
                drop(reader);
                let broker = broker.clone();
                Ok(Begun::Waiting(Box::pin(async move {
                    let answered = $handler(&broker, &call, request).await;
                    let response: <$request as Request>::Response = Answer::into_response(answered)?;
                    Ok(Some(answer(&call, &response)?))
                })))
            },
        }
    };
}

/// Every API that is served, by ascending key.
pub(crate) static TABLE: &[Entry] = &[
    Entry {
        key: ApiKey::Produce,
        served: versions(3, 13),
        advertised: versions(0, 13),
        unstable: None,
        begin: produce::begin,
    },
    Entry {
        key: ApiKey::Fetch,
        served: versions(4, 18),
        advertised: versions(4, 18),
        unstable: None,
        begin: fetch::begin,
    },
    later!(ListOffsets, 1..=11, ListOffsetsRequest, list_offsets::handle),
    later!(Metadata, 0..=13, MetadataRequest, metadata::handle),
    later!(OffsetCommit, 2..=10, OffsetCommitRequest, offset_commit::handle),
    later!(OffsetFetch, 1..=10, OffsetFetchRequest, offset_fetch::handle),
    later!(FindCoordinator, 0..=6, FindCoordinatorRequest, find_coordinator::handle),
    later!(JoinGroup, 0..=9, JoinGroupRequest, join_group::handle),
    later!(Heartbeat, 0..=4, HeartbeatRequest, heartbeat::handle),
    later!(LeaveGroup, 0..=5, LeaveGroupRequest, leave_group::handle),
    later!(SyncGroup, 0..=5, SyncGroupRequest, sync_group::handle),
    later!(DescribeGroups, 0..=6, DescribeGroupsRequest, describe_groups::handle),
    later!(ListGroups, 0..=5, ListGroupsRequest, list_groups::handle),
    now!(ApiVersions, 0..=5, ApiVersionsRequest, api_versions::handle),
    later!(CreateTopics, 2..=7, CreateTopicsRequest, create_topics::handle),
    later!(DeleteTopics, 1..=6, DeleteTopicsRequest, delete_topics::handle),
    later!(DeleteRecords, 0..=2, DeleteRecordsRequest, delete_records::handle),
    later!(InitProducerId, 0..=5, InitProducerIdRequest, init_producer_id::handle).with_unstable(6),
    now!(
        OffsetForLeaderEpoch,
        2..=4,
        OffsetForLeaderEpochRequest,
        offset_for_leader_epoch::handle
    ),
    later!(
        AddPartitionsToTxn,
        0..=5,
        AddPartitionsToTxnRequest,
        add_partitions_to_txn::handle
    ),
    later!(
        AddOffsetsToTxn,
        0..=4,
        AddOffsetsToTxnRequest,
        add_offsets_to_txn::handle
    ),
    later!(EndTxn, 0..=5, EndTxnRequest, end_txn::handle),
    later!(
        WriteTxnMarkers,
        1..=2,
        WriteTxnMarkersRequest,
        write_txn_markers::handle
    ),
    later!(
        TxnOffsetCommit,
        0..=6,
        TxnOffsetCommitRequest,
        txn_offset_commit::handle
    ),
    now!(DescribeAcls, 1..=3, DescribeAclsRequest, describe_acls::handle),
    now!(DescribeConfigs, 1..=4, DescribeConfigsRequest, describe_configs::handle),
    later!(AlterConfigs, 0..=2, AlterConfigsRequest, alter_configs::handle),
    later!(
        AlterReplicaLogDirs,
        1..=2,
        AlterReplicaLogDirsRequest,
        alter_replica_log_dirs::handle
    ),
    now!(
        DescribeLogDirs,
        1..=5,
        DescribeLogDirsRequest,
        describe_log_dirs::handle
    ),
    later!(
        CreatePartitions,
        0..=3,
        CreatePartitionsRequest,
        create_partitions::handle
    ),
    later!(DeleteGroups, 0..=3, DeleteGroupsRequest, delete_groups::handle),
    later!(ElectLeaders, 0..=2, ElectLeadersRequest, elect_leaders::handle),
    later!(
        IncrementalAlterConfigs,
        0..=1,
        IncrementalAlterConfigsRequest,
        incremental_alter_configs::handle
    ),
    later!(
        AlterPartitionReassignments,
        0..=1,
        AlterPartitionReassignmentsRequest,
        alter_partition_reassignments::handle
    ),
    now!(
        ListPartitionReassignments,
        0..=0,
        ListPartitionReassignmentsRequest,
        list_partition_reassignments::handle
    ),
    later!(OffsetDelete, 0..=0, OffsetDeleteRequest, offset_delete::handle),
    now!(DescribeQuorum, 0..=2, DescribeQuorumRequest, describe_quorum::handle),
    later!(UpdateFeatures, 0..=2, UpdateFeaturesRequest, update_features::handle),
    now!(DescribeCluster, 0..=2, DescribeClusterRequest, describe_cluster::handle),
    now!(
        DescribeProducers,
        0..=0,
        DescribeProducersRequest,
        describe_producers::handle
    ),
    later!(
        UnregisterBroker,
        0..=0,
        UnregisterBrokerRequest,
        unregister_broker::handle
    ),
    later!(
        DescribeTransactions,
        0..=0,
        DescribeTransactionsRequest,
        describe_transactions::handle
    ),
    later!(
        ListTransactions,
        0..=2,
        ListTransactionsRequest,
        list_transactions::handle
    ),
    later!(
        ConsumerGroupHeartbeat,
        0..=1,
        ConsumerGroupHeartbeatRequest,
        consumer_group_heartbeat::handle
    ),
    later!(
        ConsumerGroupDescribe,
        0..=1,
        ConsumerGroupDescribeRequest,
        consumer_group_describe::handle
    ),
    now!(
        ListConfigResources,
        0..=1,
        ListConfigResourcesRequest,
        list_config_resources::handle
    ),
    now!(
        DescribeTopicPartitions,
        0..=0,
        DescribeTopicPartitionsRequest,
        describe_topic_partitions::handle
    ),
];

/// The entry of `key`, if it is served.
pub(crate) fn entry(key: ApiKey) -> Option<&'static Entry> {
    let index = TABLE.binary_search_by_key(&key, |entry| entry.key).ok()?;
    Some(&TABLE[index])
}

/// Begins one request: `frame` is what followed the length.
///
/// # Errors
/// The request has no answer; the connection must be closed.
pub(crate) fn begin(broker: &Arc<Broker>, peer: &Arc<Peer>, frame: Bytes) -> Result<Begun, Refused> {
    let prelude = Prelude::peek(&frame)?;
    let key = ApiKey::try_from(prelude.api_key).map_err(Refused::UnknownApi)?;
    let entry = entry(key).ok_or(Refused::UnknownApi(prelude.api_key))?;
    let version = prelude.api_version;
    if !entry.serves(version, broker.config.has_unstable_versions) {
        return match key {
            ApiKey::ApiVersions => Ok(Begun::Answered(
                api_versions::unsupported(prelude.correlation_id)?.into(),
            )),
            _ => Err(Refused::UnservedVersion { key, version }),
        };
    }
    broker.metrics.received(key, frame.len());
    let (header, reader) = frame::split_request(frame, key, version)?;
    let call = Call {
        key,
        version,
        correlation_id: prelude.correlation_id,
        client_id: header.client_id.unwrap_or_default(),
        peer: peer.clone(),
    };
    (entry.begin)(broker, call, reader)
}

/// The answer to `call` as it goes on the wire.
pub(crate) fn answer<M: Message>(call: &Call, response: &M) -> Result<Reply, EncodeError> {
    let reply = frame::response(call.key, call.version, call.correlation_id, response).map(Reply::from)?;
    call.count(response, &reply);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_so_that_they_can_be_searched() {
        assert!(TABLE.windows(2).all(|pair| pair[0].key < pair[1].key));
    }

    /// The table of docs/protocol.md, a line per API of Apache Kafka 4.4.
    fn documented() -> String {
        let line = |key: &ApiKey| {
            let known = key.versions();
            match entry(*key) {
                Some(entry) => {
                    let (first, last) = (entry.served.first, entry.served.last);
                    format!("| {} | {} | {first}-{last} |\n", *key as i16, key.name())
                }
                None => format!(
                    "| {} | {} | not yet (schema {}-{}) |\n",
                    *key as i16,
                    key.name(),
                    known.first,
                    known.last
                ),
            }
        };
        ApiKey::ALL.iter().map(line).collect()
    }

    #[test]
    fn the_documents_say_what_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
        let text = std::fs::read_to_string(path).expect("docs/protocol.md exists");
        let (_, rest) = text.split_once("|---|---|---|\n").expect("it has the table");
        let table: String = rest
            .lines()
            .take_while(|line| line.starts_with('|'))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(
            table,
            documented(),
            "replace the table in docs/protocol.md by the right-hand side"
        );
    }

    #[test]
    fn served_versions_are_within_the_schemas() {
        for entry in TABLE {
            let known = entry.key.versions();
            assert!(
                known.first <= entry.advertised.first
                    && entry
                        .unstable
                        .is_none_or(|unstable| unstable == entry.advertised.last + 1)
                    && entry.unstable.unwrap_or(entry.advertised.last) <= known.last,
                "{:?}",
                entry.key
            );
        }
    }
}
