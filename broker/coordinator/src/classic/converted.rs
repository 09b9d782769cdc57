//! A classic group that takes the place of a consumer group.

use super::{
    Step,
    group::{CONSUMER_PROTOCOL, ClassicGroup, GroupState},
    member::Member,
};
use ottla_protocol::{Str, ids::TimestampMs};
use std::collections::BTreeMap;

impl ClassicGroup {
    /// A stable group of consumers, in `generation`; `None` if no protocol suits them all.
    pub(crate) fn of_members(
        id: Str,
        generation: i32,
        members: BTreeMap<Str, Member>,
        now_ms: TimestampMs,
    ) -> Option<Self> {
        let mut group = Self::new(id, Some(now_ms));
        group.generation = generation;
        for (member_id, member) in members {
            group.add_member(member_id, member, &Str::from_static(CONSUMER_PROTOCOL));
        }
        group.protocol_name = Some(group.select_protocol()?);
        group.state = GroupState::Stable;
        group.learn_subscribed_topics();
        Some(group)
    }

    /// The sessions of all members begin, and a rebalance if one is due.
    pub(crate) fn begin(&mut self, is_rebalance_due: bool, step: &mut Step<'_>) {
        for (id, member) in &mut self.members {
            member.heard(&self.id, id, step);
        }
        if is_rebalance_due {
            self.prepare_rebalance(step);
        }
    }

    /// The protocol of the generation, if all still speak it; else the one that the next would have.
    pub(crate) fn agreed_protocol(&self) -> Option<Str> {
        let running = self.protocol_name.clone();
        let running = running.filter(|name| self.is_spoken_by_all(name));
        running.or_else(|| self.select_protocol())
    }
}
