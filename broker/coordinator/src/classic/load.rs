//! How the record of a group becomes true.

use super::{
    group::{ClassicGroup, GroupState},
    member::Member,
};
use crate::timers::Deadline;
use bytes::Bytes;
use ottla_protocol::{
    Str,
    messages::{GroupMetadataValue, group_metadata_value::MemberMetadata},
};

impl ClassicGroup {
    /// The group as a record of it says, all copied out of the record's batch. Sessions begin when loading has ended.
    pub(crate) fn from_record(id: &Str, value: &GroupMetadataValue) -> Self {
        let timestamp_ms = Some(value.current_state_timestamp).filter(|timestamp| *timestamp != -1);
        let mut group = Self::new(id.detached(), timestamp_ms);
        group.generation = value.generation;
        group.protocol_name = value.protocol.as_ref().map(Str::detached);
        for member in &value.members {
            let id = member.member_id.detached();
            if !group.members.contains_key(&id) {
                group.add_member(id, loaded_member(value, member), &value.protocol_type);
            }
        }
        group.protocol_type = Some(value.protocol_type.detached()).filter(|name| !name.is_empty());
        let leader = value.leader.as_ref().filter(|id| group.members.contains_key(*id));
        if let Some(leader) = leader {
            group.leader = Some(leader.detached());
        }
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
        }
        group.learn_subscribed_topics();
        group
    }

    /// Makes the record of a decision true in the group that made it: what the leader assigned is now theirs. All else
    /// that the record says the group knows already.
    pub(crate) fn confirm(&mut self, value: &GroupMetadataValue) {
        for record in &value.members {
            if let Some(member) = self.members.get_mut(&record.member_id) {
                member.assignment = Bytes::copy_from_slice(&record.assignment);
            }
        }
        if self.state == GroupState::CompletingRebalance && !value.members.is_empty() {
            self.state = GroupState::Stable;
        }
    }
}

fn loaded_member(group: &GroupMetadataValue, record: &MemberMetadata) -> Member {
    let rebalance_timeout_ms = match record.rebalance_timeout {
        // Version 0 of the record has none.
        -1 => record.session_timeout,
        timeout => timeout,
    };
    let protocol = group.protocol.as_ref().map(Str::detached).unwrap_or_default();
    Member {
        instance_id: record.group_instance_id.as_ref().map(Str::detached),
        client_id: record.client_id.detached(),
        client_host: record.client_host.detached(),
        rebalance_timeout_ms,
        session_timeout_ms: record.session_timeout,
        protocols: vec![(protocol, Bytes::copy_from_slice(&record.subscription))],
        assignment: Bytes::copy_from_slice(&record.assignment),
        awaiting_join: None,
        awaiting_sync: None,
        is_new: false,
        session: Deadline::default(),
    }
}
