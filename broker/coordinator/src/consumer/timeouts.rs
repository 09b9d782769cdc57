//! Members that are silent, or that do not give up partitions in time.

use super::{
    current::MemberState,
    group::ConsumerGroup,
    member::{MemberTimers, Revocation},
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
                let is_revoking = member.current.state == MemberState::UnrevokedPartitions;
                let timeout_ms = i64::from(member.subscription.rebalance_timeout_ms.max(0));
                let revocation = is_revoking.then_some(Revocation {
                    deadline_ms: now.monotonic_ms + timeout_ms,
                    member_epoch: member.current.member_epoch,
                });
                (group.id.clone(), id.clone(), revocation)
            })
            .collect();
        for (group_id, member_id, revocation) in members {
            let session_timeout_ms = self.cluster.consumer_settings(&group_id).session_timeout_ms;
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

    /// Whether a member had to give up partitions until `moment_ms` and has not.
    pub(crate) fn is_revocation_overdue(&self, group_id: &Str, member_id: &Str, moment_ms: i64) -> bool {
        let group = self.consumer.get(group_id);
        group.is_some_and(|group| group.is_revocation_overdue(member_id, moment_ms))
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
