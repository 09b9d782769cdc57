//! JoinGroup.

use super::{
    Step,
    group::{ClassicGroup, GroupState},
    member::{Member, offered_protocols},
    refused_join,
};
use crate::{
    admission::check_join_group,
    config::{
        MAX_MEMBER_METADATA_BYTES, MAX_NAME_BYTES, MAX_PENDING_MEMBERS, MAX_PROTOCOLS, NEW_MEMBER_JOIN_TIMEOUT_MS,
    },
    consumer::ConsumerGroup,
    groups::Groups,
    outcome::{Actions, Caller, Now, Reply, Ticket},
    timers::{Deadline, Timer},
};
use ottla_protocol::{ErrorCode, Str, messages::JoinGroupRequest};

/// From this version on a member must join with the id it was given (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;

/// A JoinGroup under way.
pub(crate) struct Join<'a> {
    pub(crate) ticket: Ticket,
    pub(crate) request: &'a JoinGroupRequest,
    pub(crate) caller: &'a Caller<'a>,
}

impl Join<'_> {
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        if self.request.rebalance_timeout_ms < 0 {
            // Version 0 knows one time-out only.
            self.request.session_timeout_ms
        } else {
            self.request.rebalance_timeout_ms
        }
    }

    /// Whether the member must come again with an id that it is given now.
    pub(crate) fn requires_known_id(&self) -> bool {
        let request = self.request;
        let has_id = !request.member_id.is_empty() || request.group_instance_id.is_some();
        !has_id && self.caller.version >= MEMBER_ID_REQUIRED_FROM
    }

    /// The id of a member that has none: what it calls itself, and a random part.
    fn fresh_member_id(&self) -> Str {
        let prefix = match &self.request.group_instance_id {
            Some(instance_id) => instance_id.as_str(),
            None => self.caller.client_id,
        };
        let digits = u128::from_be_bytes(self.caller.fresh_member_id.0);
        let hex = format!("{digits:032x}");
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        Str::from(format!("{prefix}-{a}-{b}-{c}-{d}-{e}"))
    }
}

impl Groups {
    /// Decides a JoinGroup. It is answered now if it is refused or the member is up to date, and otherwise when the
    /// group's next generation begins.
    pub fn handle_join_group(
        &mut self,
        ticket: Ticket,
        request: &JoinGroupRequest,
        caller: &Caller<'_>,
        now: Now,
    ) -> Actions {
        let refusal = |error| Actions::reply(ticket, Reply::JoinGroup(refused_join(&request.member_id, error)));
        if let Err(error) = self.check_join(request, caller) {
            return refusal(error);
        }
        let join = Join {
            ticket,
            request,
            caller,
        };
        let consumer_group = self.consumer.get(&request.group_id);
        if consumer_group.is_some_and(|group| !group.is_empty()) {
            return self.join_consumer_group(&join, now);
        }
        let is_new_group = !self.classic.contains_key(&request.group_id);
        if is_new_group && !request.member_id.is_empty() {
            return refusal(ErrorCode::UnknownMemberId);
        }
        if is_new_group {
            return self.join_new_group(&join, now);
        }
        self.decide_in_group(&request.group_id, now, |group, step| group.join(&join, step))
            .unwrap_or_else(|| refusal(ErrorCode::UnknownMemberId))
    }

    fn check_join(&self, request: &JoinGroupRequest, caller: &Caller<'_>) -> Result<(), ErrorCode> {
        check_join_group(request, &self.config)?;
        let names = [
            request.protocol_type.len(),
            caller.client_id.len(),
            caller.client_host.len(),
        ];
        let instance = request.group_instance_id.as_ref().map_or(0, |id| id.len());
        let protocols = request.protocols.iter();
        let metadata_bytes: usize = protocols
            .map(|protocol| protocol.name.len() + protocol.metadata.len())
            .sum();
        if request.protocols.len() > MAX_PROTOCOLS {
            Err(ErrorCode::InconsistentGroupProtocol)
        } else if names.into_iter().any(|bytes| bytes > MAX_NAME_BYTES)
            || instance > MAX_NAME_BYTES
            || request
                .protocols
                .iter()
                .any(|protocol| protocol.name.len() > MAX_NAME_BYTES)
            || metadata_bytes > MAX_MEMBER_METADATA_BYTES
        {
            Err(ErrorCode::InvalidRequest)
        } else {
            Ok(())
        }
    }

    /// The group is kept, and logged, only if it took the member in.
    fn join_new_group(&mut self, join: &Join<'_>, now: Now) -> Actions {
        let mut group = ClassicGroup::new(join.request.group_id.detached(), Some(now.wall_ms));
        let first_record = group.to_first_record();
        let mut actions = Actions::default();
        group.join(join, &mut self.step(now, &mut actions));
        if !group.members.is_empty() || !group.pending_joins.is_empty() {
            // A consumer group without members makes way.
            let former = self.consumer.remove(&join.request.group_id);
            let tombstones = former.iter().flat_map(ConsumerGroup::tombstones);
            actions.records.extend(tombstones);
            actions.records.push(first_record);
            self.classic.insert(group.id.clone(), group);
        }
        self.decided(actions)
    }
}

