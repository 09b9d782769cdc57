//! ConsumerGroupHeartbeat.

use super::{
    World,
    current::{CurrentAssignment, LEAVE_STATIC_EPOCH, MemberState},
    group::ConsumerGroup,
    member::Revocation,
    partitions,
    reconcile::Step,
    refusal::Refusal,
    update::Draft,
    validate::{self, LEAVE_EPOCH},
};
use crate::{
    CoordinatorRecord, GroupsConfig,
    groups::Groups,
    outcome::{Actions, Caller, Now, Reply, Ticket},
};
use ottla_protocol::{
    Str,
    ids::Uuid,
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, consumer_group_heartbeat_response::Assignment,
    },
};

/// What a heartbeat leads to.
pub(super) struct Beat {
    pub(super) records: Vec<CoordinatorRecord>,
    pub(super) response: ConsumerGroupHeartbeatResponse,
    pub(super) member_id: Str,
    /// The id that the static member had so far.
    pub(super) replaced: Option<Str>,
    /// What the member has afterwards, if that is something else than before.
    pub(super) next: Option<CurrentAssignment>,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// The view of the cluster that the group has taken into account.
    pub(super) seen_version: Option<i64>,
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
        let decided = match request.member_epoch {
            LEAVE_EPOCH | LEAVE_STATIC_EPOCH => self.consumer_leave(request, caller),
            _ => self.consumer_heartbeat(request, caller, now),
        };
        let (records, response) = decided.unwrap_or_else(|refusal| (Vec::new(), refused(refusal)));
        self.decided(Actions {
            records,
            replies: vec![(ticket, Reply::ConsumerGroupHeartbeat(response))],
        })
    }

    fn consumer_heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        caller: &Caller<'_>,
        now: Now,
    ) -> Result<(Vec<CoordinatorRecord>, ConsumerGroupHeartbeatResponse), Refusal> {
        validate::check(request, caller.version, &self.config)?;
        self.check_consumer_group(&request.group_id, request.member_epoch == 0)?;
        let new_group = match self.consumer.contains_key(&request.group_id) {
            true => None,
            false => Some(ConsumerGroup::new(request.group_id.detached())),
        };
        let beat = self.beat(new_group.as_ref(), request, caller, now)?;
        let mut records = new_group.map_or_else(Vec::new, |group| self.begin_consumer_group(group));
        records.extend(beat.records);
        if let Some(group) = self.consumer.get_mut(&request.group_id) {
            group.seen_version = beat.seen_version;
            if let Some(replaced) = &beat.replaced {
                group.timers.remove(replaced);
            }
        }
        let revocation = revocation(beat.next.as_ref(), beat.rebalance_timeout_ms, now);
        let session_timeout_ms = beat.session_timeout_ms;
        self.keep_consumer_member(&request.group_id, &beat.member_id, session_timeout_ms, revocation, now);
        Ok((records, beat.response))
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
        let mut draft = Draft::new(self, sender, request, caller);
        draft.update(world)?;
        let (target_epoch, target) = draft.target(world);
        let next = draft.reconcile(request, target_epoch, &target, world);
        if let Some(next) = &next {
            let record = next.to_record(&self.id, &draft.sender.id);
            draft.records.push(record);
        }
        let before = &draft.sender.member.current;
        let current = next.as_ref().unwrap_or(before);
        let is_told = request.member_epoch == 0 || is_full(request) || current.assigned != before.assigned;
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(draft.sender.id.clone()),
            member_epoch: current.member_epoch,
            heartbeat_interval_ms: world.settings.heartbeat_interval_ms,
            assignment: is_told.then(|| {
                Box::new(Assignment {
                    topic_partitions: partitions::to_response(&current.assigned),
                })
            }),
            ..Default::default()
        };
        Ok(Beat {
            response,
            seen_version: match draft.has_seen_cluster {
                true => Some(world.cluster.version()),
                false => self.seen_version,
            },
            rebalance_timeout_ms: draft.subscription.rebalance_timeout_ms,
            session_timeout_ms: world.settings.session_timeout_ms,
            replaced: draft.sender.replaced.cloned(),
            records: draft.records,
            member_id: draft.sender.id,
            next,
        })
    }
}

impl Draft<'_> {
    fn reconcile(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        target_epoch: i32,
        target: &partitions::Partitions,
        world: &World<'_>,
    ) -> Option<CurrentAssignment> {
        let current = &self.sender.member.current;
        if !self.is_subscription_changed && current.is_reconciled_to(target_epoch) {
            return None;
        }
        let resolved = self.subscription.regex().and_then(|regex| self.regexes.get(regex));
        let is_subscribed = |topic: Uuid| {
            world.cluster.topic_name(topic).is_some_and(|name| {
                self.subscription.topic_names.contains(&name)
                    || resolved.is_some_and(|resolved| resolved.topics.contains(&name))
            })
        };
        let is_free = |topic: Uuid, partition: i32| {
            let owner = self.group.owners.get(&(topic, partition));
            #[cfg(test)]
            let owner = owner.filter(|_| !world.config.gives_early);
            owner.is_none_or(|owner| *owner == self.sender.id || Some(owner) == self.sender.replaced)
        };
        let step = Step {
            target_epoch,
            target,
            is_subscription_changed: self.is_subscription_changed,
            reported: request.topic_partitions.as_deref(),
            is_subscribed: &is_subscribed,
            is_free: &is_free,
        };
        step.take(current)
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
