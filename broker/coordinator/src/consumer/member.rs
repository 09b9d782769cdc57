//! One member of a consumer group: what it says of itself, and what it has.

use super::{
    current::CurrentAssignment,
    partitions::{self, Partitions},
};
use crate::{CoordinatorRecord, record::consumer as records, timers::Deadline};
use bytes::Bytes;
use ottla_protocol::{
    Str,
    messages::{
        ConsumerGroupMemberMetadataValue, ConsumerGroupTargetAssignmentMemberValue,
        consumer_group_member_metadata_value::{ClassicMemberMetadata, ClassicProtocol},
    },
};
use std::collections::BTreeSet;

/// What a member says of itself, as its record has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subscription {
    /// `group.instance.id` of a static member (KIP-345).
    pub(crate) instance_id: Option<Str>,
    pub(crate) rack_id: Option<Str>,
    pub(crate) client_id: Str,
    pub(crate) client_host: Str,
    pub(crate) topic_names: BTreeSet<Str>,
    /// A regular expression that topics' names match as a whole; empty for none.
    pub(crate) topic_regex: Str,
    /// How long it may take to give up partitions.
    pub(crate) rebalance_timeout_ms: i32,
    /// The assignor that it would like.
    pub(crate) server_assignor: Option<Str>,
    /// Of a member that speaks the classic protocol in this group.
    pub(crate) classic: Option<Box<ClassicMemberMetadata>>,
}

/// Of a member that joins without telling its own: what `max.poll.interval.ms` is by default, in librdkafka and in Java.
const REBALANCE_TIMEOUT_MS: i32 = 300_000;

impl Default for Subscription {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: Str::EMPTY,
            client_host: Str::EMPTY,
            topic_names: BTreeSet::new(),
            topic_regex: Str::EMPTY,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            server_assignor: None,
            classic: None,
        }
    }
}

impl Subscription {
    /// The regular expression, if there is one.
    pub(crate) fn regex(&self) -> Option<&Str> {
        Some(&self.topic_regex).filter(|regex| !regex.is_empty())
    }

    /// All copied out of the record's batch.
    pub(super) fn from_record(value: &ConsumerGroupMemberMetadataValue) -> Self {
        let detached = |text: &Option<Str>| text.as_ref().map(Str::detached);
        Self {
            instance_id: detached(&value.instance_id),
            rack_id: detached(&value.rack_id),
            client_id: value.client_id.detached(),
            client_host: value.client_host.detached(),
            topic_names: value.subscribed_topic_names.iter().map(Str::detached).collect(),
            topic_regex: detached(&value.subscribed_topic_regex).unwrap_or_default(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            server_assignor: detached(&value.server_assignor),
            classic: value
                .classic_member_metadata
                .as_deref()
                // What Kafka before 3.8 did not write reads as metadata without a protocol.
                .filter(|classic| !classic.supported_protocols.is_empty())
                .map(detached_classic),
        }
    }

    pub(super) fn to_record(&self, group_id: &Str, member_id: &Str) -> CoordinatorRecord {
        let value = ConsumerGroupMemberMetadataValue {
            instance_id: self.instance_id.clone(),
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: self.topic_names.iter().cloned().collect(),
            subscribed_topic_regex: Some(self.topic_regex.clone()),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.server_assignor.clone(),
            classic_member_metadata: self.classic.clone(),
        };
        records::member(group_id, member_id, Some(&value))
    }
}

fn detached_classic(classic: &ClassicMemberMetadata) -> Box<ClassicMemberMetadata> {
    let protocol = |protocol: &ClassicProtocol| ClassicProtocol {
        name: protocol.name.detached(),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    };
    Box::new(ClassicMemberMetadata {
        session_timeout_ms: classic.session_timeout_ms,
        supported_protocols: classic.supported_protocols.iter().map(protocol).collect(),
    })
}

/// A member; its id is the key under which the group keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Member {
    pub(crate) subscription: Subscription,
    pub(crate) current: CurrentAssignment,
}

impl Member {
    /// Whether it takes part by the classic protocol (a group under migration).
    pub(crate) fn is_classic(&self) -> bool {
        self.subscription.classic.is_some()
    }
}

/// When a member is expelled. Not logged: sessions and revocations begin anew when the group is loaded.
#[derive(Debug, Default)]
pub(crate) struct MemberTimers {
    /// Unless it is heard of.
    pub(crate) session: Deadline,
    /// Unless it has given up its partitions by then, and while it is in this epoch.
    pub(crate) revocation: Option<Revocation>,
    /// Unless it has rejoined by then: a classic member that was told to.
    pub(crate) rejoin_ms: Option<i64>,
    /// Unless it has asked for its assignment by then: a classic member that has joined.
    pub(crate) sync_ms: Option<i64>,
}

/// How long a member may take to give up partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) deadline_ms: i64,
    pub(crate) member_epoch: i32,
}

/// The record of what a member shall have.
pub(super) fn target_record(group_id: &Str, member_id: &Str, target: &Partitions) -> CoordinatorRecord {
    let value = ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: partitions::to_target(target),
    };
    records::target_member(group_id, member_id, Some(&value))
}

/// Takes all of a member away, in the order that Kafka wants.
pub(super) fn tombstones(group_id: &Str, member_id: &Str) -> [CoordinatorRecord; 3] {
    [
        records::current_assignment(group_id, member_id, None),
        records::target_member(group_id, member_id, None),
        records::member(group_id, member_id, None),
    ]
}
