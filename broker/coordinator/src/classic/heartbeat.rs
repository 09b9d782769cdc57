//! Heartbeat.

use super::{
    Step,
    group::{ClassicGroup, GroupState},
};
use crate::{
    admission::check_group_id,
    groups::Groups,
    outcome::{Actions, Now, Reply, Ticket},
};
use ottla_protocol::{
    ErrorCode,
    messages::{HeartbeatRequest, HeartbeatResponse},
};

impl Groups {
    /// Decides a Heartbeat: it keeps the member in, and tells it when to join again.
    pub fn handle_heartbeat(&mut self, ticket: Ticket, request: &HeartbeatRequest, now: Now) -> Actions {
        let mut verdict = check_group_id(&request.group_id).and(Err(ErrorCode::UnknownMemberId));
        if self.consumer.contains_key(&request.group_id) {
            verdict = self.heartbeat_in_consumer_group(request, now);
        } else if verdict != Err(ErrorCode::InvalidGroupId) {
            let _ = self.decide_in_group(&request.group_id, now, |group, step| {
                verdict = group.heartbeat(request, step)
            });
        }
        let response = HeartbeatResponse {
            error_code: verdict.err().unwrap_or(ErrorCode::None) as i16,
            ..Default::default()
        };
        Actions::reply(ticket, Reply::Heartbeat(response))
    }
}

impl ClassicGroup {
    fn heartbeat(&mut self, request: &HeartbeatRequest, step: &mut Step<'_>) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.member_was_heard(&request.member_id, step);
        if self.state == GroupState::PreparingRebalance {
            Err(ErrorCode::RebalanceInProgress)
        } else {
            // Also while the assignment is awaited: clients begin to beat as soon as they have joined.
            Ok(())
        }
    }
}
