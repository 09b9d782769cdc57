//! The two protocols side by side: groups without members change their protocol freely, those with members as the policy
//! allows.

mod classic_members;
mod downgrade;
mod upgrade;

use super::*;
use crate::{
    GroupsConfig, MigrationPolicy, Ticket,
    tests::driver::{commit, join},
};
use bytes::Bytes;
use ottla_protocol::{
    Message,
    messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, JoinGroupRequest, SyncGroupRequest,
        consumer_protocol_assignment::TopicPartition,
        consumer_protocol_subscription::TopicPartition as OwnedPartitions,
        join_group_request::JoinGroupRequestProtocol, sync_group_request::SyncGroupRequestAssignment,
    },
    primitives::{Reader, Writer},
};

/// Loaded from nothing, with three partitions of the topic "t", and this policy.
fn driver_with(consumer_migration_policy: MigrationPolicy) -> Driver {
    let mut driver = Driver::with(GroupsConfig {
        initial_rebalance_delay_ms: 10,
        consumer_migration_policy,
        ..Default::default()
    });
    driver.change_cluster(|cluster| {
        cluster.set_topic("t", 7, 3);
        cluster.settings.assignment_interval_ms = 0;
    });
    driver
}

/// `message` in `version`, behind it.
fn embedded(version: i16, message: &impl Message) -> Bytes {
    let mut writer = Writer::with_capacity(64);
    writer.i16(version);
    message.encode(&mut writer, version);
    writer.finish().expect("it is short").into_bytes()
}

/// The JoinGroup of a cooperative consumer of the topic "t" that still has `owned`.
fn joining_as_classic(member_id: &str, owned: &[i32]) -> JoinGroupRequest {
    let owned = OwnedPartitions {
        topic: "t".into(),
        partitions: owned.to_vec(),
    };
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["t".into()],
        owned_partitions: vec![owned],
        ..Default::default()
    };
    JoinGroupRequest {
        protocols: vec![JoinGroupRequestProtocol {
            name: "sticky".into(),
            metadata: embedded(1, &subscription),
        }],
        ..join(member_id, &[])
    }
}

/// What a leader gives to a member.
fn given(partitions: &[i32], user_data: Option<&'static [u8]>) -> Bytes {
    let topic = TopicPartition {
        topic: "t".into(),
        partitions: partitions.to_vec(),
    };
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: vec![topic],
        user_data: user_data.map(Bytes::from_static),
    };
    embedded(1, &assignment)
}

/// A SyncGroup that brings no assignment.
fn syncing(member_id: &str, generation_id: i32) -> SyncGroupRequest {
    crate::tests::driver::sync(member_id, generation_id, &[])
}

/// The answer to a SyncGroup: an error, or the partitions of "t".
fn synced(driver: &mut Driver, ticket: Ticket) -> Result<Vec<i32>, ErrorCode> {
    let response = driver.synced(ticket);
    if response.error_code != 0 {
        return Err(code(response.error_code));
    }
    let mut reader = Reader::new(response.assignment);
    let version = reader.i16().expect("a version");
    let assignment = ConsumerProtocolAssignment::decode_at(&mut reader, version).expect("an assignment");
    let topics = assignment.assigned_partitions.into_iter();
    Ok(topics.flat_map(|topic| topic.partitions).collect())
}

/// A SyncGroup that is answered at once.
fn sync(driver: &mut Driver, member_id: &str, generation_id: i32) -> Result<Vec<i32>, ErrorCode> {
    let ticket = driver.send_sync(&syncing(member_id, generation_id));
    synced(driver, ticket)
}

/// A JoinGroup that is answered at once: its generation.
fn rejoin(driver: &mut Driver, member_id: &str, owned: &[i32]) -> Result<i32, ErrorCode> {
    let ticket = driver.send_join(&joining_as_classic(member_id, owned));
    let response = driver.joined(ticket);
    match code(response.error_code) {
        ErrorCode::None => Ok(response.generation_id),
        error => Err(error),
    }
}

/// Has a member take part in the classic rebalance that runs. Its id, and the ticket of its JoinGroup.
fn join_first(driver: &mut Driver) -> (Str, Ticket) {
    let ticket = driver.send_join(&joining_as_classic("", &[]));
    let response = driver.joined(ticket);
    assert_eq!(code(response.error_code), ErrorCode::MemberIdRequired);
    let ticket = driver.send_join(&joining_as_classic(&response.member_id, &[]));
    (response.member_id, ticket)
}

/// A classic group of two in generation 1: the first has 0 and 1, the second has 2. Their ids.
fn classic_pair(driver: &mut Driver) -> (Str, Str) {
    let (first, first_ticket) = join_first(driver);
    let (second, second_ticket) = join_first(driver);
    driver.pass_ms(20);
    assert_eq!(driver.joined(first_ticket).leader, first);
    assert_eq!(driver.joined(second_ticket).generation_id, 1);
    let give = |member_id: &Str, partitions: &[i32]| SyncGroupRequestAssignment {
        member_id: member_id.clone(),
        assignment: given(partitions, None),
    };
    let by_leader = driver.send_sync(&SyncGroupRequest {
        assignments: vec![give(&first, &[0, 1]), give(&second, &[2])],
        ..syncing(&first, 1)
    });
    assert_eq!(synced(driver, by_leader), Ok(vec![0, 1]));
    assert_eq!(sync(driver, &second, 1), Ok(vec![2]));
    (first, second)
}

/// The kind of each member, as ConsumerGroupDescribe shows it: 0 for the classic protocol, 1 for the other.
fn kinds(driver: &Driver) -> BTreeMap<Str, i8> {
    let members = describe(driver).members.into_iter();
    members.map(|member| (member.member_id, member.member_type)).collect()
}

#[test]
fn a_group_without_members_changes_its_protocol_and_keeps_its_offsets() {
    let mut driver = driver(1);
    driver.commit(&commit(GROUP, "", -1, 0, 5));
    let invalid = ConsumerGroupHeartbeatRequest {
        subscribed_topic_regex: Some("[".into()),
        ..joining("a")
    };
    driver.beat(&invalid);
    assert_eq!(
        driver.describe().group_state,
        "Empty",
        "a member that was refused took the group away"
    );
    assert_eq!(seen(&driver.beat(&joining("a"))), ok(2, &[0][..]));
    driver.reload();
    assert_eq!(driver.committed(GROUP), [5]);
    assert_eq!(driver.groups.list_groups(&[], &[]).len(), 1);
    driver.beat(&beating("a", -1));
    let member = driver.stable_alone(&["range"]);
    assert_eq!(driver.describe().members[0].member_id, member);
    driver.reload();
    assert_eq!(driver.committed(GROUP), [5]);
    assert_eq!(code(describe(&driver).error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(driver.groups.list_groups(&[], &["classic".into()]).len(), 1);
}

#[test]
fn administrators_remove_members_with_leave_group() {
    let mut driver = two();
    let (error, verdicts) = driver.leave(&[("a", None), ("c", None), ("", Some("i"))]);
    assert_eq!(error, ErrorCode::None);
    assert_eq!(
        verdicts,
        [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::UnknownMemberId]
    );
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["b"]);
    let with_instance = ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..joining("d")
    };
    driver.beat(&with_instance);
    assert_eq!(driver.leave(&[("e", Some("i"))]).1, [ErrorCode::FencedInstanceId]);
    assert_eq!(driver.leave(&[("", Some("i"))]).1, [ErrorCode::None]);
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["b"]);
}
