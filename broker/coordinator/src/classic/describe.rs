//! What DescribeGroups shows of a group.

use super::{
    group::{ClassicGroup, GroupState},
    member::Member,
};
use crate::groups::Groups;
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Str,
    messages::describe_groups_response::{DescribedGroup, DescribedGroupMember},
};

/// From this version on an unknown group is an error, and errors have words (KIP-1043).
const NOT_FOUND_FROM: i16 = 6;

impl Groups {
    /// The group as DescribeGroups in `version` shows it. One that does not exist is "Dead".
    pub fn describe_group(&self, group_id: &Str, version: i16) -> DescribedGroup {
        if let Some(group) = self.classic.get(group_id) {
            return group.describe();
        }
        let mut described = DescribedGroup {
            group_id: group_id.clone(),
            group_state: Str::from_static("Dead"),
            ..Default::default()
        };
        if version >= NOT_FOUND_FROM {
            described.error_code = ErrorCode::GroupIdNotFound as i16;
            let message = match self.consumer.contains_key(group_id) {
                true => format!("Group {group_id} is not a classic group."),
                false => format!("Group {group_id} not found."),
            };
            described.error_message = Some(message.into());
        }
        described
    }
}

impl ClassicGroup {
    fn describe(&self) -> DescribedGroup {
        // Before the group is stable its members' metadata may be of different protocols.
        let protocol = self.protocol_name.as_ref().filter(|_| self.state == GroupState::Stable);
        let members = self
            .members
            .iter()
            .map(|(id, member)| describe_member(id, member, protocol));
        DescribedGroup {
            group_id: self.id.clone(),
            group_state: Str::from_static(self.state.name()),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol_data: protocol.cloned().unwrap_or_default(),
            members: members.collect(),
            ..Default::default()
        }
    }
}

fn describe_member(id: &Str, member: &Member, protocol: Option<&Str>) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: protocol.map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
        member_assignment: member.assignment.clone(),
    }
}
