//! The state of a classic group and the small steps that keep it consistent.

use super::{Step, member::Member};
use crate::{record, timers::Deadline};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message, Str,
    ids::TimestampMs,
    messages::{ConsumerProtocolSubscription, GroupMetadataValue, group_metadata_value::MemberMetadata},
    primitives::Reader,
};
use std::collections::{BTreeMap, BTreeSet};

/// The protocol type of consumers; only their metadata and assignments are understood by the coordinator.
pub(crate) const CONSUMER_PROTOCOL: &str = "consumer";

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupState {
    /// No members. From PreparingRebalance, when nobody joined.
    Empty,
    /// Members are called to join. From Empty, CompletingRebalance and Stable.
    PreparingRebalance,
    /// Members have joined and wait for the leader's assignment. From PreparingRebalance.
    CompletingRebalance,
    /// The assignment is logged. From CompletingRebalance.
    Stable,
}

impl GroupState {
    /// The name in ListGroups and DescribeGroups.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }

    const fn may_follow(self, previous: Self) -> bool {
        match self {
            Self::Empty | Self::CompletingRebalance => matches!(previous, Self::PreparingRebalance),
            Self::PreparingRebalance => !matches!(previous, Self::PreparingRebalance),
            Self::Stable => matches!(previous, Self::CompletingRebalance),
        }
    }
}

/// How the first rebalance of an empty group waits for more members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InitialDelay {
    /// The length of the current wait.
    pub(crate) delay_ms: i64,
    /// What may still be waited after it.
    pub(crate) remaining_ms: i64,
    /// Whether somebody joined during it.
    pub(crate) member_added: bool,
}

/// A group of the classic protocol, or of no protocol at all: a "simple" group that only holds offsets.
///
/// Always: `leader` is a member, and there is one exactly if there are members; `static_members` names exactly the
/// members with an instance id; `protocol_counts` counts the members that offer each protocol; `awaiting_joins` counts
/// the members whose JoinGroup waits.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: Str,
    pub(crate) state: GroupState,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<Str>,
    /// The protocol that the members of this generation agreed on.
    pub(crate) protocol_name: Option<Str>,
    pub(crate) leader: Option<Str>,
    /// When `state` was entered; `None` if the record of it is older than version 2.
    pub(crate) state_timestamp_ms: Option<TimestampMs>,
    pub(crate) members: BTreeMap<Str, Member>,
    /// Member id by instance id.
    pub(crate) static_members: BTreeMap<Str, Str>,
    /// Members that were given an id and have not joined with it yet (KIP-394), with their time.
    pub(crate) pending_joins: BTreeMap<Str, Deadline>,
    /// Members of this generation that have not asked for their assignment.
    pub(crate) pending_syncs: BTreeSet<Str>,
    pub(crate) awaiting_joins: usize,
    pub(crate) protocol_counts: BTreeMap<Str, usize>,
    /// The topics of a consumer group; `None` if unknown.
    pub(crate) subscribed_topics: Option<BTreeSet<Str>>,
    /// Present during a rebalance that began with an empty group.
    pub(crate) initial_delay: Option<InitialDelay>,
    /// When the rebalance goes on without those who have not joined.
    pub(crate) join_deadline_ms: Option<i64>,
    /// When those who have not asked for their assignment are expelled.
    pub(crate) sync_deadline_ms: Option<i64>,
}

