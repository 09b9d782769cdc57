//! The return of a static member (KIP-345): it comes without a member id and takes the place of its former self.

use super::{
    Step,
    group::{ClassicGroup, GroupState},
    join::Join,
    member::Member,
};
use crate::{outcome::Reply, timers::Deadline};
use ottla_protocol::{ErrorCode, Str, messages::JoinGroupResponse};

/// From this version on a returning leader learns the members, and that it need not assign (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

impl ClassicGroup {
    /// Puts `member_id` in the place of `former`, who is fenced from now on. A stable group stays stable, unless the
    /// newcomer changes which protocol would be chosen.
    pub(super) fn replace_static_member(&mut self, former: &Str, member_id: Str, join: &Join<'_>, step: &mut Step<'_>) {
        let former_leader = self.leader.clone();
        self.rename_member(former, &member_id, step);
        self.update_member(&member_id, join, step);
        match self.state {
            GroupState::Stable if self.select_protocol() == self.protocol_name => {
                self.take_back(&member_id, former_leader, join, step);
            }
            // The leader may be assigning to the former id at this moment, so all must join anew.
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(step),
            GroupState::Empty | GroupState::PreparingRebalance => self.complete_join_if_ready(step),
        }
    }

    fn rename_member(&mut self, former: &Str, member_id: &Str, step: &mut Step<'_>) {
        let Some(mut member) = self.members.remove(former) else {
            return;
        };
        if let Some(ticket) = self.take_awaited_join(&mut member) {
            step.refuse_join(ticket, former, ErrorCode::FencedInstanceId);
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            step.refuse_sync(ticket, ErrorCode::FencedInstanceId);
        }
        if self.is_leader(former) {
            self.leader = Some(member_id.clone());
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        if self.pending_syncs.remove(former) {
            self.pending_syncs.insert(member_id.clone());
        }
        let mut member = Member {
            is_new: false,
            session: Deadline::default(),
            ..member
        };
        member.heard(&self.id, member_id, step);
        self.members.insert(member_id.clone(), member);
    }

    /// Answers at once with the running generation, and logs the new id.
    fn take_back(&mut self, member_id: &Str, former_leader: Option<Str>, join: &Join<'_>, step: &mut Step<'_>) {
        step.actions
            .records
            .push(self.to_record(|_, member| member.assignment.clone()));
        let is_leader = self.is_leader(member_id);
        let response = if join.caller.version >= SKIP_ASSIGNMENT_FROM {
            JoinGroupResponse {
                skip_assignment: is_leader,
                ..self.joined(member_id)
            }
        } else {
            // An old client that finds itself leader would assign; so the former leader's id is named, which is its
            // own former id if it led, and it goes on as a follower.
            JoinGroupResponse {
                leader: former_leader.unwrap_or_default(),
                members: Vec::new(),
                ..self.joined(member_id)
            }
        };
        let Some(mut member) = self.members.remove(member_id) else {
            return;
        };
        if let Some(ticket) = self.take_awaited_join(&mut member) {
            step.reply(ticket, Reply::JoinGroup(response));
        }
        self.members.insert(member_id.clone(), member);
    }
}
