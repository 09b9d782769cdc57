//! What the broker's reports show of groups, all kinds alike.

use crate::{any_group::AnyGroup, groups::Groups, offsets::GroupOffsets};
use ottla_protocol::{
    Str,
    ids::{Offset, Uuid},
};

/// A group in few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its id.
    pub id: Str,
    /// `classic` or `consumer`, as ListGroups says it.
    pub kind: &'static str,
    /// The state, as ListGroups says it.
    pub state: &'static str,
    /// How many members it has.
    pub members: usize,
    /// For how many partitions it has committed an offset.
    pub commits: usize,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCommit {
    /// The topic, and its id if the commit is young enough to have one.
    pub topic: Str,
    /// Zero if the commit does not say it.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: i32,
    /// The next offset that the group reads.
    pub offset: Offset,
}

impl Groups {
    /// All groups, by id within a kind.
    pub fn summaries(&self) -> Vec<GroupSummary> {
        self.groups().map(|group| self.summary_of(group)).collect()
    }

    /// One group; `None` if there is none of this id.
    pub fn summary(&self, id: &Str) -> Option<GroupSummary> {
        self.group(id).map(|group| self.summary_of(group))
    }

    fn summary_of(&self, group: AnyGroup<'_>) -> GroupSummary {
        let (kind, state, members) = match group {
            AnyGroup::Classic(group) => ("classic", group.state.name(), group.members.len()),
            AnyGroup::Consumer(group) => ("consumer", group.state().name(), group.members.len()),
        };
        let offsets = self.offsets.of_group(group.id());
        GroupSummary {
            id: group.id().clone(),
            kind,
            state,
            members,
            commits: offsets.map_or(0, |topics| topics.values().map(|partitions| partitions.len()).sum()),
        }
    }

    /// What a group has committed, by topic and partition, at most `limit` of it.
    pub fn commits(&self, id: &Str, limit: usize) -> Vec<GroupCommit> {
        let offsets = self.offsets.of_group(id);
        offsets.into_iter().flat_map(commits_in).take(limit).collect()
    }

    /// How many rebalances have been begun since the groups were loaded: generations of classic groups, and group epochs
    /// of consumer groups.
    pub fn rebalances(&self) -> u64 {
        self.rebalances
    }
}

fn commits_in(offsets: &GroupOffsets) -> impl Iterator<Item = GroupCommit> {
    offsets.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(|(partition, committed)| GroupCommit {
            topic: topic.clone(),
            topic_id: committed.topic_id,
            partition: *partition,
            offset: committed.offset,
        })
    })
}