impl ClassicGroup {
    fn join(&mut self, join: &Join<'_>, step: &mut Step<'_>) {
        let Join { ticket, request, .. } = *join;
        let member_id = &request.member_id;
        let names = request.protocols.iter().map(|protocol| &protocol.name);
        if !self.has_room_for(member_id, step.config.max_size) {
            self.remove_member(member_id, step);
            step.refuse_join(ticket, &Str::EMPTY, ErrorCode::GroupMaxSizeReached);
        } else if !self.supports(&request.protocol_type, names) {
            step.refuse_join(ticket, member_id, ErrorCode::InconsistentGroupProtocol);
        } else if member_id.is_empty() {
            self.join_first_time(join, step);
        } else if self.pending_joins.contains_key(member_id) {
            self.join_with_given_id(join, step);
        } else if let Err(error) = self.check_member(member_id, request.group_instance_id.as_ref()) {
            step.refuse_join(ticket, member_id, error);
        } else {
            self.rejoin(join, step);
        }
    }

    /// Members that are in stay in; while a rebalance runs they count once they have joined, so that the last to come
    /// are turned away if the limit was lowered.
    fn has_room_for(&self, member_id: &Str, max_size: usize) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some()) || self.awaiting_joins < max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => member.is_some() || self.members.len() < max_size,
        }
    }

    fn join_first_time(&mut self, join: &Join<'_>, step: &mut Step<'_>) {
        let member_id = join.fresh_member_id();
        let instance_id = join.request.group_instance_id.as_ref();
        let former = instance_id.and_then(|id| self.static_members.get(id)).cloned();
        if let Some(former) = former {
            self.replace_static_member(&former, member_id, join, step);
        } else if join.requires_known_id() {
            self.hand_out_id(member_id, join, step);
        } else {
            self.add_joining_member(member_id, join, step);
        }
    }

    /// Has the client come again with the id, so that a lost answer leaves no dead member behind (KIP-394).
    fn hand_out_id(&mut self, member_id: Str, join: &Join<'_>, step: &mut Step<'_>) {
        if self.pending_joins.len() >= MAX_PENDING_MEMBERS {
            return step.refuse_join(join.ticket, &Str::EMPTY, ErrorCode::GroupMaxSizeReached);
        }
        let mut deadline = Deadline::default();
        let timeout_ms = i64::from(join.request.session_timeout_ms);
        if let Some(at_ms) = deadline.set(step.now.monotonic_ms + timeout_ms) {
            let (group, member) = (self.id.clone(), member_id.clone());
            step.timers.schedule(at_ms, Timer::Session { group, member });
        }
        self.pending_joins.insert(member_id.clone(), deadline);
        step.refuse_join(join.ticket, &member_id, ErrorCode::MemberIdRequired);
    }

    fn join_with_given_id(&mut self, join: &Join<'_>, step: &mut Step<'_>) {
        let member_id = join.request.member_id.detached();
        if join.request.group_instance_id.is_some() {
            // Ids that wait to be used were given to dynamic members.
            return step.refuse_join(join.ticket, &member_id, ErrorCode::InvalidRequest);
        }
        self.add_joining_member(member_id, join, step);
    }

    fn add_joining_member(&mut self, member_id: Str, join: &Join<'_>, step: &mut Step<'_>) {
        let request = join.request;
        if let Some(delay) = &mut self.initial_delay {
            delay.member_added = true;
        }
        let mut member = Member {
            instance_id: request.group_instance_id.as_ref().map(Str::detached),
            client_id: Str::from(join.caller.client_id),
            client_host: Str::from(join.caller.client_host),
            rebalance_timeout_ms: join.rebalance_timeout_ms(),
            session_timeout_ms: request.session_timeout_ms,
            protocols: offered_protocols(&request.protocols),
            assignment: bytes::Bytes::new(),
            awaiting_join: Some(join.ticket),
            awaiting_sync: None,
            is_new: true,
            session: Deadline::default(),
        };
        // It cannot send heartbeats before it knows its id, and a client that hung up is not noticed here.
        member.keep(NEW_MEMBER_JOIN_TIMEOUT_MS, &self.id, &member_id, step);
        self.add_member(member_id, member, &request.protocol_type);
        self.rebalance(step);
    }

    /// A JoinGroup of a member: part of the running rebalance, a reason for one, or a repeated question.
    fn rejoin(&mut self, join: &Join<'_>, step: &mut Step<'_>) {
        let member_id = &join.request.member_id;
        let offered = offered_protocols(&join.request.protocols);
        let is_unchanged = self
            .members
            .get(member_id)
            .is_some_and(|member| member.protocols == offered);
        let is_up_to_date = match self.state {
            GroupState::CompletingRebalance => is_unchanged,
            // A leader rejoins to have partitions assigned anew, for reasons that its metadata does not show.
            GroupState::Stable => is_unchanged && !self.is_leader(member_id),
            GroupState::Empty | GroupState::PreparingRebalance => false,
        };
        if is_up_to_date {
            let response = self.joined(member_id);
            return step.reply(join.ticket, Reply::JoinGroup(response));
        }
        self.update_member(member_id, join, step);
        self.rebalance(step);
    }

    /// Takes over what a joining member says now. An older JoinGroup of it that still waits is superseded.
    pub(super) fn update_member(&mut self, member_id: &Str, join: &Join<'_>, step: &mut Step<'_>) {
        let Some(mut member) = self.members.remove(member_id) else {
            return;
        };
        if let Some(ticket) = self.take_awaited_join(&mut member) {
            step.refuse_join(ticket, member_id, ErrorCode::RebalanceInProgress);
        }
        self.discount_protocols(&member.protocols);
        member.protocols = offered_protocols(&join.request.protocols);
        self.count_protocols(&member.protocols);
        member.rebalance_timeout_ms = join.rebalance_timeout_ms();
        member.session_timeout_ms = join.request.session_timeout_ms;
        member.awaiting_join = Some(join.ticket);
        self.awaiting_joins += 1;
        self.members.insert(member_id.detached(), member);
    }
}
