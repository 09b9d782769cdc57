//! SyncGroup of a classic member.

use super::{
    super::{current::MemberState, embedded, partitions},
    ClassicSender, ConsumerGroup,
};
use crate::{classic::CONSUMER_PROTOCOL, groups::Groups, outcome::Now};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Str,
    messages::{SyncGroupRequest, SyncGroupResponse},
};

impl Groups {
    /// Decides a SyncGroup to a consumer group: the classic member is told what it has.
    pub(crate) fn sync_in_consumer_group(
        &mut self,
        request: &SyncGroupRequest,
        now: Now,
    ) -> Result<SyncGroupResponse, ErrorCode> {
        let group_id = &request.group_id;
        let group = self.consumer.get(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let instance_id = request.group_instance_id.as_ref();
        let sender = group.classic_member(&request.member_id, instance_id, request.generation_id)?;
        sender.check_protocol(request)?;
        if group.has_moved_on(&sender) {
            self.expect_rejoin(group_id, &request.member_id, now);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let assignment = self.assignment_of(&sender)?;
        let session_timeout_ms = sender.classic.session_timeout_ms;
        self.keep_consumer_member(group_id, &request.member_id, session_timeout_ms, None, now);
        self.has_synced(group_id, &request.member_id);
        Ok(SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
            ..Default::default()
        })
    }

    /// What the member has, in the version in which it subscribed.
    fn assignment_of(&self, sender: &ClassicSender<'_>) -> Result<Bytes, ErrorCode> {
        let said = sender
            .protocol()
            .and_then(|protocol| embedded::read_subscription(&protocol.metadata));
        let said = said.ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let assigned = partitions::without_epochs(&sender.member.current.assigned);
        Ok(embedded::write_assignment(&assigned, &said, self.cluster.as_ref()))
    }
}

impl ClassicSender<'_> {
    fn check_protocol(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        let is_type = |name: &Str| *name == CONSUMER_PROTOCOL;
        let is_name = |name: &Str| self.protocol().is_some_and(|protocol| protocol.name == *name);
        let is_same =
            request.protocol_type.as_ref().is_none_or(is_type) && request.protocol_name.as_ref().is_none_or(is_name);
        match is_same {
            true => Ok(()),
            false => Err(ErrorCode::InconsistentGroupProtocol),
        }
    }
}

impl ConsumerGroup {
    /// Whether the member must rejoin before it is told anything. One that is to give up partitions is told so first.
    fn has_moved_on(&self, sender: &ClassicSender<'_>) -> bool {
        let current = &sender.member.current;
        self.assignment_epoch > current.member_epoch && current.state != MemberState::UnrevokedPartitions
    }
}
