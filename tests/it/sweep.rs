//! Every API in every version that is served, with an empty request and with random bytes for a request: a
//! well-formed answer in that version, or a closed connection. Never silence, never a panic.

use anyhow::{Context, ensure};
use ottla_protocol::{ApiKey, Message, Request, frame::split_response, messages::*};
use ottla_tests::{
    client::Client,
    process::Broker,
    random::Random,
    raw::{self, with_broker},
};
use std::collections::BTreeSet;

type Outcome = ottla_tests::Result<()>;

const SEED: u64 = 0x0771a;
/// Requests of random bytes, and of an empty request with one byte changed, for each API and version.
const RANDOM_BODIES: usize = 20;
const LONGEST_RANDOM_BODY: usize = 96;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Closed,
    /// Produce with acks=0.
    AnsweredByNothing,
}

/// Sends a request with this body, and behind it another one that must have an answer.
fn fate<R: Request>(broker: &Broker, version: i16, body: &[u8]) -> ottla_tests::Result<Fate> {
    let mut client = broker.connect()?;
    let sentinel = raw::request(ApiKey::ApiVersions as i16, 0, &[]);
    let sentinel_id = 1234_i32.to_be_bytes();
    let mut bytes = raw::request(R::KEY as i16, version, body);
    bytes.extend_from_slice(&sentinel[..8]);
    bytes.extend_from_slice(&sentinel_id);
    bytes.extend_from_slice(&sentinel[12..]);
    if client.send_raw(&bytes).is_err() {
        return Ok(Fate::Closed);
    }
    let Some(frame) = client.receive_unless_closed()? else {
        return Ok(Fate::Closed);
    };
    if frame.starts_with(&sentinel_id) {
        return Ok(Fate::AnsweredByNothing);
    }
    let (correlation_id, mut reader) = split_response(frame, R::KEY, version)?;
    ensure!(correlation_id == raw::CORRELATION_ID, "answer to {correlation_id}");
    R::Response::decode(&mut reader, version).context("a malformed answer")?;
    ensure!(
        reader.remaining() == 0,
        "{} bytes follow the answer",
        reader.remaining()
    );
    let next = client.receive_unless_closed()?.context("closed after an answer")?;
    ensure!(next.starts_with(&sentinel_id), "the next answer is another one");
    Ok(Fate::Answered)
}

/// Asks in all versions that the broker advertises and serves.
fn sweep<R: Request>(broker: &Broker, advertised: &ApiVersionsResponse) -> Outcome {
    let range = advertised.api_keys.iter().find(|api| api.api_key == R::KEY as i16);
    let range = range.with_context(|| format!("{} is not advertised", R::NAME))?;
    for version in range.min_version..=range.max_version {
        let empty = match R::default().to_bytes(version) {
            Ok(empty) => empty,
            Err(error) => anyhow::bail!("{} {version}: {error}", R::NAME),
        };
        let answered = fate::<R>(broker, version, &empty).with_context(|| format!("{} {version}, empty", R::NAME))?;
        let expected = match R::KEY {
            // Advertised for librdkafka's sake only (KAFKA-18659).
            ApiKey::Produce if version < 3 => Fate::Closed,
            ApiKey::Produce => Fate::AnsweredByNothing,
            _ => Fate::Answered,
        };
        ensure!(answered == expected, "{} {version}, empty: {answered:?}", R::NAME);
        let mut random = Random::of_seed(SEED ^ ((R::KEY as u64) << 16) ^ version as u64);
        for _ in 0..RANDOM_BODIES {
            let length = random.below(LONGEST_RANDOM_BODY);
            let noise = random.bytes(length);
            let mut touched = empty.to_vec();
            if !touched.is_empty() && !may_wait(R::KEY) {
                let at = random.below(touched.len());
                touched[at] = random.next_u64() as u8;
            }
            for body in [noise, touched] {
                fate::<R>(broker, version, &body).with_context(|| format!("{} {version}, {body:?}", R::NAME))?;
            }
        }
    }
    Ok(())
}

/// Whether a changed byte may make a good request that waits for a long time.
fn may_wait(key: ApiKey) -> bool {
    matches!(key, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup)
}

macro_rules! sweep_all {
    ($broker:expr, $client:expr, $($request:ident)*) => {{
        let advertised = Client::api_versions($client)?;
        let keys: BTreeSet<i16> = advertised.api_keys.iter().map(|api| api.api_key).collect();
        assert_eq!(keys, BTreeSet::from([$($request::KEY as i16),*]), "what is served is swept");
        $(sweep::<$request>($broker, &advertised)?;)*
    }};
}

#[test]
fn every_api_answers_in_every_version_or_closes_the_connection() -> Outcome {
    with_broker("sweep", &["unstable.api.versions.enable=true"], |broker, client| {
        sweep_all!(
            broker, client,
            ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
            FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
            DescribeGroupsRequest ListGroupsRequest ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest
            DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest DescribeAclsRequest
            DescribeConfigsRequest AlterConfigsRequest AlterReplicaLogDirsRequest DescribeLogDirsRequest
            CreatePartitionsRequest WriteTxnMarkersRequest TxnOffsetCommitRequest
            DeleteGroupsRequest ElectLeadersRequest IncrementalAlterConfigsRequest AlterPartitionReassignmentsRequest
            ListPartitionReassignmentsRequest OffsetDeleteRequest DescribeQuorumRequest UpdateFeaturesRequest
            DescribeClusterRequest DescribeProducersRequest UnregisterBrokerRequest ListConfigResourcesRequest
            DescribeTopicPartitionsRequest ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest
            AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest DescribeTransactionsRequest
            ListTransactionsRequest
        );
        Ok(())
    })
}
