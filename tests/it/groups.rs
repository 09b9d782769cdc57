//! Classic groups and committed offsets over a real socket: rebalances, errors by version, kills.

use anyhow::ensure;
use ottla_protocol::{
    ErrorCode, Request, Str,
    ids::Uuid,
    messages::{
        DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
        OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
        join_group_request::JoinGroupRequestProtocol,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
        sync_group_request::SyncGroupRequestAssignment,
    },
};
use ottla_tests::{
    client::{Client, code},
    process::Broker,
    scratch::Scratch,
};
use std::time::{Duration, Instant};

type Outcome = ottla_tests::Result<()>;

const GROUP: &str = "billing";

fn with_broker(test: impl FnOnce(&mut Broker, &mut Client) -> Outcome) -> Outcome {
    let scratch = Scratch::new("groups");
    let mut broker = Broker::start(scratch.path(), &["group.initial.rebalance.delay.ms=100"])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 3, &[])?;
    test(&mut broker, &mut client)
}

/// Asks until it is so; gives up after 30 s.
fn eventually(mut is_so: impl FnMut() -> ottla_tests::Result<bool>) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "it never came to be so");
    }
    Ok(())
}

/// Finds the coordinator, which makes `__consumer_offsets`.
fn find_coordinator(client: &mut Client) -> Outcome {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec![GROUP.into(), "another".into()],
        ..Default::default()
    };
    let response = client.call(&request, 6)?;
    for found in &response.coordinators {
        assert_eq!(code(found.error_code), ErrorCode::None);
        assert_eq!(found.node_id, 1);
    }
    Ok(())
}

fn join(member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: "anything".into(),
        }],
        ..Default::default()
    }
}

/// Asks for a member id (KIP-394).
fn fresh_id(client: &mut Client) -> ottla_tests::Result<Str> {
    let response = client.call(&join(""), 9)?;
    assert_eq!(code(response.error_code), ErrorCode::MemberIdRequired);
    Ok(response.member_id)
}

fn sync(joined: &JoinGroupResponse, assignments: &[(&Str, &str)]) -> SyncGroupRequest {
    let assignment = |(member_id, assignment): &(&Str, &str)| SyncGroupRequestAssignment {
        member_id: (*member_id).clone(),
        assignment: (*assignment).to_owned().into(),
    };
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: joined.protocol_type.clone(),
        protocol_name: joined.protocol_name.clone(),
        assignments: assignments.iter().map(assignment).collect(),
        ..Default::default()
    }
}

fn heartbeat(client: &mut Client, member_id: &Str, generation_id: i32) -> ottla_tests::Result<ErrorCode> {
    let request = HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id,
        member_id: member_id.clone(),
        ..Default::default()
    };
    Ok(code(client.call(&request, 4)?.error_code))
}

