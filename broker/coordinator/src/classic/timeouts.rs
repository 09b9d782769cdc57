//! Members that are silent or do not fetch their assignment.

use super::{
    Step,
    group::{ClassicGroup, GroupState},
    member::Member,
};
use crate::timers::{Look, Timer};
use ottla_protocol::{ErrorCode, Str};

impl Member {
    /// Its session begins anew.
    pub(super) fn heard(&mut self, group: &Str, member: &Str, step: &mut Step<'_>) {
        self.keep(i64::from(self.session_timeout_ms), group, member, step);
    }

    /// It stays for `timeout_ms` from now on without being heard of.
    pub(super) fn keep(&mut self, timeout_ms: i64, group: &Str, member: &Str, step: &mut Step<'_>) {
        if let Some(at_ms) = self.session.set(step.now.monotonic_ms + timeout_ms) {
            let (group, member) = (group.clone(), member.clone());
            step.timers.schedule(at_ms, Timer::Session { group, member });
        }
    }
}

impl ClassicGroup {
    /// Begins the session of `member_id` anew, if it is a member.
    pub(crate) fn member_was_heard(&mut self, member_id: &Str, step: &mut Step<'_>) {
        if let Some((id, member)) = self.members.range_mut(member_id.clone()..=member_id.clone()).next() {
            member.heard(&self.id, id, step);
        }
    }

    /// Expels a member, or takes back an id that was handed out, if its time is over at the moment `moment_ms`.
    pub(crate) fn on_session_deadline(&mut self, member_id: &Str, moment_ms: i64, step: &mut Step<'_>) {
        let pending = self.pending_joins.get_mut(member_id);
        let look = match (pending, self.members.get_mut(member_id)) {
            (Some(deadline), _) => deadline.look(moment_ms),
            (None, Some(member)) => member.session.look(moment_ms),
            (None, None) => Look::Stale,
        };
        match look {
            Look::Stale => {}
            Look::Later(at_ms) => {
                let (group, member) = (self.id.clone(), member_id.clone());
                step.timers.schedule(at_ms, Timer::Session { group, member });
            }
            Look::Passed if self.members.get(member_id).is_some_and(Member::is_excused) => {}
            Look::Passed => self.expel(member_id, step),
        }
    }

    fn expel(&mut self, member_id: &Str, step: &mut Step<'_>) {
        let was_member = self.members.contains_key(member_id);
        self.remove_member(member_id, step);
        if was_member {
            self.on_members_gone(step);
        } else {
            self.complete_join_if_ready(step);
        }
    }

    /// Expels those who joined and did not ask for their assignment in time.
    pub(crate) fn on_sync_deadline(&mut self, moment_ms: i64, step: &mut Step<'_>) {
        if self.sync_deadline_ms != Some(moment_ms) {
            return;
        }
        self.sync_deadline_ms = None;
        let silent = std::mem::take(&mut self.pending_syncs);
        for member_id in &silent {
            self.remove_member(member_id, step);
        }
        if !silent.is_empty() {
            self.on_members_gone(step);
        }
    }

    /// Answers everybody who waits with `error`: this coordinator is no longer in charge.
    pub(crate) fn fail_all(&mut self, error: ErrorCode, step: &mut Step<'_>) {
        for (id, member) in &mut self.members {
            if let Some(ticket) = member.awaiting_join.take() {
                self.awaiting_joins -= 1;
                step.refuse_join(ticket, id, error);
            }
            if let Some(ticket) = member.awaiting_sync.take() {
                step.refuse_sync(ticket, error);
            }
        }
    }

    /// Begins all sessions after the group was loaded, and shrinks a group that is over the limit.
    pub(crate) fn on_loaded(&mut self, step: &mut Step<'_>) {
        for (id, member) in &mut self.members {
            member.heard(&self.id, id, step);
        }
        if self.state == GroupState::Stable && self.members.len() > step.config.max_size {
            self.prepare_rebalance(step);
        }
    }
}
