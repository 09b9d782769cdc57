//! Every message of the protocol in every version: no bytes make the decoder panic or ask for memory that they do not pay
//! for, and what was decoded is encoded to something that decodes to the same.

use bytes::Bytes;
use ottla_protocol::Message;
use ottla_protocol::messages::*;
use ottla_protocol::primitives::Reader;

fn decode<M: Message>(version: i16, bytes: Bytes) {
    let Ok(message) = M::decode_at(&mut Reader::new(bytes), version) else {
        return;
    };
    let encoded = message
        .to_bytes(version)
        .unwrap_or_else(|error| panic!("{} {version} was decoded and is not encoded: {error}", M::NAME));
    let mut reader = Reader::new(encoded);
    let again = M::decode_at(&mut reader, version)
        .unwrap_or_else(|error| panic!("{} {version} was encoded and is not decoded: {error}", M::NAME));
    assert_eq!(reader.remaining(), 0, "{} {version}", M::NAME);
    // Numbers that are none are not equal to themselves.
    if message == message.clone() {
        assert_eq!(message, again, "{} {version}", M::NAME);
    }
}

/// The encoded default of a message, if that version can have it.
fn default_of<M: Message>(version: i16) -> Option<Bytes> {
    M::default().to_bytes(version).ok()
}

/// One message of the protocol.
struct Known {
    versions: VersionRange,
    decode: fn(i16, Bytes),
    default_of: fn(i16) -> Option<Bytes>,
}

macro_rules! all {
    ($($message:ident)*) => {
        &[$(Known {
            versions: <$message as Message>::VERSIONS,
            decode: decode::<$message>,
            default_of: default_of::<$message>,
        }),*]
    };
}

