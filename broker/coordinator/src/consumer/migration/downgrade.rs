//! From consumer to classic: the last member of the consumer protocol goes, and classic ones are left.
//!
//! The generation is the group epoch, and the record has what each member was to have. Members in an earlier epoch are
//! thereby in an old generation, so nobody who counts has what another one has. A rebalance follows, unless a static
//! member only came back in the classic way.

use super::super::{
    embedded,
    group::ConsumerGroup,
    member::{Member, Subscription},
};
use crate::{
    CoordinatorRecord, GroupsConfig,
    classic::{ClassicGroup, ClassicMember},
    cluster::ClusterView,
    groups::Groups,
    outcome::{Actions, Now},
};
use ottla_protocol::Str;
use std::collections::{BTreeMap, BTreeSet};

/// A consumer group on its way to a classic one.
pub(in super::super) struct Downgrade {
    /// As the last of `records` has it.
    pub(in super::super) group: ClassicGroup,
    records: Vec<CoordinatorRecord>,
}

impl ConsumerGroup {
    /// The classic group that is left when `leaving` go; `None` if none is, or may be.
    pub(in super::super) fn downgrade_without(
        &self,
        leaving: &BTreeSet<Str>,
        config: &GroupsConfig,
        cluster: &dyn ClusterView,
        now: Now,
    ) -> Option<Downgrade> {
        let staying: Vec<_> = self.members.iter().filter(|(id, _)| !leaving.contains(*id)).collect();
        let is_someone_gone = staying.len() < self.members.len();
        let is_classic = staying.iter().all(|(_, member)| member.is_classic());
        if !is_someone_gone || staying.is_empty() || !is_classic || !may_downgrade(config, staying.len()) {
            return None;
        }
        let staying = staying
            .into_iter()
            .map(|(id, member)| (id, &member.subscription, id))
            .collect();
        self.downgrade(staying, cluster, now)
    }

    /// Whether the group becomes classic when the classic self of a static member takes the place of `replaced`.
    pub(in super::super) fn is_last_before(&self, replaced: &Str, config: &GroupsConfig) -> bool {
        let is_the_one = |(id, member): (&Str, &Member)| (id == replaced) != member.is_classic();
        self.members.iter().all(is_the_one) && may_downgrade(config, self.members.len())
    }

    /// The classic group of members that each say something of themselves and take over the target of a member, if what
    /// they say can be read.
    pub(in super::super) fn downgrade(
        &self,
        members: Vec<(&Str, &Subscription, &Str)>,
        cluster: &dyn ClusterView,
        now: Now,
    ) -> Option<Downgrade> {
        let sources: BTreeMap<&Str, &Str> = members.iter().map(|(id, _, source)| (*id, *source)).collect();
        let classic_members = members
            .iter()
            .map(|(id, subscription, _)| Some(((*id).clone(), classic_member(subscription)?)));
        let classic_members: Option<BTreeMap<Str, ClassicMember>> = classic_members.collect();
        let mut group = ClassicGroup::of_members(self.id.clone(), self.group_epoch, classic_members?, now.wall_ms)?;
        let protocol = group.protocol_name.clone()?;
        for (id, member) in &mut group.members {
            let said = embedded::read_subscription(&member.metadata(&protocol))?;
            let target = self.target_of(sources.get(id)?);
            member.assignment = embedded::write_assignment(&target, &said, cluster);
        }
        let mut records = self.tombstones();
        records.push(group.to_record(|_, member| member.assignment.clone()));
        Some(Downgrade { group, records })
    }
}

fn may_downgrade(config: &GroupsConfig, size: usize) -> bool {
    config.consumer_migration_policy.allows_downgrade() && size <= config.max_size
}

fn classic_member(subscription: &Subscription) -> Option<ClassicMember> {
    let classic = subscription.classic.as_ref()?;
    let protocols = classic.supported_protocols.iter();
    Some(ClassicMember {
        instance_id: subscription.instance_id.clone(),
        client_id: subscription.client_id.clone(),
        client_host: subscription.client_host.clone(),
        rebalance_timeout_ms: subscription.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: protocols
            .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
            .collect(),
        ..Default::default()
    })
}

impl Groups {
    /// Puts the classic group in the place of the consumer group, and begins what follows.
    pub(in super::super) fn begin_classic_group(
        &mut self,
        downgrade: Downgrade,
        is_rebalance_due: bool,
        now: Now,
        actions: &mut Actions,
    ) {
        let Downgrade { mut group, records } = downgrade;
        actions.records.extend(records);
        group.begin(is_rebalance_due, &mut self.step(now, actions));
        self.consumer.remove(&group.id);
        self.classic.insert(group.id.clone(), group);
    }
}
