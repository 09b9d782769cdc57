//! ConsumerGroupHeartbeat.

use super::{
    World,
    current::{CurrentAssignment, LEAVE_STATIC_EPOCH, MemberState},
    group::ConsumerGroup,
    member::Revocation,
    partitions,
    refusal::Refusal,
    settle::Settled,
    update::{Draft, updated},
    validate::{self, LEAVE_EPOCH},
};
use crate::{
    GroupsConfig,
    groups::Groups,
    outcome::{Actions, Caller, Now, Reply, Ticket},
};
use ottla_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, consumer_group_heartbeat_response::Assignment,
};

/// What a heartbeat leads to.
struct Beat {
    settled: Settled,
    response: ConsumerGroupHeartbeatResponse,
    session_timeout_ms: i32,
}

/// Whether a ConsumerGroupHeartbeat makes sense whatever the group's state.
///
/// # Errors
/// The answer.
pub fn check_consumer_group_heartbeat(
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
    config: &GroupsConfig,
) -> Result<(), Box<ConsumerGroupHeartbeatResponse>> {
    validate::check(request, version, config).map_err(|refusal| Box::new(refused(refusal)))
}

impl Groups {
    /// Decides a ConsumerGroupHeartbeat: a member joins (epoch 0), stays, leaves (-1) or, if it is static, goes away
    /// for a while (-2). The answer says what it has from now on.
    pub fn handle_consumer_group_heartbeat(
        &mut self,
        ticket: Ticket,
        request: &ConsumerGroupHeartbeatRequest,
        caller: &Caller<'_>,
        now: Now,
    ) -> Actions {
        let mut actions = Actions::default();
        let decided = match request.member_epoch {
            LEAVE_EPOCH | LEAVE_STATIC_EPOCH => self.consumer_leave(request, caller, now, &mut actions),
            _ => self.consumer_heartbeat(request, caller, now, &mut actions),
        };
        let response = decided.unwrap_or_else(refused);
        actions.replies.push((ticket, Reply::ConsumerGroupHeartbeat(response)));
        self.decided(actions)
    }

    fn consumer_heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        caller: &Caller<'_>,
        now: Now,
        actions: &mut Actions,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        validate::check(request, caller.version, &self.config)?;
        let request = &*validate::in_full(request);
        let beginning = self.beginning(&request.group_id, request.member_epoch == 0)?;
        let beat = self.beat(
            beginning.as_ref().map(|beginning| &beginning.group),
            request,
            caller,
            now,
        )?;
        if let Some(beginning) = beginning {
            self.begin_consumer_group(beginning, now, actions);
        }
        let timeout_ms = beat.settled.rebalance_timeout_ms;
        let revocation = revocation(beat.settled.next.as_ref(), timeout_ms, now);
        let member_id = beat.settled.member_id.clone();
        self.keep_settled(&request.group_id, beat.settled, actions);
        self.keep_consumer_member(&request.group_id, &member_id, beat.session_timeout_ms, revocation, now);
        self.expect_nothing_classic(&request.group_id, &member_id);
        Ok(beat.response)
    }

    fn beat(
        &mut self,
        new_group: Option<&ConsumerGroup>,
        request: &ConsumerGroupHeartbeatRequest,
        caller: &Caller<'_>,
        now: Now,
    ) -> Result<Beat, Refusal> {
        let group = new_group
            .or_else(|| self.consumer.get(&request.group_id))
            .ok_or_else(|| Refusal::group_not_found(&request.group_id))?;
        let mut world = World {
            settings: self.cluster.consumer_settings(&group.id),
            config: &self.config,
            cluster: self.cluster.as_ref(),
            hashes: &mut self.topic_hashes,
            now,
        };
        group.beat(request, caller, &mut world)
    }
}

impl ConsumerGroup {
    fn beat(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        caller: &Caller<'_>,
        world: &mut World<'_>,
    ) -> Result<Beat, Refusal> {
        let sender = self.sender(request, || caller.fresh_member_id.to_string().into(), world)?;
        let before = sender.member.current.clone();
        let subscription = updated(&sender.member.subscription, request, caller);
        let mut draft = Draft::new(self, sender, subscription);
        draft.update(world)?;
        let settled = draft.settle(request.topic_partitions.as_deref(), world);
        let current = settled.next.as_ref().unwrap_or(&before);
        let is_told = request.member_epoch == 0 || is_full(request) || current.assigned != before.assigned;
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(settled.member_id.clone()),
            member_epoch: current.member_epoch,
            heartbeat_interval_ms: settled.progress.heartbeat_interval_ms(world.settings),
            assignment: is_told.then(|| {
                Box::new(Assignment {
                    topic_partitions: partitions::to_response(&current.assigned),
                })
            }),
            ..Default::default()
        };
        Ok(Beat {
            settled,
            response,
            session_timeout_ms: world.settings.session_timeout_ms,
        })
    }
}

/// Until when the member must have given up what it shall not have. `None`: nothing changed; `Some(None)`: no more.
fn revocation(next: Option<&CurrentAssignment>, rebalance_timeout_ms: i32, now: Now) -> Option<Option<Revocation>> {
    next.map(|next| {
        (next.state == MemberState::UnrevokedPartitions).then(|| Revocation {
            deadline_ms: now.monotonic_ms + i64::from(rebalance_timeout_ms.max(0)),
            member_epoch: next.member_epoch,
        })
    })
}

/// Whether the request says all there is to say: its member wants to be told what it has.
fn is_full(request: &ConsumerGroupHeartbeatRequest) -> bool {
    request.rebalance_timeout_ms != -1
        && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
        && request.topic_partitions.is_some()
}

pub(super) fn refused(refusal: Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: refusal.code as i16,
        error_message: Some(refusal.message),
        ..Default::default()
    }
}