#[rustfmt::skip]
const MESSAGES: &[Known] = all!(
    AbortTransactionRecord AbortedTxn AccessControlEntryRecord AddOffsetsToTxnRequest AddOffsetsToTxnResponse
    AddPartitionsToTxnRequest AddPartitionsToTxnResponse AddRaftVoterRequest AddRaftVoterResponse
    AllocateProducerIdsRequest AllocateProducerIdsResponse AlterClientQuotasRequest AlterClientQuotasResponse
    AlterConfigsRequest AlterConfigsResponse AlterPartitionReassignmentsRequest
    AlterPartitionReassignmentsResponse AlterPartitionRequest AlterPartitionResponse AlterReplicaLogDirsRequest
    AlterReplicaLogDirsResponse AlterShareGroupOffsetsRequest AlterShareGroupOffsetsResponse
    AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse ApiVersionsRequest ApiVersionsResponse
    AssignReplicasToDirsRequest AssignReplicasToDirsResponse BeginQuorumEpochRequest BeginQuorumEpochResponse
    BeginTransactionRecord BrokerHeartbeatRequest BrokerHeartbeatResponse BrokerRegistrationChangeRecord
    BrokerRegistrationRequest BrokerRegistrationResponse ClearElrRecord ClientQuotaRecord ConfigRecord
    ConsumerGroupCurrentMemberAssignmentKey ConsumerGroupCurrentMemberAssignmentValue
    ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse ConsumerGroupHeartbeatRequest
    ConsumerGroupHeartbeatResponse ConsumerGroupMemberMetadataKey ConsumerGroupMemberMetadataValue
    ConsumerGroupMetadataKey ConsumerGroupMetadataValue ConsumerGroupPartitionMetadataKey
    ConsumerGroupPartitionMetadataValue ConsumerGroupRegularExpressionKey ConsumerGroupRegularExpressionValue
    ConsumerGroupTargetAssignmentMemberKey ConsumerGroupTargetAssignmentMemberValue
    ConsumerGroupTargetAssignmentMetadataKey ConsumerGroupTargetAssignmentMetadataValue
    ConsumerProtocolAssignment ConsumerProtocolSubscription ControlRecordTypeSchema
    ControllerRegistrationRequest ControllerRegistrationResponse CreateAclsRequest CreateAclsResponse
    CreateDelegationTokenRequest CreateDelegationTokenResponse CreatePartitionsRequest CreatePartitionsResponse
    CreateTopicsRequest CreateTopicsResponse DefaultPrincipalData DelegationTokenRecord DeleteAclsRequest
    DeleteAclsResponse DeleteGroupsRequest DeleteGroupsResponse DeleteRecordsRequest DeleteRecordsResponse
    DeleteShareGroupOffsetsRequest DeleteShareGroupOffsetsResponse DeleteShareGroupStateRequest
    DeleteShareGroupStateResponse DeleteTopicsRequest DeleteTopicsResponse DescribeAclsRequest
    DescribeAclsResponse DescribeClientQuotasRequest DescribeClientQuotasResponse DescribeClusterRequest
    DescribeClusterResponse DescribeConfigsRequest DescribeConfigsResponse DescribeDelegationTokenRequest
    DescribeDelegationTokenResponse DescribeGroupsRequest DescribeGroupsResponse DescribeLogDirsRequest
    DescribeLogDirsResponse DescribeProducersRequest DescribeProducersResponse DescribeQuorumRequest
    DescribeQuorumResponse DescribeShareGroupOffsetsRequest DescribeShareGroupOffsetsResponse
    DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse DescribeTransactionsRequest
    DescribeTransactionsResponse DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse
    ElectLeadersRequest ElectLeadersResponse EndQuorumEpochRequest EndQuorumEpochResponse EndTransactionRecord
    EndTxnMarker EndTxnRequest EndTxnResponse EnvelopeRequest EnvelopeResponse ExpireDelegationTokenRequest
    ExpireDelegationTokenResponse FeatureLevelRecord FenceBrokerRecord FetchRequest FetchResponse
    FetchSnapshotRequest FetchSnapshotResponse FindCoordinatorRequest FindCoordinatorResponse
    GetTelemetrySubscriptionsRequest GetTelemetrySubscriptionsResponse GroupMetadataKey GroupMetadataValue
    HeartbeatRequest HeartbeatResponse IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse
    InitProducerIdRequest InitProducerIdResponse InitializeShareGroupStateRequest
    InitializeShareGroupStateResponse JoinGroupRequest JoinGroupResponse KRaftVersionRecord LeaderChangeMessage
    LeaveGroupRequest LeaveGroupResponse LegacyOffsetCommitKey LegacyOffsetCommitValue
    ListConfigResourcesRequest ListConfigResourcesResponse ListGroupsRequest ListGroupsResponse
    ListOffsetsRequest ListOffsetsResponse ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse
    ListTransactionsRequest ListTransactionsResponse MetadataRequest MetadataResponse NoOpRecord
    OffsetCommitKey OffsetCommitRequest OffsetCommitResponse OffsetCommitValue OffsetDeleteRequest
    OffsetDeleteResponse OffsetFetchRequest OffsetFetchResponse OffsetForLeaderEpochRequest
    OffsetForLeaderEpochResponse PartitionChangeRecord PartitionRecord ProduceRequest ProduceResponse
    ProducerIdsRecord ProducerSnapshot PushTelemetryRequest PushTelemetryResponse QuorumStateData
    ReadShareGroupStateRequest ReadShareGroupStateResponse ReadShareGroupStateSummaryRequest
    ReadShareGroupStateSummaryResponse RegisterBrokerRecord RegisterControllerRecord
    RemoteLogSegmentMetadataRecord RemoteLogSegmentMetadataSnapshotRecord RemoteLogSegmentMetadataUpdateRecord
    RemotePartitionDeleteMetadataRecord RemoveAccessControlEntryRecord RemoveDelegationTokenRecord
    RemoveRaftVoterRequest RemoveRaftVoterResponse RemoveTopicRecord RemoveUserScramCredentialRecord
    RenewDelegationTokenRequest RenewDelegationTokenResponse SaslAuthenticateRequest SaslAuthenticateResponse
    SaslHandshakeRequest SaslHandshakeResponse ShareAcknowledgeRequest ShareAcknowledgeResponse
    ShareFetchRequest ShareFetchResponse ShareGroupCurrentMemberAssignmentKey
    ShareGroupCurrentMemberAssignmentValue ShareGroupDescribeRequest ShareGroupDescribeResponse
    ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse ShareGroupMemberMetadataKey
    ShareGroupMemberMetadataValue ShareGroupMetadataKey ShareGroupMetadataValue
    ShareGroupStatePartitionMetadataKey ShareGroupStatePartitionMetadataValue
    ShareGroupTargetAssignmentMemberKey ShareGroupTargetAssignmentMemberValue
    ShareGroupTargetAssignmentMetadataKey ShareGroupTargetAssignmentMetadataValue ShareSnapshotKey
    ShareSnapshotValue ShareUpdateKey ShareUpdateValue SnapshotFooterRecord SnapshotHeaderRecord
    StreamsGroupCurrentMemberAssignmentKey StreamsGroupCurrentMemberAssignmentValue StreamsGroupDescribeRequest
    StreamsGroupDescribeResponse StreamsGroupHeartbeatRequest StreamsGroupHeartbeatResponse
    StreamsGroupMemberMetadataKey StreamsGroupMemberMetadataValue StreamsGroupMetadataKey
    StreamsGroupMetadataValue StreamsGroupTargetAssignmentMemberKey StreamsGroupTargetAssignmentMemberValue
    StreamsGroupTargetAssignmentMetadataKey StreamsGroupTargetAssignmentMetadataValue
    StreamsGroupTopologyDescriptionUpdateRequest StreamsGroupTopologyDescriptionUpdateResponse
    StreamsGroupTopologyKey StreamsGroupTopologyValue SyncGroupRequest SyncGroupResponse TopicRecord
    TransactionLogKey TransactionLogValue TxnOffsetCommitRequest TxnOffsetCommitResponse UnfenceBrokerRecord
    UnregisterBrokerRecord UnregisterBrokerRequest UnregisterBrokerResponse UnregisterControllerRecord
    UnregisterControllerRequest UnregisterControllerResponse UpdateFeaturesRequest UpdateFeaturesResponse
    UpdateRaftVoterRequest UpdateRaftVoterResponse UserScramCredentialRecord VoteRequest VoteResponse
    VotersRecord WriteShareGroupStateRequest WriteShareGroupStateResponse WriteTxnMarkersRequest
    WriteTxnMarkersResponse ZkMigrationStateRecord
);

/// The first three bytes choose message and version, the rest is the message.
pub fn messages(data: &[u8]) {
    let [high, low, version, body @ ..] = data else { return };
    let which = usize::from(u16::from_be_bytes([*high, *low])) % MESSAGES.len();
    let Known { versions, decode, .. } = &MESSAGES[which];
    let count = i32::from(versions.last) - i32::from(versions.first) + 1;
    let version = versions.first + (i32::from(*version) % count.max(1)) as i16;
    decode(version, Bytes::copy_from_slice(body));
}

/// An input for the newest version of each message.
pub(crate) fn sound() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for (which, known) in MESSAGES.iter().enumerate() {
        let VersionRange { first, last } = known.versions;
        let Some(body) = (known.default_of)(last) else { continue };
        let [high, low] = (which as u16).to_be_bytes();
        inputs.push([&[high, low, (last - first) as u8], &body[..]].concat());
    }
    inputs
}
