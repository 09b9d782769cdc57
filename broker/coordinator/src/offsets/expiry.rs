//! When offsets, and groups that hold none, expire (KIP-211).

use super::CommittedOffset;
use crate::{
    any_group::AnyGroup,
    classic::{ClassicGroup, GroupState},
    groups::Groups,
    outcome::{Actions, Now},
    record,
};
use ottla_protocol::ids::TimestampMs;

/// From when on an offset of a group ages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ages {
    /// Never: the group is in use, and of what is not known.
    Never,
    /// From its commit.
    FromCommit,
    /// From the moment when the group lost its last member.
    From(TimestampMs),
}

impl Groups {
    /// Tombstones for all that has expired, and for empty groups that hold nothing any more.
    pub(crate) fn expire_offsets(&self, now: Now, actions: &mut Actions) {
        for group in self.groups() {
            let all_expired = self.expire_offsets_of(group, now, actions);
            let is_joined = matches!(group, AnyGroup::Classic(classic) if !classic.pending_joins.is_empty());
            // A marker may still bring offsets.
            let is_open = self.pending.is_open(group.id());
            if all_expired && group.is_empty() && !is_joined && !is_open {
                actions.records.extend(group.tombstones());
            }
        }
    }

    /// Whether none is left.
    fn expire_offsets_of(&self, group: AnyGroup<'_>, now: Now, actions: &mut Actions) -> bool {
        let Some(offsets) = self.offsets.of_group(group.id()) else {
            return true;
        };
        let ages = match group {
            AnyGroup::Classic(classic) => ages(classic),
            AnyGroup::Consumer(_) => Ages::FromCommit,
        };
        let mut all_expired = true;
        for (topic, partitions) in offsets {
            let is_in_use = group.is_subscribed_to(topic);
            for (partition, committed) in partitions {
                let is_pending = self.pending.has(group.id(), topic, *partition);
                if !is_in_use && !is_pending && self.is_expired(committed, ages, now) {
                    let tombstone = record::offset_tombstone(group.id(), topic, *partition);
                    actions.records.push(tombstone);
                } else {
                    all_expired = false;
                }
            }
        }
        all_expired
    }

    fn is_expired(&self, committed: &CommittedOffset, ages: Ages, now: Now) -> bool {
        let since_ms = match ages {
            Ages::Never => return false,
            Ages::FromCommit => committed.commit_timestamp_ms,
            Ages::From(timestamp_ms) => timestamp_ms,
        };
        match committed.expire_timestamp_ms {
            Some(expire_timestamp_ms) => now.wall_ms >= expire_timestamp_ms,
            None => now.wall_ms.saturating_sub(since_ms) >= self.config.offsets_retention_ms,
        }
    }
}

fn ages(group: &ClassicGroup) -> Ages {
    match group.state {
        _ if group.protocol_type.is_none() => Ages::FromCommit,
        GroupState::Empty => group.state_timestamp_ms.map_or(Ages::FromCommit, Ages::From),
        GroupState::Stable if group.is_consumer_group() && group.subscribed_topics.is_some() => Ages::FromCommit,
        _ => Ages::Never,
    }
}
