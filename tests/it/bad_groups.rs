//! Requests of groups and offsets that make no sense.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    messages::{
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        sync_group_request::SyncGroupRequestAssignment,
        *,
    },
};
use ottla_tests::{
    client::{Client, code},
    raw::with_broker,
};

type Outcome = ottla_tests::Result<()>;

fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: Bytes::from_static(b"m"),
    };
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 1_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

fn join_error(client: &mut Client, request: &JoinGroupRequest) -> ottla_tests::Result<ErrorCode> {
    Ok(code(client.call(request, 5)?.error_code))
}

/// Makes `__consumer_offsets`, and with it coordinators.
fn find_coordinator(client: &mut Client) -> Outcome {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["g".into()],
        ..Default::default()
    };
    assert_eq!(client.call(&request, 4)?.coordinators[0].error_code, 0);
    Ok(())
}

/// What is wrong with the request itself is said first, as Apache does: here nobody coordinates anything yet.
#[test]
fn what_is_wrong_with_a_request_comes_before_who_coordinates() -> Outcome {
    with_broker("bad-groups", &[], |_, client| {
        assert_eq!(join_error(client, &join("", ""))?, ErrorCode::InvalidGroupId);
        for session_timeout_ms in [-1, 1, 1_800_001, i32::MAX] {
            let request = JoinGroupRequest {
                session_timeout_ms,
                ..join("g", "")
            };
            assert_eq!(join_error(client, &request)?, ErrorCode::InvalidSessionTimeout);
        }
        assert_eq!(
            code(client.call(&HeartbeatRequest::default(), 4)?.error_code),
            ErrorCode::InvalidGroupId
        );
        assert_eq!(
            code(client.call(&SyncGroupRequest::default(), 4)?.error_code),
            ErrorCode::InvalidGroupId
        );
        assert_eq!(
            code(client.call(&LeaveGroupRequest::default(), 5)?.error_code),
            ErrorCode::InvalidGroupId
        );
        assert_eq!(
            code(client.call(&OffsetDeleteRequest::default(), 0)?.error_code),
            ErrorCode::InvalidGroupId
        );
        let nobody = SyncGroupRequest {
            group_id: "g".into(),
            ..Default::default()
        };
        assert_eq!(
            code(client.call(&nobody, 5)?.error_code),
            ErrorCode::InconsistentGroupProtocol
        );
        assert_eq!(join_error(client, &join("g", ""))?, ErrorCode::NotCoordinator);
        Ok(())
    })
}

#[test]
fn groups_refuse_what_makes_no_sense() -> Outcome {
    with_broker("bad-groups", &[], |_, client| {
        find_coordinator(client)?;
        assert_eq!(join_error(client, &join("g", "nobody"))?, ErrorCode::UnknownMemberId);
        let inconsistent = ErrorCode::InconsistentGroupProtocol;
        let without_protocols = JoinGroupRequest {
            protocols: Vec::new(),
            ..join("g", "")
        };
        assert_eq!(join_error(client, &without_protocols)?, inconsistent);
        let without_type = JoinGroupRequest {
            protocol_type: "".into(),
            ..join("g", "")
        };
        assert_eq!(join_error(client, &without_type)?, inconsistent);
        let mut too_many = join("g", "");
        too_many.protocols = vec![too_many.protocols[0].clone(); 1_000];
        assert_eq!(join_error(client, &too_many)?, inconsistent);
        let mut too_large = join("g", "");
        too_large.protocols[0].metadata = vec![0; 2 << 20].into();
        assert_eq!(join_error(client, &too_large)?, ErrorCode::InvalidRequest);
        let heartbeat = HeartbeatRequest {
            group_id: "g".into(),
            member_id: "nobody".into(),
            ..Default::default()
        };
        assert_eq!(code(client.call(&heartbeat, 4)?.error_code), ErrorCode::UnknownMemberId);
        let member = MemberIdentity {
            member_id: "nobody".into(),
            ..Default::default()
        };
        let leave = LeaveGroupRequest {
            group_id: "g".into(),
            members: vec![member],
            ..Default::default()
        };
        assert_eq!(
            code(client.call(&leave, 5)?.members[0].error_code),
            ErrorCode::UnknownMemberId
        );
        let delete = DeleteGroupsRequest {
            groups_names: vec!["g".into(), "g".into()],
        };
        let deleted = client.call(&delete, 2)?;
        assert!(
            deleted
                .results
                .iter()
                .all(|result| code(result.error_code) == ErrorCode::GroupIdNotFound)
        );
        Ok(())
    })
}

