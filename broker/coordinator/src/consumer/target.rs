//! The target assignment: who shall have what.

use super::{
    World,
    group::{ConsumerGroup, ResolvedRegex},
    member::{Subscription, target_record},
    partitions::Partitions,
    update::Draft,
};
use crate::{
    CoordinatorRecord,
    assignor::{Assignor, Candidate},
    cluster::{ClusterView, ConsumerSettings},
    outcome::Now,
    record::consumer as records,
};
use ottla_protocol::{
    Str,
    ids::{TimestampMs, Uuid},
    messages::ConsumerGroupTargetAssignmentMetadataValue,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

impl Draft<'_> {
    /// The epoch of the target assignment and what the sender shall have, computed anew if that is due.
    pub(super) fn target(&mut self, world: &World<'_>) -> (i32, Partitions) {
        let group = self.group;
        if group.assignment_epoch >= self.group_epoch || !is_due(group, world.settings, world.now) {
            let target = group.target_of(self.sender.known_id()).into_owned();
            return (group.assignment_epoch, target);
        }
        let assigned = self.assign(world);
        let mut own = Partitions::new();
        for (id, target) in assigned {
            // What a static member that came back was to have is written under its new id already.
            let known_id = if id == self.sender.id {
                self.sender.known_id()
            } else {
                &id
            };
            if group.target.get(known_id) != Some(&target) {
                self.records.push(target_record(&group.id, &id, &target));
            }
            if id == self.sender.id {
                own = target;
            }
        }
        self.records
            .push(epoch_record(&group.id, self.group_epoch, world.now.wall_ms));
        (self.group_epoch, own)
    }

    fn assign(&self, world: &World<'_>) -> Vec<(Str, Partitions)> {
        let mut topics = TopicIds::new(world.cluster, &self.regexes);
        let group = self.group;
        let others = group
            .members
            .iter()
            .filter(|(id, _)| **id != self.sender.id && Some(*id) != self.sender.replaced)
            .map(|(id, member)| (id, &member.subscription));
        let members: Vec<(&Str, &Subscription)> = others.chain([(&self.sender.id, &self.subscription)]).collect();
        let targets: Vec<Cow<'_, Partitions>> = members
            .iter()
            .map(|(id, _)| match **id == self.sender.id {
                true => group.target_of(self.sender.known_id()),
                false => group.target_of(id),
            })
            .collect();
        let mut candidates: Vec<Candidate<'_>> = members
            .iter()
            .zip(&targets)
            .map(|((id, subscription), target)| Candidate {
                id,
                instance_id: subscription.instance_id.as_ref(),
                topics: topics.of(subscription),
                target,
            })
            .collect();
        candidates.sort_by_key(|candidate| candidate.id);
        let assigned = self.assignor(world).assign(&candidates, &topics.partition_counts);
        let ids = candidates.iter().map(|candidate| candidate.id.clone());
        ids.zip(assigned).collect()
    }

    /// The assignor that most members want, the sender's new wish counted.
    fn assignor(&self, world: &World<'_>) -> Assignor {
        let counts = self.assignor_counts();
        let preferred = ConsumerGroup::preferred_assignor(&counts).and_then(|name| Assignor::by_name(name));
        preferred.unwrap_or(world.config.default_assignor())
    }
}

/// Whether the last target assignment is old enough for another one (KIP-1263).
pub(super) fn is_due(group: &ConsumerGroup, settings: ConsumerSettings, now: Now) -> bool {
    let interval_ms = i64::from(settings.assignment_interval_ms);
    let age_ms = now.wall_ms.saturating_sub(group.assignment_timestamp_ms);
    // A clock that was set back does not hold it up.
    group.assignment_timestamp_ms == 0 || !(0..interval_ms).contains(&age_ms)
}

/// The record that the target assignment is for `epoch`; a `timestamp_ms` of 0 lets the next one come at once.
pub(super) fn epoch_record(group_id: &Str, epoch: i32, timestamp_ms: TimestampMs) -> CoordinatorRecord {
    let value = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: epoch,
        assignment_timestamp: timestamp_ms,
    };
    records::target(group_id, Some(&value))
}

/// The ids of topics that members subscribe to, each looked up once.
struct TopicIds<'a> {
    cluster: &'a dyn ClusterView,
    regexes: &'a BTreeMap<Str, ResolvedRegex>,
    ids: BTreeMap<Str, Option<Uuid>>,
    partition_counts: BTreeMap<Uuid, i32>,
}

impl<'a> TopicIds<'a> {
    fn new(cluster: &'a dyn ClusterView, regexes: &'a BTreeMap<Str, ResolvedRegex>) -> Self {
        Self {
            cluster,
            regexes,
            ids: BTreeMap::new(),
            partition_counts: BTreeMap::new(),
        }
    }

    /// The topics of a member that exist.
    fn of(&mut self, subscription: &Subscription) -> BTreeSet<Uuid> {
        let matched = subscription.regex().and_then(|regex| self.regexes.get(regex));
        let matched = matched.into_iter().flat_map(|resolved| &resolved.topics);
        let names = subscription.topic_names.iter().chain(matched);
        names.filter_map(|name| self.id(name)).collect()
    }

    fn id(&mut self, name: &Str) -> Option<Uuid> {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let topic = self.cluster.topic(name);
        if let Some(topic) = &topic {
            self.partition_counts.insert(topic.id, topic.partition_count);
        }
        let id = topic.map(|topic| topic.id);
        self.ids.insert(name.clone(), id);
        id
    }
}
