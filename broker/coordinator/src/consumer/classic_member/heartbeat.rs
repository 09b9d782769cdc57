//! Heartbeat of a classic member.

use super::{super::target, ClassicSender, ConsumerGroup, MemberState};
use crate::{cluster::ConsumerSettings, groups::Groups, outcome::Now};
use ottla_protocol::{ErrorCode, messages::HeartbeatRequest};

impl Groups {
    /// Decides a Heartbeat to a consumer group: it keeps the classic member in, and tells it when to rejoin.
    pub(crate) fn heartbeat_in_consumer_group(
        &mut self,
        request: &HeartbeatRequest,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let group_id = &request.group_id;
        let group = self.consumer.get(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let instance_id = request.group_instance_id.as_ref();
        let sender = group.classic_member(&request.member_id, instance_id, request.generation_id)?;
        let settings = self.cluster.consumer_settings(group_id);
        let must_rejoin = group.must_rejoin(&sender, settings, now);
        let session_timeout_ms = sender.classic.session_timeout_ms;
        self.keep_consumer_member(group_id, &request.member_id, session_timeout_ms, None, now);
        if must_rejoin {
            self.expect_rejoin(group_id, &request.member_id, now);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }
}

impl ConsumerGroup {
    /// Whether there is a step that the member can take now. That includes the computing of a target assignment, which
    /// a group may have no other member for.
    fn must_rejoin(&self, sender: &ClassicSender<'_>, settings: ConsumerSettings, now: Now) -> bool {
        let current = &sender.member.current;
        let is_target_due = self.group_epoch > self.assignment_epoch && target::is_due(self, settings, now);
        let is_free_to_go_on = || match current.state {
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits_for_others(sender.id, sender.member),
            MemberState::Stable | MemberState::Unknown(_) => false,
        };
        current.member_epoch < self.assignment_epoch || is_target_due || is_free_to_go_on()
    }
}
