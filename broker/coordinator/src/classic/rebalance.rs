//! From "somebody came or went" to a new generation.

use super::{
    Step,
    group::{ClassicGroup, GroupState, InitialDelay},
    member::Member,
};
use crate::{outcome::Reply, timers::Timer};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Str,
    messages::{JoinGroupResponse, join_group_response::JoinGroupResponseMember},
};

/// The shortest wait for static members of which none has come, whatever time-out they asked for.
const SHORTEST_WAIT_MS: i64 = 1_000;

impl ClassicGroup {
    /// Begins a rebalance, or goes on with the one that runs if this was what it waited for.
    pub(super) fn rebalance(&mut self, step: &mut Step<'_>) {
        if self.state == GroupState::PreparingRebalance {
            self.complete_join_if_ready(step);
        } else {
            self.prepare_rebalance(step);
        }
    }

    /// Calls all members to join. The group is not preparing yet.
    pub(super) fn prepare_rebalance(&mut self, step: &mut Step<'_>) {
        if self.state == GroupState::CompletingRebalance {
            self.abandon_assignment(step);
        }
        self.pending_syncs.clear();
        self.sync_deadline_ms = None;
        let is_initial = self.is_empty();
        self.transition(GroupState::PreparingRebalance, step);
        if is_initial {
            let delay_ms = i64::from(step.config.initial_rebalance_delay_ms);
            self.initial_delay = Some(InitialDelay {
                delay_ms,
                remaining_ms: (self.rebalance_timeout_ms() - delay_ms).max(0),
                member_added: false,
            });
            self.wait_for_joins(delay_ms, step);
        } else if self.have_all_joined() {
            self.complete_join(step);
        } else {
            self.wait_for_joins(self.rebalance_timeout_ms(), step);
        }
    }

    /// Sends those who wait for an assignment to join again.
    fn abandon_assignment(&mut self, step: &mut Step<'_>) {
        for (id, member) in &mut self.members {
            member.assignment = Bytes::new();
            if let Some(ticket) = member.awaiting_sync.take() {
                step.refuse_sync(ticket, ErrorCode::RebalanceInProgress);
                member.heard(&self.id, id, step);
            }
        }
    }

    fn wait_for_joins(&mut self, delay_ms: i64, step: &mut Step<'_>) {
        let deadline_ms = step.now.monotonic_ms + delay_ms;
        self.join_deadline_ms = Some(deadline_ms);
        let group = self.id.clone();
        step.timers.schedule(deadline_ms, Timer::Join { group });
    }

    /// Whether nobody is missing, nor anybody who was given an id a moment ago.
    pub(super) fn have_all_joined(&self) -> bool {
        self.awaiting_joins == self.members.len() && self.pending_joins.is_empty()
    }

    /// Ends the wait for members if nobody is missing; the initial delay is waited in any case.
    pub(super) fn complete_join_if_ready(&mut self, step: &mut Step<'_>) {
        let is_preparing = self.state == GroupState::PreparingRebalance;
        if is_preparing && self.initial_delay.is_none() && self.have_all_joined() {
            self.complete_join(step);
        }
    }

    /// The wait for members is over, or their initial delay: `moment_ms` is when the queue was to look.
    pub(crate) fn on_join_deadline(&mut self, moment_ms: i64, step: &mut Step<'_>) {
        if self.join_deadline_ms != Some(moment_ms) {
            return;
        }
        match self.initial_delay {
            Some(delay) if delay.member_added && delay.remaining_ms > 0 => {
                let next_ms = i64::from(step.config.initial_rebalance_delay_ms).min(delay.remaining_ms);
                self.initial_delay = Some(InitialDelay {
                    delay_ms: next_ms,
                    remaining_ms: (delay.remaining_ms - delay.delay_ms).max(0),
                    member_added: false,
                });
                self.wait_for_joins(next_ms, step);
            }
            _ => self.complete_join(step),
        }
    }

    /// Goes on with those who have joined: the others are expelled, but for static members, who keep their place until
    /// their session ends.
    pub(super) fn complete_join(&mut self, step: &mut Step<'_>) {
        self.join_deadline_ms = None;
        self.initial_delay = None;
        let is_absent = |member: &Member| member.awaiting_join.is_none() && member.instance_id.is_none();
        let absent = self.members.iter().filter(|(_, member)| is_absent(member));
        let absent: Vec<Str> = absent.map(|(id, _)| id.clone()).collect();
        for id in &absent {
            self.remove_member(id, step);
        }
        if self.members.is_empty() {
            self.become_empty(step);
        } else if self.elect_leader_that_joined() {
            self.begin_generation(step);
        } else {
            // Static members only, and none has come: wait until one does or their sessions end.
            self.wait_for_joins(self.rebalance_timeout_ms().max(SHORTEST_WAIT_MS), step);
        }
    }

    /// Whether the leader has joined, or another member that has now leads.
    fn elect_leader_that_joined(&mut self) -> bool {
        let has_joined = |member: &Member| member.awaiting_join.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(has_joined) {
            return true;
        }
        let next = self.members.iter().find(|(_, member)| has_joined(member));
        let next = next.map(|(id, _)| id.clone());
        let found = next.is_some();
        if found {
            self.leader = next;
        }
        found
    }

    fn raise_generation(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or(0);
    }

    fn become_empty(&mut self, step: &mut Step<'_>) {
        self.raise_generation();
        self.protocol_name = None;
        self.learn_subscribed_topics();
        self.pending_syncs.clear();
        self.transition(GroupState::Empty, step);
        step.actions.records.push(self.to_record(|_, _| Bytes::new()));
    }

    fn begin_generation(&mut self, step: &mut Step<'_>) {
        *step.rebalances += 1;
        self.raise_generation();
        self.protocol_name = self.select_protocol();
        assert!(
            self.protocol_name.is_some(),
            "group {} has no protocol that all speak",
            self.id
        );
        self.learn_subscribed_topics();
        self.transition(GroupState::CompletingRebalance, step);
        self.pending_syncs = self.members.keys().cloned().collect();
        self.answer_joins(step);
        let deadline_ms = step.now.monotonic_ms + self.rebalance_timeout_ms();
        self.sync_deadline_ms = Some(deadline_ms);
        let group = self.id.clone();
        step.timers.schedule(deadline_ms, Timer::Sync { group });
    }

    fn answer_joins(&mut self, step: &mut Step<'_>) {
        let mut tickets = Vec::with_capacity(self.members.len());
        for (id, member) in &mut self.members {
            member.is_new = false;
            member.heard(&self.id, id, step);
            if let Some(ticket) = member.awaiting_join.take() {
                self.awaiting_joins -= 1;
                tickets.push((ticket, id.clone()));
            }
        }
        for (ticket, id) in tickets {
            let response = self.joined(&id);
            step.reply(ticket, Reply::JoinGroup(response));
        }
    }

    /// The answer to a member that is in the current generation: the leader learns who the others are.
    pub(super) fn joined(&self, member_id: &Str) -> JoinGroupResponse {
        let members = if self.is_leader(member_id) {
            self.members_for_leader()
        } else {
            Vec::new()
        };
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.clone(),
            members,
            ..Default::default()
        }
    }

    fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.clone().unwrap_or_default();
        let member = |(id, member): (&Str, &Member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(&protocol),
        };
        self.members.iter().map(member).collect()
    }
}
