//! Consumer groups (KIP-848).

mod members;
mod migration;
mod model;
mod offsets;
mod regex;
mod static_members;
mod time;

use super::driver::{Driver, GROUP, code};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        consumer_group_describe_response::DescribedGroup, consumer_group_heartbeat_request::TopicPartitions,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// The id of the topic "t".
const TOPIC: Uuid = Uuid([7; 16]);

/// Loaded from nothing, with the topic "t" of `partitions`; targets are computed as often as they are due.
fn driver(partitions: i32) -> Driver {
    let mut driver = Driver::new();
    driver.change_cluster(|cluster| {
        cluster.set_topic("t", 7, partitions);
        cluster.settings.assignment_interval_ms = 0;
    });
    driver
}

/// A member that joins and subscribes to the topic "t".
fn joining(member_id: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..beating(member_id, 0)
    }
}

/// A heartbeat that says nothing new.
fn beating(member_id: &str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member_id.into(),
        member_epoch,
        ..Default::default()
    }
}

/// A heartbeat of a member that has these partitions of "t".
fn owning(member_id: &str, member_epoch: i32, partitions: &[i32]) -> ConsumerGroupHeartbeatRequest {
    let topic = TopicPartitions {
        topic_id: TOPIC,
        partitions: partitions.to_vec(),
    };
    ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(vec![topic].into_iter().filter(|_| !partitions.is_empty()).collect()),
        ..beating(member_id, member_epoch)
    }
}

/// Error, member epoch, and the partitions of "t" if the answer has an assignment.
fn seen(response: &ConsumerGroupHeartbeatResponse) -> (ErrorCode, i32, Option<Vec<i32>>) {
    let of_topic = response.assignment.as_ref().map(|assignment| {
        let topics = assignment
            .topic_partitions
            .iter()
            .filter(|topic| topic.topic_id == TOPIC);
        topics.flat_map(|topic| topic.partitions.clone()).collect()
    });
    (code(response.error_code), response.member_epoch, of_topic)
}

/// The answer of a member that has all it shall have.
fn ok(member_epoch: i32, partitions: impl Into<Option<&'static [i32]>>) -> (ErrorCode, i32, Option<Vec<i32>>) {
    (ErrorCode::None, member_epoch, partitions.into().map(<[i32]>::to_vec))
}

fn refused(error: ErrorCode) -> (ErrorCode, i32, Option<Vec<i32>>) {
    (error, 0, None)
}

fn describe(driver: &Driver) -> DescribedGroup {
    driver.groups.describe_consumer_group(&GROUP.into())
}

/// Group state, group epoch, assignment epoch.
fn state(driver: &Driver) -> (String, i32, i32) {
    let group = describe(driver);
    (group.group_state.to_string(), group.group_epoch, group.assignment_epoch)
}

/// Each member's partitions of "t", those that it is to give up among them.
fn owned(driver: &Driver) -> BTreeMap<Str, BTreeSet<i32>> {
    let group = describe(driver);
    let members = group.members.into_iter().map(|member| {
        let topics = member.assignment.topic_partitions;
        let of_topic = topics.into_iter().filter(|topic| topic.topic_id == TOPIC);
        (member.member_id, of_topic.flat_map(|topic| topic.partitions).collect())
    });
    members.collect()
}

/// "a" alone with all of three partitions, in epoch 2.
fn alone() -> Driver {
    let mut driver = driver(3);
    assert_eq!(seen(&driver.beat(&joining("a"))), ok(2, &[0, 1, 2][..]));
    driver
}

/// "a" with 0 and 1, "b" with 2, all in epoch 3.
fn two() -> Driver {
    let mut driver = alone();
    assert_eq!(seen(&driver.beat(&joining("b"))), ok(3, &[][..]));
    assert_eq!(seen(&driver.beat(&beating("a", 2))), ok(2, &[0, 1][..]));
    assert_eq!(seen(&driver.beat(&owning("a", 2, &[0, 1]))), ok(3, None));
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(3, &[2][..]));
    assert_eq!(state(&driver), ("Stable".to_owned(), 3, 3));
    driver
}
