//! One step of a member from what it has to what it shall have.
//!
//! Nothing is given to a member that somebody else has or may still have, and a member stays in its epoch until it says
//! that it has given up what it shall not have.

use super::{
    current::{CurrentAssignment, MemberState},
    partitions::{self, Owned, Partitions},
};
use ottla_protocol::{ids::Uuid, messages::consumer_group_heartbeat_request::TopicPartitions};
use std::collections::BTreeMap;

/// What a step depends on besides the member.
pub(super) struct Step<'a> {
    pub(super) target_epoch: i32,
    pub(super) target: &'a Partitions,
    /// Whether the member has just subscribed to something else: what it does not subscribe to must go at once.
    pub(super) is_subscription_changed: bool,
    /// What the member says it has; a heartbeat may leave it out.
    pub(super) reported: Option<&'a [TopicPartitions]>,
    /// Whether the member subscribes to a topic.
    pub(super) is_subscribed: &'a dyn Fn(Uuid) -> bool,
    /// Whether nobody else has a partition, or may still have it.
    pub(super) is_free: &'a dyn Fn(Uuid, i32) -> bool,
}

impl Step<'_> {
    /// The member after the step; `None` if it stays as it is.
    pub(super) fn take(&self, member: &CurrentAssignment) -> Option<CurrentAssignment> {
        let next = match member.state {
            MemberState::Stable if member.member_epoch == self.target_epoch => self.drop_unsubscribed(member)?,
            MemberState::UnrevokedPartitions if partitions::has_any(self.reported, &member.revoking) => {
                self.drop_unsubscribed(member)?
            }
            MemberState::Unknown(_) => self.advance(member, self.target_epoch),
            MemberState::Stable | MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                self.advance(member, member.member_epoch)
            }
        };
        (next != *member).then_some(next)
    }

    /// Tells the member to give up topics that it does not subscribe to any more, and leaves the rest for later.
    fn drop_unsubscribed(&self, member: &CurrentAssignment) -> Option<CurrentAssignment> {
        if !self.is_subscription_changed {
            return None;
        }
        let (kept, dropped): (Owned, Owned) = member
            .assigned
            .clone()
            .into_iter()
            .partition(|(topic, _)| (self.is_subscribed)(*topic));
        if dropped.is_empty() {
            return None;
        }
        let mut revoking = member.revoking.clone();
        for (topic, partitions) in dropped {
            revoking.entry(topic).or_default().extend(partitions);
        }
        let mut next = CurrentAssignment {
            previous_member_epoch: member.member_epoch,
            assigned: kept,
            ..member.clone()
        };
        if partitions::has_any(self.reported, &revoking) {
            next.state = MemberState::UnrevokedPartitions;
            next.revoking = revoking;
        }
        Some(next)
    }

    /// Goes towards the target assignment as far as that is possible now.
    fn advance(&self, member: &CurrentAssignment, member_epoch: i32) -> CurrentAssignment {
        let mut split = self.split(member);
        if !split.revoking.is_empty() && partitions::has_any(self.reported, &split.revoking) {
            return CurrentAssignment {
                member_epoch,
                previous_member_epoch: member.member_epoch,
                state: MemberState::UnrevokedPartitions,
                assigned: split.kept,
                revoking: split.revoking,
            };
        }
        for (topic, partition) in split.grantable {
            let of_topic = split.kept.entry(topic).or_default();
            of_topic.insert(partition, self.target_epoch);
        }
        CurrentAssignment {
            member_epoch: self.target_epoch,
            previous_member_epoch: member.member_epoch,
            state: match split.has_unreleased {
                true => MemberState::UnreleasedPartitions,
                false => MemberState::Stable,
            },
            assigned: split.kept,
            revoking: Owned::new(),
        }
    }

    fn split(&self, member: &CurrentAssignment) -> Split {
        let mut split = Split::default();
        let nothing = BTreeMap::new();
        for (topic, partitions) in &member.assigned {
            let wanted = self.wanted(*topic);
            for (partition, epoch) in partitions {
                let is_kept = wanted.is_some_and(|wanted| wanted.contains(partition));
                let side = if is_kept { &mut split.kept } else { &mut split.revoking };
                side.entry(*topic).or_default().insert(*partition, *epoch);
            }
        }
        for topic in self.target.keys() {
            let Some(wanted) = self.wanted(*topic) else {
                continue;
            };
            let has = member.assigned.get(topic).unwrap_or(&nothing);
            for partition in wanted.iter().filter(|partition| !has.contains_key(partition)) {
                // What it is about to give up itself may be given back to it: nobody else has it.
                if (self.is_free)(*topic, *partition) {
                    split.grantable.push((*topic, *partition));
                } else {
                    split.has_unreleased = true;
                }
            }
        }
        split
    }

    fn wanted(&self, topic: Uuid) -> Option<&std::collections::BTreeSet<i32>> {
        self.target.get(&topic).filter(|_| (self.is_subscribed)(topic))
    }
}

#[derive(Default)]
struct Split {
    /// What the member has and shall have.
    kept: Owned,
    /// What it has and shall not have.
    revoking: Owned,
    /// What it shall have and nobody has.
    grantable: Vec<(Uuid, i32)>,
    /// Whether it shall have something that somebody else has.
    has_unreleased: bool,
}