fn commit(member_id: &Str, generation: i32, topic: &str, partitions: &[(i32, i64)]) -> OffsetCommitRequest {
    let partition = |(partition_index, committed_offset): &(i32, i64)| OffsetCommitRequestPartition {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: generation,
        member_id: member_id.clone(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn commit_errors(client: &mut Client, request: &OffsetCommitRequest) -> ottla_tests::Result<Vec<ErrorCode>> {
    let response = client.call(request, 9)?;
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(partitions.map(|partition| code(partition.error_code)).collect())
}

fn fetch(version: i16, topic_id: Uuid, partitions: &[i32]) -> OffsetFetchRequest {
    let name = Str::from("t");
    if version < 8 {
        let topic = OffsetFetchRequestTopic {
            name,
            partition_indexes: partitions.to_vec(),
        };
        return OffsetFetchRequest {
            group_id: GROUP.into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
    }
    let topic = OffsetFetchRequestTopics {
        name: if version < 10 { name } else { Str::EMPTY },
        topic_id,
        partition_indexes: partitions.to_vec(),
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    OffsetFetchRequest {
        groups: vec![group],
        ..Default::default()
    }
}

/// Committed offset and error of each partition, in whatever version.
fn fetched(response: &OffsetFetchResponse) -> Vec<(i64, ErrorCode)> {
    let old = response.topics.iter().flat_map(|topic| &topic.partitions);
    let old = old.map(|partition| (partition.committed_offset, code(partition.error_code)));
    let topics = response.groups.iter().flat_map(|group| &group.topics);
    let new = topics.flat_map(|topic| &topic.partitions);
    let new = new.map(|partition| (partition.committed_offset, code(partition.error_code)));
    old.chain(new).collect()
}

/// A stable group of one member that owns everything.
fn stable_alone(client: &mut Client) -> ottla_tests::Result<JoinGroupResponse> {
    find_coordinator(client)?;
    let member_id = fresh_id(client)?;
    let joined = client.call(&join(&member_id), 9)?;
    assert_eq!(code(joined.error_code), ErrorCode::None);
    let synced = client.call(&sync(&joined, &[(&member_id, "all")]), 5)?;
    assert_eq!(
        (code(synced.error_code), &synced.assignment[..]),
        (ErrorCode::None, &b"all"[..])
    );
    Ok(joined)
}

/// BR-35.
#[test]
fn membership_assignment_and_offsets_survive_a_kill() -> Outcome {
    with_broker(|broker, client| {
        let joined = stable_alone(client)?;
        let (member, generation) = (&joined.member_id, joined.generation_id);
        let request = commit(member, generation, "t", &[(0, 5), (1, 6)]);
        assert_eq!(commit_errors(client, &request)?, [ErrorCode::None; 2]);
        broker.kill_and_restart()?;
        let mut client = broker.connect()?;
        assert_eq!(heartbeat(&mut client, member, generation)?, ErrorCode::None);
        let synced = client.call(&sync(&joined, &[]), 5)?;
        assert_eq!(&synced.assignment[..], b"all");
        let response = client.call(&fetch(8, Uuid::ZERO, &[0, 1, 2]), 8)?;
        let expected = [(5, ErrorCode::None), (6, ErrorCode::None), (-1, ErrorCode::None)];
        assert_eq!(fetched(&response), expected);
        let request = commit(member, generation, "t", &[(0, 7)]);
        assert_eq!(commit_errors(&mut client, &request)?, [ErrorCode::None]);
        Ok(())
    })
}

/// BR-32, BR-33.
#[test]
fn a_second_member_waits_for_the_first_and_both_get_what_the_leader_gave() -> Outcome {
    with_broker(|broker, client| {
        let leader = stable_alone(client)?;
        let mut other = broker.connect()?;
        let follower = fresh_id(&mut other)?;
        let joining = other.send(&join(&follower), 9)?;
        // The answer waits; on other connections all goes on.
        eventually(|| Ok(heartbeat(client, &leader.member_id, 1)? == ErrorCode::RebalanceInProgress))?;
        let rejoined = client.call(&join(&leader.member_id), 9)?;
        assert_eq!((rejoined.generation_id, rejoined.members.len()), (2, 2));
        let joined = other.receive::<JoinGroupRequest>(9, joining)?;
        assert_eq!((joined.generation_id, joined.members.len()), (2, 0));
        let syncing = other.send(&sync(&joined, &[]), 5)?;
        let assignments = [(&leader.member_id, "one"), (&follower, "two")];
        assert_eq!(&client.call(&sync(&rejoined, &assignments), 5)?.assignment[..], b"one");
        assert_eq!(&other.receive::<SyncGroupRequest>(5, syncing)?.assignment[..], b"two");
        Ok(())
    })
}

#[test]
fn a_commit_and_a_fetch_in_one_flight_are_answered_in_order() -> Outcome {
    with_broker(|_, client| {
        find_coordinator(client)?;
        for offset in 0..50 {
            let committing = client.send(&commit(&Str::EMPTY, -1, "t", &[(0, offset)]), 9)?;
            let fetching = client.send(&fetch(9, Uuid::ZERO, &[0]), 9)?;
            let committed = client.receive::<OffsetCommitRequest>(9, committing)?;
            assert_eq!(code(committed.topics[0].partitions[0].error_code), ErrorCode::None);
            let response = client.receive::<OffsetFetchRequest>(9, fetching)?;
            assert_eq!(fetched(&response), [(offset, ErrorCode::None)]);
        }
        Ok(())
    })
}

/// BR-30.
#[test]
fn an_error_of_an_offset_fetch_stands_where_its_version_has_a_place_for_it() -> Outcome {
    with_broker(|_, client| {
        // Nobody has looked for a coordinator yet, so there is none.
        let response = client.call(&fetch(1, Uuid::ZERO, &[0, 1]), 1)?;
        assert_eq!(fetched(&response), [(-1, ErrorCode::NotCoordinator); 2]);
        let response = client.call(&fetch(2, Uuid::ZERO, &[0, 1]), 2)?;
        assert_eq!(code(response.error_code), ErrorCode::NotCoordinator);
        assert_eq!(fetched(&response), []);
        let response = client.call(&fetch(8, Uuid::ZERO, &[0, 1]), 8)?;
        assert_eq!(code(response.groups[0].error_code), ErrorCode::NotCoordinator);
        Ok(())
    })
}

/// BR-31.
#[test]
fn what_cannot_be_committed_fails_alone() -> Outcome {
    with_broker(|_, client| {
        find_coordinator(client)?;
        let missing = [ErrorCode::UnknownTopicOrPartition];
        assert_eq!(
            commit_errors(client, &commit(&Str::EMPTY, -1, "missing", &[(0, 1)]))?,
            missing
        );
        let mut request = commit(&Str::EMPTY, -1, "t", &[(99, 1), (0, 2), (1, 3)]);
        request.topics[0].partitions[2].committed_metadata = Some("x".repeat(4_097).into());
        let expected = [
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::None,
            ErrorCode::OffsetMetadataTooLarge,
        ];
        assert_eq!(commit_errors(client, &request)?, expected);
        let response = client.call(&fetch(9, Uuid::ZERO, &[0, 1]), 9)?;
        assert_eq!(fetched(&response), [(2, ErrorCode::None), (-1, ErrorCode::None)]);

        let mut request = commit(&Str::EMPTY, -1, "", &[(0, 1)]);
        request.topics[0].topic_id = Uuid([5; 16]);
        let response = client.call(&request, 10)?;
        let error = response.topics[0].partitions[0].error_code;
        assert_eq!(code(error), ErrorCode::UnknownTopicId);
        let response = client.call(&fetch(10, Uuid([5; 16]), &[0]), 10)?;
        assert_eq!(fetched(&response), [(-1, ErrorCode::UnknownTopicId)]);
        Ok(())
    })
}

#[test]
fn the_offsets_of_a_deleted_topic_are_forgotten() -> Outcome {
    with_broker(|_, client| {
        find_coordinator(client)?;
        assert_eq!(
            commit_errors(client, &commit(&Str::EMPTY, -1, "t", &[(0, 5)]))?,
            [ErrorCode::None]
        );
        client.delete_topic("t")?;
        client.create_topic("t", 3, &[])?;
        eventually(|| Ok(fetched(&client.call(&fetch(8, Uuid::ZERO, &[0]), 8)?) == [(-1, ErrorCode::None)]))?;
        Ok(())
    })
}

/// The error code of the answer to a request that is refused as a whole.
fn refusal<R: Request>(
    client: &mut Client,
    request: &R,
    version: i16,
    error: impl Fn(R::Response) -> i16,
) -> ottla_tests::Result<ErrorCode> {
    Ok(code(error(client.call(request, version)?)))
}

#[test]
fn bad_group_requests_get_typed_errors_in_all_versions() -> Outcome {
    with_broker(|_, client| {
        find_coordinator(client)?;
        for version in 0..=9 {
            let join_error = |client: &mut Client, request| {
                refusal(client, &request, version, |answer: JoinGroupResponse| answer.error_code)
            };
            let mut request = join("");
            request.group_id = Str::EMPTY;
            assert_eq!(join_error(client, request)?, ErrorCode::InvalidGroupId);
            let mut request = join("");
            request.session_timeout_ms = 1;
            assert_eq!(join_error(client, request)?, ErrorCode::InvalidSessionTimeout);
            let mut request = join("");
            request.protocols.clear();
            assert_eq!(join_error(client, request)?, ErrorCode::InconsistentGroupProtocol);
            assert_eq!(join_error(client, join("nobody"))?, ErrorCode::UnknownMemberId);
        }
        let request = DescribeGroupsRequest {
            groups: vec![GROUP.into()],
            ..Default::default()
        };
        let described = client.call(&request, 5)?;
        assert_eq!(
            described.groups[0].group_state, "Dead",
            "a refused join leaves no group behind"
        );
        Ok(())
    })
}