/// Joins as the only member of a group: with the id it was given, as the leader.
fn join_alone(client: &mut Client, group: &str) -> ottla_tests::Result<JoinGroupResponse> {
    let asked = client.call(&join(group, ""), 5)?;
    assert_eq!(code(asked.error_code), ErrorCode::MemberIdRequired);
    let joined = client.call(&join(group, &asked.member_id), 5)?;
    assert_eq!(code(joined.error_code), ErrorCode::None);
    Ok(joined)
}

#[test]
fn a_full_group_takes_nobody_more() -> Outcome {
    let overrides = ["group.max.size=1", "group.initial.rebalance.delay.ms=0"];
    with_broker("bad-groups", &overrides, |_, client| {
        find_coordinator(client)?;
        join_alone(client, "g")?;
        assert_eq!(join_error(client, &join("g", ""))?, ErrorCode::GroupMaxSizeReached);
        join_alone(client, "another")?;
        Ok(())
    })
}

/// BR-22: who was given nothing gets no bytes, and nothing is invented for it.
#[test]
fn an_assignment_of_nothing_is_no_bytes() -> Outcome {
    with_broker("bad-groups", &["group.initial.rebalance.delay.ms=0"], |_, client| {
        find_coordinator(client)?;
        for (group, assignment) in [("none", None), ("empty", Some("")), ("some", Some("a"))] {
            let joined = join_alone(client, group)?;
            let assignments = assignment.map(|bytes| SyncGroupRequestAssignment {
                member_id: joined.member_id.clone(),
                assignment: Bytes::from_static(bytes.as_bytes()),
            });
            let sync = SyncGroupRequest {
                group_id: group.into(),
                generation_id: joined.generation_id,
                member_id: joined.member_id.clone(),
                assignments: assignments.into_iter().collect(),
                ..Default::default()
            };
            let synced = client.call(&sync, 3)?;
            assert_eq!(code(synced.error_code), ErrorCode::None);
            assert_eq!(synced.assignment, assignment.unwrap_or_default(), "{group}");
            let stale = SyncGroupRequest {
                generation_id: joined.generation_id + 1,
                ..sync
            };
            assert_eq!(code(client.call(&stale, 3)?.error_code), ErrorCode::IllegalGeneration);
        }
        Ok(())
    })
}

#[test]
fn coordinators_of_an_unknown_kind_are_an_invalid_request() -> Outcome {
    with_broker("bad-groups", &[], |_, client| {
        for key_type in [-1, 3, i8::MAX] {
            for version in 1..=6 {
                let (key, keys) = match version {
                    ..4 => ("g", Vec::new()),
                    _ => ("", vec!["g".into()]),
                };
                let request = FindCoordinatorRequest {
                    key: key.into(),
                    key_type,
                    coordinator_keys: keys,
                };
                let response = client.call(&request, version)?;
                let error = response
                    .coordinators
                    .first()
                    .map_or(response.error_code, |found| found.error_code);
                assert_eq!(
                    code(error),
                    ErrorCode::InvalidRequest,
                    "{key_type} in version {version}"
                );
            }
        }
        Ok(())
    })
}

/// A commit of a stranger to partition 0 of `t`, many times over in one request.
#[test]
fn a_commit_may_repeat_itself_and_its_metadata_is_bounded() -> Outcome {
    with_broker("bad-groups", &["offset.metadata.max.bytes=10"], |_, client| {
        find_coordinator(client)?;
        let partition = |metadata: &'static str, committed_offset: i64| OffsetCommitRequestPartition {
            committed_offset,
            committed_metadata: Some(metadata.into()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![
                partition("0123456789", 1),
                partition("0123456789a", 2),
                partition("", 3),
            ],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        for version in 2..=9 {
            let response = client.call(&request, version)?;
            let codes: Vec<_> = response.topics[0]
                .partitions
                .iter()
                .map(|each| code(each.error_code))
                .collect();
            let expected = [ErrorCode::None, ErrorCode::OffsetMetadataTooLarge, ErrorCode::None];
            assert_eq!(codes, expected, "version {version}");
        }
        Ok(())
    })
}
