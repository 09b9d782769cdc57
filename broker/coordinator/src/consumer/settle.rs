//! The last part of a decision about a member, whichever protocol it speaks: its target, and one step towards it.

use super::{
    World, current::CurrentAssignment, haste::Progress, partitions::Partitions, reconcile::Step, update::Draft,
};
use crate::{CoordinatorRecord, groups::Groups, outcome::Actions};
use ottla_protocol::{Str, ids::Uuid, messages::consumer_group_heartbeat_request::TopicPartitions};

/// What a member said has led to.
pub(super) struct Settled {
    pub(super) records: Vec<CoordinatorRecord>,
    pub(super) member_id: Str,
    /// The id that the static member had so far.
    pub(super) replaced: Option<Str>,
    /// What the member has afterwards, if that is something else than before.
    pub(super) next: Option<CurrentAssignment>,
    pub(super) rebalance_timeout_ms: i32,
    /// Where it and its group stand then.
    pub(super) progress: Progress,
    /// The view of the cluster that the group has taken into account.
    pub(super) seen_version: Option<i64>,
}

impl Draft<'_> {
    /// Computes the target assignment if that is due, and moves the sender towards it. `reported` is what it says it
    /// has.
    pub(super) fn settle(mut self, reported: Option<&[TopicPartitions]>, world: &World<'_>) -> Settled {
        let (target_epoch, target) = self.target(world);
        let next = self.reconcile(reported, target_epoch, &target, world);
        if let Some(next) = &next {
            let record = next.to_record(&self.group.id, &self.sender.id);
            self.records.push(record);
        }
        let progress = self.progress(target_epoch, next.as_ref(), world);
        Settled {
            progress,
            seen_version: match self.has_seen_cluster {
                true => Some(world.cluster.version()),
                false => self.group.seen_version,
            },
            rebalance_timeout_ms: self.subscription.rebalance_timeout_ms,
            replaced: self.sender.replaced.cloned(),
            records: self.records,
            member_id: self.sender.id,
            next,
        }
    }

    fn progress(&self, target_epoch: i32, next: Option<&CurrentAssignment>, world: &World<'_>) -> Progress {
        let is_computed_now = target_epoch != self.group.assignment_epoch;
        let current = next.unwrap_or(&self.sender.member.current);
        Progress {
            members: self.group.members.len() + usize::from(self.sender.is_new),
            is_target_outdated: self.group_epoch > target_epoch,
            is_reconciled: current.is_reconciled_to(target_epoch),
            target_age_ms: match is_computed_now {
                true => 0,
                false => world.now.wall_ms.saturating_sub(self.group.assignment_timestamp_ms),
            },
        }
    }

    fn reconcile(
        &self,
        reported: Option<&[TopicPartitions]>,
        target_epoch: i32,
        target: &Partitions,
        world: &World<'_>,
    ) -> Option<CurrentAssignment> {
        let current = &self.sender.member.current;
        if !self.is_subscription_changed && current.is_reconciled_to(target_epoch) {
            return None;
        }
        let resolved = self.subscription.regex().and_then(|regex| self.regexes.get(regex));
        let is_subscribed = |topic: Uuid| {
            world.cluster.topic_name(topic).is_some_and(|name| {
                self.subscription.topic_names.contains(&name)
                    || resolved.is_some_and(|resolved| resolved.topics.contains(&name))
            })
        };
        let is_free = |topic: Uuid, partition: i32| {
            let owner = self.group.owners.get(&(topic, partition));
            #[cfg(test)]
            let owner = owner.filter(|_| !world.config.gives_early);
            owner.is_none_or(|owner| *owner == self.sender.id || Some(owner) == self.sender.replaced)
        };
        let step = Step {
            target_epoch,
            target,
            is_subscription_changed: self.is_subscription_changed,
            reported,
            is_subscribed: &is_subscribed,
            is_free: &is_free,
        };
        step.take(current)
    }
}

impl Groups {
    /// Hands over the records, and keeps what of it is not logged. The group is there.
    pub(super) fn keep_settled(&mut self, group_id: &Str, settled: Settled, actions: &mut Actions) {
        actions.records.extend(settled.records);
        if let Some(group) = self.consumer.get_mut(group_id) {
            group.seen_version = settled.seen_version;
            if let Some(replaced) = &settled.replaced {
                group.timers.remove(replaced);
            }
        }
    }
}
