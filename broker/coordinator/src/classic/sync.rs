//! SyncGroup.

use super::{
    Step,
    group::{ClassicGroup, GroupState},
    refused_sync,
};
use crate::{
    admission::check_group_id,
    groups::Groups,
    outcome::{Actions, Now, Reply, Ticket},
};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Str,
    messages::{SyncGroupRequest, SyncGroupResponse},
};
use std::collections::BTreeMap;

impl Groups {
    /// Decides a SyncGroup: the leader's brings the assignment, which is logged; the others' wait for it.
    pub fn handle_sync_group(&mut self, ticket: Ticket, request: &SyncGroupRequest, now: Now) -> Actions {
        let refusal = |error| Actions::reply(ticket, Reply::SyncGroup(refused_sync(error)));
        if let Err(error) = check_group_id(&request.group_id) {
            return refusal(error);
        }
        if self.consumer.contains_key(&request.group_id) {
            let synced = self.sync_in_consumer_group(request, now);
            let response = synced.unwrap_or_else(refused_sync);
            return Actions::reply(ticket, Reply::SyncGroup(response));
        }
        self.decide_in_group(&request.group_id, now, |group, step| group.sync(ticket, request, step))
            .unwrap_or_else(|| refusal(ErrorCode::UnknownMemberId))
    }
}

impl ClassicGroup {
    fn sync(&mut self, ticket: Ticket, request: &SyncGroupRequest, step: &mut Step<'_>) {
        if let Err(error) = self.check_sync(request) {
            return step.refuse_sync(ticket, error);
        }
        let member_id = &request.member_id;
        self.pending_syncs.remove(member_id);
        if self.pending_syncs.is_empty() {
            self.sync_deadline_ms = None;
        }
        let (is_stable, is_leader) = (self.state == GroupState::Stable, self.is_leader(member_id));
        let Some(member) = self.members.get_mut(member_id) else {
            return step.refuse_sync(ticket, ErrorCode::UnknownMemberId);
        };
        if is_stable {
            let assignment = member.assignment.clone();
            return step.reply(ticket, Reply::SyncGroup(self.assigned(assignment)));
        }
        if let Some(superseded) = member.awaiting_sync.replace(ticket) {
            step.refuse_sync(superseded, ErrorCode::RebalanceInProgress);
        }
        if is_leader {
            self.take_assignment(request, step);
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        if self.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            Err(ErrorCode::IllegalGeneration)
        } else if differ(request.protocol_type.as_ref(), self.protocol_type.as_ref())
            || differ(request.protocol_name.as_ref(), self.protocol_name.as_ref())
        {
            Err(ErrorCode::InconsistentGroupProtocol)
        } else if self.state == GroupState::PreparingRebalance {
            Err(ErrorCode::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    /// Logs what the leader gave to each member; a member that it left out gets nothing. Whoever waits is answered;
    /// the group is stable once the record is applied.
    fn take_assignment(&mut self, request: &SyncGroupRequest, step: &mut Step<'_>) {
        let given: BTreeMap<&Str, &Bytes> = request
            .assignments
            .iter()
            .map(|given| (&given.member_id, &given.assignment))
            .collect();
        let assignment = |id: &Str| given.get(id).copied().cloned().unwrap_or_default();
        self.state_timestamp_ms = Some(step.now.wall_ms);
        step.actions.records.push(self.to_record(|id, _| assignment(id)));
        let mut waiting = Vec::new();
        for (id, member) in &mut self.members {
            if let Some(ticket) = member.awaiting_sync.take() {
                waiting.push((ticket, assignment(id)));
                // Its silence was excused while it waited.
                member.heard(&self.id, id, step);
            }
        }
        for (ticket, assignment) in waiting {
            step.reply(ticket, Reply::SyncGroup(self.assigned(assignment)));
        }
    }

    fn assigned(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment,
            ..Default::default()
        }
    }
}

/// Whether both are known and not the same.
fn differ(said: Option<&Str>, known: Option<&Str>) -> bool {
    said.zip(known).is_some_and(|(said, known)| said != known)
}
