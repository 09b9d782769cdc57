//! Members that are silent, or that do not give up partitions in time.

use super::{
    current::MemberState,
    group::ConsumerGroup,
    member::{Member, MemberTimers, Revocation},
};
use crate::{
    groups::Groups,
    outcome::Now,
    timers::{Look, Timer, Timers},
};
use ottla_protocol::Str;

impl Groups {
    /// Begins the session of a member anew, and sets or takes away the time it has to give up partitions; `None` leaves
    /// that as it is.
    pub(super) fn keep_consumer_member(
        &mut self,
        group_id: &Str,
        member_id: &Str,
        session_timeout_ms: i32,
        revocation: Option<Option<Revocation>>,
        now: Now,
    ) {
        let Some(group) = self.consumer.get_mut(group_id) else {
            return;
        };
        if !group.timers.contains_key(member_id) {
            group.timers.insert(member_id.clone(), MemberTimers::default());
        }
        let (group_id, Some(member)) = (&group.id, group.timers.get_mut(member_id)) else {
            return;
        };
        if let Some(at_ms) = member.session.set(now.monotonic_ms + i64::from(session_timeout_ms)) {
            let timer = Timer::Session {
                group: group_id.clone(),
                member: member_id.clone(),
            };
            self.timers.schedule(at_ms, timer);
        }
        if let Some(revocation) = revocation {
            member.revocation = revocation;
            schedule_revocation(&mut self.timers, group_id, member_id, revocation);
        }
    }

    /// Begins all timers of consumer groups after loading.
    pub(crate) fn start_consumer_timers(&mut self, now: Now) {
        let members: Vec<(Str, Str, Option<Revocation>)> = self
            .consumer
            .values()
            .flat_map(|group| group.members.iter().map(move |(id, member)| (group, id, member)))
            .map(|(group, id, member)| {
                // A classic member is given its time when it is told to rejoin.
                let is_revoking = member.current.state == MemberState::UnrevokedPartitions && !member.is_classic();
                let timeout_ms = i64::from(member.subscription.rebalance_timeout_ms.max(0));
                let revocation = is_revoking.then_some(Revocation {
                    deadline_ms: now.monotonic_ms + timeout_ms,
                    member_epoch: member.current.member_epoch,
                });
                (group.id.clone(), id.clone(), revocation)
            })
            .collect();
        for (group_id, member_id, revocation) in members {
            let member = self
                .consumer
                .get(&group_id)
                .and_then(|group| group.members.get(&member_id));
            let session_timeout_ms = member.map_or(0, |member| self.session_timeout_ms(&group_id, member));
            self.keep_consumer_member(&group_id, &member_id, session_timeout_ms, Some(revocation), now);
        }
    }

    /// Whether a member of a consumer group has been silent for too long at the moment `moment_ms`.
    pub(crate) fn is_consumer_session_over(&mut self, group_id: &Str, member_id: &Str, moment_ms: i64) -> bool {
        let group = self.consumer.get_mut(group_id);
        let Some(member) = group.and_then(|group| group.timers.get_mut(member_id)) else {
            return false;
        };
        match member.session.look(moment_ms) {
            Look::Stale => false,
            Look::Passed => true,
            Look::Later(at_ms) => {
                let timer = Timer::Session {
                    group: group_id.clone(),
                    member: member_id.clone(),
                };
                self.timers.schedule(at_ms, timer);
                false
            }
        }
    }

    /// Silence after which a member is removed: a classic one has said so itself.
    pub(super) fn session_timeout_ms(&self, group_id: &Str, member: &Member) -> i32 {
        match &member.subscription.classic {
            Some(classic) => classic.session_timeout_ms,
            None => self.cluster.consumer_settings(group_id).session_timeout_ms,
        }
    }

    /// Begins the time that a classic member has to rejoin, unless it runs.
    pub(super) fn expect_rejoin(&mut self, group_id: &Str, member_id: &Str, now: Now) {
        let Some(group) = self.consumer.get_mut(group_id) else {
            return;
        };
        let (Some(member), Some(timers)) = (group.members.get(member_id), group.timers.get_mut(member_id)) else {
            return;
        };
        if timers.rejoin_ms.is_none() {
            let at_ms = now.monotonic_ms + i64::from(member.subscription.rebalance_timeout_ms.max(0));
            timers.rejoin_ms = Some(at_ms);
            let (group, member) = (group_id.clone(), member_id.clone());
            self.timers.schedule(at_ms, Timer::Rejoin { group, member });
        }
    }

    /// A classic member has joined and has `rebalance_timeout_ms` to ask for its assignment.
    pub(super) fn expect_sync(&mut self, group_id: &Str, member_id: &Str, rebalance_timeout_ms: i32, now: Now) {
        let group = self.consumer.get_mut(group_id);
        let Some(timers) = group.and_then(|group| group.timers.get_mut(member_id)) else {
            return;
        };
        let at_ms = now.monotonic_ms + i64::from(rebalance_timeout_ms.max(0));
        timers.rejoin_ms = None;
        timers.sync_ms = Some(at_ms);
        let (group, member) = (group_id.clone(), member_id.clone());
        self.timers.schedule(at_ms, Timer::MemberSync { group, member });
    }

    /// A classic member has asked for its assignment.
    pub(super) fn has_synced(&mut self, group_id: &Str, member_id: &Str) {
        let group = self.consumer.get_mut(group_id);
        if let Some(timers) = group.and_then(|group| group.timers.get_mut(member_id)) {
            timers.sync_ms = None;
        }
    }

    /// A member speaks the consumer protocol: it neither rejoins nor syncs.
    pub(super) fn expect_nothing_classic(&mut self, group_id: &Str, member_id: &Str) {
        let group = self.consumer.get_mut(group_id);
        if let Some(timers) = group.and_then(|group| group.timers.get_mut(member_id)) {
            timers.rejoin_ms = None;
            timers.sync_ms = None;
        }
    }

    /// Whether a member had until `moment_ms` for what `timer` stands for, and has not done it.
    pub(crate) fn is_member_overdue(&self, timer: &Timer, moment_ms: i64) -> bool {
        let (Timer::Revocation { group, member }
        | Timer::Rejoin { group, member }
        | Timer::MemberSync { group, member }) = timer
        else {
            return false;
        };
        let Some(group) = self.consumer.get(group) else {
            return false;
        };
        let Some(timers) = group.timers.get(member) else {
            return false;
        };
        match timer {
            Timer::Rejoin { .. } => timers.rejoin_ms == Some(moment_ms),
            Timer::MemberSync { .. } => timers.sync_ms == Some(moment_ms),
            _ => group.is_revocation_overdue(member, moment_ms),
        }
    }
}

impl ConsumerGroup {
    fn is_revocation_overdue(&self, member_id: &Str, moment_ms: i64) -> bool {
        let timers = self.timers.get(member_id);
        let revocation = timers.and_then(|timers| timers.revocation);
        let member = self.members.get(member_id);
        revocation.zip(member).is_some_and(|(revocation, member)| {
            revocation.deadline_ms == moment_ms && revocation.member_epoch == member.current.member_epoch
        })
    }
}

fn schedule_revocation(timers: &mut Timers, group_id: &Str, member_id: &Str, revocation: Option<Revocation>) {
    if let Some(revocation) = revocation {
        let timer = Timer::Revocation {
            group: group_id.clone(),
            member: member_id.clone(),
        };
        timers.schedule(revocation.deadline_ms, timer);
    }
}
