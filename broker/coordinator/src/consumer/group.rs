//! The state of a consumer group.

use super::{
    member::{Member, MemberTimers, Subscription},
    partitions::Partitions,
};
use ottla_protocol::{
    Str,
    ids::{TimestampMs, Uuid},
};
use std::collections::{BTreeMap, BTreeSet};

/// The epochs of a group that nobody has joined; the first record written raises the group epoch to 2.
pub(super) const INITIAL_EPOCH: i32 = 1;

/// The topics that a regular expression matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedRegex {
    pub(crate) topics: BTreeSet<Str>,
    /// Of the view of the cluster in which it was resolved.
    pub(crate) version: i64,
    pub(crate) timestamp_ms: TimestampMs,
}

/// Where a group is in its life; follows from its epochs and members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsumerGroupState {
    /// No members.
    Empty,
    /// A new target assignment is due.
    Assigning,
    /// Members are on their way to the target assignment.
    Reconciling,
    /// Every member has what it shall have.
    Stable,
}

impl ConsumerGroupState {
    /// The name in ListGroups and ConsumerGroupDescribe.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// A group of the consumer protocol.
///
/// Always: `static_members`, `name_counts`, `regex_counts`, `assignor_counts` and `owners` say nothing that `members`
/// does not say; they are kept by [`ConsumerGroup::put_member`] and [`ConsumerGroup::remove_member`] alone.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    pub(crate) id: Str,
    pub(crate) group_epoch: i32,
    pub(super) metadata_hash: i64,
    /// The group epoch for which `target` was computed.
    pub(crate) assignment_epoch: i32,
    /// When that was; 0 if the next one may be computed at once.
    pub(super) assignment_timestamp_ms: TimestampMs,
    pub(crate) members: BTreeMap<Str, Member>,
    pub(crate) target: BTreeMap<Str, Partitions>,
    pub(crate) regexes: BTreeMap<Str, ResolvedRegex>,
    /// An older Kafka wrote what it knew of the topics; it is to be taken away.
    pub(super) has_partition_metadata: bool,

    /// Member id by instance id.
    pub(super) static_members: BTreeMap<Str, Str>,
    /// How many members name a topic.
    pub(super) name_counts: BTreeMap<Str, usize>,
    /// How many members have a regular expression.
    pub(super) regex_counts: BTreeMap<Str, usize>,
    /// How many members want an assignor.
    pub(super) assignor_counts: BTreeMap<Str, usize>,
    /// Who has a partition, or may still have it.
    pub(super) owners: BTreeMap<(Uuid, i32), Str>,

    /// The view of the cluster in which `metadata_hash` was last compared; `None` after loading. Not logged.
    pub(super) seen_version: Option<i64>,
    /// Not logged.
    pub(super) timers: BTreeMap<Str, MemberTimers>,
}

impl ConsumerGroup {
    /// A group that nobody has joined.
    pub(crate) fn new(id: Str) -> Self {
        Self {
            id,
            group_epoch: INITIAL_EPOCH,
            metadata_hash: 0,
            assignment_epoch: INITIAL_EPOCH,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            regexes: BTreeMap::new(),
            has_partition_metadata: false,
            static_members: BTreeMap::new(),
            name_counts: BTreeMap::new(),
            regex_counts: BTreeMap::new(),
            assignor_counts: BTreeMap::new(),
            owners: BTreeMap::new(),
            seen_version: None,
            timers: BTreeMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn state(&self) -> ConsumerGroupState {
        let is_reconciled = |member: &Member| member.current.is_reconciled_to(self.assignment_epoch);
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.group_epoch > self.assignment_epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(is_reconciled) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// The member that an instance id stands for.
    pub(super) fn static_member(&self, instance_id: &Str) -> Option<(&Str, &Member)> {
        self.members.get_key_value(self.static_members.get(instance_id)?)
    }

    /// Whether any member subscribes to `topic`, by name or by what its regular expression matched.
    pub(crate) fn is_subscribed_to(&self, topic: &Str) -> bool {
        self.name_counts.contains_key(topic) || self.regexes.values().any(|regex| regex.topics.contains(topic))
    }

    /// The assignor that most members want; `None` if no member wants one. Between equals Kafka leaves it to a hash
    /// table, in which "uniform" comes before "range".
    pub(super) fn preferred_assignor(counts: &BTreeMap<Str, usize>) -> Option<&Str> {
        let most = counts.values().copied().max()?;
        let preferred = counts.iter().rev().find(|(_, count)| **count == most);
        preferred.map(|(name, _)| name)
    }

    /// Puts a member in the place of what it was, if it was there. For records only.
    pub(super) fn put_member(&mut self, id: Str, member: Member) {
        if let Some(former) = self.members.remove(&id) {
            self.discount(&former.subscription);
            self.disown(&id, &former);
        }
        self.count(&member.subscription);
        for partition in member.current.owned() {
            self.owners.insert(partition, id.clone());
        }
        if let Some(instance_id) = &member.subscription.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.members.insert(id, member);
    }

    /// Takes a member away. For records only.
    pub(super) fn remove_member(&mut self, id: &Str) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        self.discount(&member.subscription);
        self.disown(id, &member);
        if let Some(instance_id) = &member.subscription.instance_id
            && self.static_members.get(instance_id) == Some(id)
        {
            self.static_members.remove(instance_id);
        }
    }

    /// What a record of another member says counts more: after compaction an older one may come behind it.
    fn disown(&mut self, id: &Str, member: &Member) {
        for partition in member.current.owned() {
            if self.owners.get(&partition) == Some(id) {
                self.owners.remove(&partition);
            }
        }
    }

    fn count(&mut self, subscription: &Subscription) {
        subscription
            .topic_names
            .iter()
            .for_each(|name| increment(&mut self.name_counts, name));
        subscription
            .regex()
            .iter()
            .for_each(|regex| increment(&mut self.regex_counts, regex));
        let assignor = subscription.server_assignor.as_ref();
        assignor
            .iter()
            .for_each(|name| increment(&mut self.assignor_counts, name));
    }

    fn discount(&mut self, subscription: &Subscription) {
        subscription
            .topic_names
            .iter()
            .for_each(|name| decrement(&mut self.name_counts, name));
        subscription
            .regex()
            .iter()
            .for_each(|regex| decrement(&mut self.regex_counts, regex));
        let assignor = subscription.server_assignor.as_ref();
        assignor
            .iter()
            .for_each(|name| decrement(&mut self.assignor_counts, name));
    }
}

/// Adds one to the count of `key`.
pub(super) fn increment(counts: &mut BTreeMap<Str, usize>, key: &Str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.clone(), 1);
        }
    }
}

/// Takes one from the count of `key`, which goes at zero.
pub(super) fn decrement(counts: &mut BTreeMap<Str, usize>, key: &Str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
