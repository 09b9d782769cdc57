//! What a member has: the part of a member that reconciliation moves.

use super::partitions::{self, Owned};
use crate::{CoordinatorRecord, record::consumer as records};
use ottla_protocol::{
    Str,
    ids::Uuid,
    messages::{ConsumerGroupCurrentMemberAssignmentValue, consumer_group_heartbeat_request::TopicPartitions},
};

/// The member epoch of a static member that is away and will come back (KIP-848).
pub(crate) const LEAVE_STATIC_EPOCH: i32 = -2;

/// Where a member stands between what it has and what it shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what its epoch gives it.
    Stable,
    /// It was told to give up partitions and has not said that it did. It stays in its epoch.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up.
    UnreleasedPartitions,
    /// A state of a later Kafka; the number is kept.
    Unknown(i8),
}

impl MemberState {
    fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            other => Self::Unknown(other),
        }
    }

    fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown(other) => other,
        }
    }
}

/// What a member has, in which epoch. Always: no partition is in both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    pub(crate) member_epoch: i32,
    /// The epoch before: an answer that moved the member on may have been lost.
    pub(crate) previous_member_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: Owned,
    /// What it was told to give up and may still have.
    pub(crate) revoking: Owned,
}

/// A member that has just come.
impl Default for CurrentAssignment {
    fn default() -> Self {
        Self {
            member_epoch: 0,
            previous_member_epoch: -1,
            state: MemberState::Stable,
            assigned: Owned::new(),
            revoking: Owned::new(),
        }
    }
}

impl CurrentAssignment {
    /// Whether nothing is left to do until the assignment epoch is another one.
    pub(crate) fn is_reconciled_to(&self, assignment_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.member_epoch == assignment_epoch
    }

    /// Every partition that it has or may have.
    pub(crate) fn owned(&self) -> impl Iterator<Item = (Uuid, i32)> {
        let both = self.assigned.iter().chain(&self.revoking);
        both.flat_map(|(topic, partitions)| partitions.keys().map(|partition| (*topic, *partition)))
    }

    /// Whether it has or may have all of these.
    pub(super) fn has_all(&self, reported: &[TopicPartitions]) -> bool {
        let mut partitions = reported
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)));
        partitions.all(|(topic, partition)| self.assignment_epoch(topic, partition).is_some())
    }

    /// The epoch in which it got a partition that it has or may have.
    pub(crate) fn assignment_epoch(&self, topic: Uuid, partition: i32) -> Option<i32> {
        let find = |owned: &Owned| owned.get(&topic)?.get(&partition).copied();
        find(&self.assigned).or_else(|| find(&self.revoking))
    }

    pub(super) fn from_record(value: &ConsumerGroupCurrentMemberAssignmentValue) -> Self {
        Self {
            member_epoch: value.member_epoch,
            previous_member_epoch: value.previous_member_epoch,
            state: MemberState::from_code(value.state),
            assigned: partitions::from_current(&value.assigned_partitions, value.member_epoch),
            revoking: partitions::from_current(&value.partitions_pending_revocation, value.member_epoch),
        }
    }

    pub(super) fn to_record(&self, group_id: &Str, member_id: &Str) -> CoordinatorRecord {
        let value = ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.member_epoch,
            previous_member_epoch: self.previous_member_epoch,
            state: self.state.code(),
            assigned_partitions: partitions::to_current(&self.assigned),
            partitions_pending_revocation: partitions::to_current(&self.revoking),
        };
        records::current_assignment(group_id, member_id, Some(&value))
    }
}