impl ClassicGroup {
    /// An empty group that nobody has joined.
    pub(crate) fn new(id: Str, state_timestamp_ms: Option<TimestampMs>) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            state_timestamp_ms,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            awaiting_joins: 0,
            protocol_counts: BTreeMap::new(),
            subscribed_topics: None,
            initial_delay: None,
            join_deadline_ms: None,
            sync_deadline_ms: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state == GroupState::Empty
    }

    pub(crate) fn is_consumer_group(&self) -> bool {
        self.protocol_type
            .as_ref()
            .is_some_and(|name| *name == CONSUMER_PROTOCOL)
    }

    pub(crate) fn is_leader(&self, member_id: &Str) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    pub(super) fn transition(&mut self, state: GroupState, step: &Step<'_>) {
        assert!(
            state.may_follow(self.state),
            "{state:?} cannot follow {:?} in group {}",
            self.state,
            self.id
        );
        self.state = state;
        self.state_timestamp_ms = Some(step.now.wall_ms);
    }

    /// Whether the request comes from who it says: a member, and for a static one the incarnation in charge.
    pub(crate) fn check_member(&self, member_id: &Str, instance_id: Option<&Str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            let incarnation = self.static_members.get(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
            if incarnation != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// Takes a member in. It has not been a member before and speaks a protocol that the others speak.
    pub(super) fn add_member(&mut self, id: Str, member: Member, protocol_type: &Str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.detached());
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.count_protocols(&member.protocols);
        self.awaiting_joins += usize::from(member.awaiting_join.is_some());
        self.pending_joins.remove(&id);
        let former = self.members.insert(id, member);
        assert!(former.is_none(), "a member of group {} was added twice", self.id);
    }

    /// Lets a member go, whoever it is, and answers what it waits for with `UnknownMemberId`, so that it may rejoin.
    pub(super) fn remove_member(&mut self, id: &Str, step: &mut Step<'_>) {
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        if let Some(ticket) = self.take_awaited_join(&mut member) {
            step.refuse_join(ticket, &Str::EMPTY, ErrorCode::UnknownMemberId);
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            step.refuse_sync(ticket, ErrorCode::UnknownMemberId);
        }
        self.discount_protocols(&member.protocols);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// The ticket of the JoinGroup that `member`, not or no longer in the map, waits with.
    pub(super) fn take_awaited_join(&mut self, member: &mut Member) -> Option<crate::outcome::Ticket> {
        let ticket = member.awaiting_join.take()?;
        self.awaiting_joins -= 1;
        Some(ticket)
    }

    pub(super) fn count_protocols(&mut self, protocols: &[(Str, Bytes)]) {
        for (name, _) in protocols {
            *self.protocol_counts.entry(name.clone()).or_default() += 1;
        }
    }

    pub(super) fn discount_protocols(&mut self, protocols: &[(Str, Bytes)]) {
        for (name, _) in protocols {
            if let Some(count) = self.protocol_counts.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.protocol_counts.remove(name);
                }
            }
        }
    }

    /// Whether every member offers `protocol`.
    pub(super) fn is_spoken_by_all(&self, protocol: &Str) -> bool {
        self.protocol_counts.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// Whether somebody of this type with these protocols can be a member: one protocol must suit everybody.
    pub(super) fn supports<'a>(&self, protocol_type: &Str, mut protocols: impl Iterator<Item = &'a Str>) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && protocols.next().is_some();
        }
        self.protocol_type.as_ref() == Some(protocol_type) && protocols.any(|name| self.is_spoken_by_all(name))
    }

    /// The protocol of the next generation: each member votes for the first of its protocols that all members speak.
    /// Between equal votes the one that comes first in the alphabet wins; Kafka leaves that open.
    pub(super) fn select_protocol(&self) -> Option<Str> {
        let mut votes: BTreeMap<&Str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|(name, _)| self.is_spoken_by_all(name));
            if let Some((name, _)) = vote {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.clone())
    }

    /// The longest rebalance time-out of the members.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout_ms);
        i64::from(timeouts.max().unwrap_or(0))
    }

    /// Looks up which topics the members of this generation subscribe to. Only the part that all versions of the
    /// consumer protocol share is read; unreadable metadata makes the topics unknown.
    pub(super) fn learn_subscribed_topics(&mut self) {
        self.subscribed_topics = self.is_consumer_group().then(|| self.topics_of_members()).flatten();
    }

    fn topics_of_members(&self) -> Option<BTreeSet<Str>> {
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            for topic in subscription_topics(member.metadata(protocol))? {
                if !topics.contains(&topic) {
                    topics.insert(topic.detached());
                }
            }
        }
        Some(topics)
    }

    /// Whether offsets of `topic` are in use. A consumer group of unknown topics uses all.
    pub(crate) fn is_subscribed_to(&self, topic: &Str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// The record of this generation, each member with what `assignment` gives for it.
    pub(crate) fn to_record(&self, assignment: impl Fn(&Str, &Member) -> Bytes) -> crate::CoordinatorRecord {
        let protocol = self.protocol_name.clone();
        let member_record = |(id, member): (&Str, &Member)| MemberMetadata {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: protocol.as_ref().map(|name| member.metadata(name)).unwrap_or_default(),
            assignment: assignment(id, member),
        };
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_timestamp_ms.unwrap_or(-1),
            members: self.members.iter().map(member_record).collect(),
        };
        record::group_metadata(&self.id, &value)
    }

    /// The record of a group that somebody has just asked to join: nothing is known but its name.
    pub(crate) fn to_first_record(&self) -> crate::CoordinatorRecord {
        let value = GroupMetadataValue {
            protocol: None,
            leader: None,
            current_state_timestamp: self.state_timestamp_ms.unwrap_or(-1),
            ..Default::default()
        };
        record::group_metadata(&self.id, &value)
    }
}

fn subscription_topics(metadata: Bytes) -> Option<Vec<Str>> {
    let mut reader = Reader::new(metadata);
    reader.i16().ok()?;
    let subscription = ConsumerProtocolSubscription::decode_at(&mut reader, 0).ok()?;
    Some(subscription.topics)
}
