//! LeaveGroup.

use super::{
    Step,
    group::{ClassicGroup, GroupState},
};
use crate::{
    admission::check_group_id,
    groups::Groups,
    outcome::{Actions, Caller, Now, Reply, Ticket},
};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        LeaveGroupRequest, LeaveGroupResponse, leave_group_request::MemberIdentity,
        leave_group_response::MemberResponse,
    },
};

/// From this version on several members, also static ones, leave at once (KIP-345).
const BATCHED_FROM: i16 = 3;

impl Groups {
    /// Decides a LeaveGroup. Each member of a batch gets an answer of its own; those who could leave have left.
    pub fn handle_leave_group(
        &mut self,
        ticket: Ticket,
        request: &LeaveGroupRequest,
        caller: &Caller<'_>,
        now: Now,
    ) -> Actions {
        let is_batched = caller.version >= BATCHED_FROM;
        if let Err(error) = check_group_id(&request.group_id) {
            return Actions::reply(ticket, Reply::LeaveGroup(refused(error)));
        }
        let alone = [MemberIdentity {
            member_id: request.member_id.clone(),
            ..Default::default()
        }];
        let leaving: &[MemberIdentity] = if is_batched { &request.members } else { &alone };
        let mut verdicts = vec![Err(ErrorCode::UnknownMemberId); leaving.len()];
        let actions = match self.consumer.contains_key(&request.group_id) {
            true => self.remove_consumer_members(&request.group_id, leaving, &mut verdicts, now),
            false => self.decide_in_group(&request.group_id, now, |group, step| {
                verdicts = group.leave(leaving, step);
            }),
        };
        let mut actions = actions.unwrap_or_default();
        let response = if is_batched {
            batch_response(leaving, &verdicts)
        } else {
            refused(verdicts[0].err().unwrap_or(ErrorCode::None))
        };
        actions.replies.push((ticket, Reply::LeaveGroup(response)));
        actions
    }
}

fn refused(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse {
        error_code: error as i16,
        ..Default::default()
    }
}

fn batch_response(leaving: &[MemberIdentity], verdicts: &[Result<(), ErrorCode>]) -> LeaveGroupResponse {
    let member = |(identity, verdict): (&MemberIdentity, &Result<(), ErrorCode>)| MemberResponse {
        member_id: identity.member_id.clone(),
        group_instance_id: identity.group_instance_id.clone(),
        error_code: verdict.err().unwrap_or(ErrorCode::None) as i16,
    };
    LeaveGroupResponse {
        members: leaving.iter().zip(verdicts).map(member).collect(),
        ..Default::default()
    }
}

impl ClassicGroup {
    fn leave(&mut self, leaving: &[MemberIdentity], step: &mut Step<'_>) -> Vec<Result<(), ErrorCode>> {
        let verdicts: Vec<_> = leaving.iter().map(|identity| self.let_go(identity, step)).collect();
        if verdicts.iter().any(Result::is_ok) {
            self.on_members_gone(step);
        }
        verdicts
    }

    fn let_go(&mut self, identity: &MemberIdentity, step: &mut Step<'_>) -> Result<(), ErrorCode> {
        let instance_id = identity.group_instance_id.as_ref();
        let member_id: Str = if identity.member_id.is_empty() {
            // An administrator expels a static member by its instance id alone.
            let id = instance_id.and_then(|id| self.static_members.get(id));
            id.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else {
            identity.member_id.clone()
        };
        if !self.pending_joins.contains_key(&member_id) {
            self.check_member(&member_id, instance_id)?;
        }
        self.remove_member(&member_id, step);
        Ok(())
    }

    /// Goes on after members have been removed.
    pub(super) fn on_members_gone(&mut self, step: &mut Step<'_>) {
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(step),
            GroupState::PreparingRebalance => self.complete_join_if_ready(step),
            GroupState::Empty => {}
        }
    }
}
