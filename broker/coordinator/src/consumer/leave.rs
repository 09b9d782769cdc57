//! The end of membership: on a member's own wish, by an administrator (LeaveGroup), or because it was silent.

use super::{
    current::{CurrentAssignment, LEAVE_STATIC_EPOCH},
    group::{ConsumerGroup, decrement},
    member::{Member, Subscription, tombstones},
    metadata_hash::TopicHashes,
    partitions::Owned,
    refusal::Refusal,
    target, update, validate,
};
use crate::{
    CoordinatorRecord,
    cluster::ClusterView,
    groups::Groups,
    outcome::{Actions, Caller, Now},
    record::consumer as records,
};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, leave_group_request::MemberIdentity},
};
use std::collections::{BTreeMap, BTreeSet};

impl Groups {
    pub(super) fn consumer_leave(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        caller: &Caller<'_>,
        now: Now,
        actions: &mut Actions,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        validate::check(request, caller.version, &self.config)?;
        let group_id = &request.group_id;
        let group = match self.consumer.get(group_id) {
            Some(group) => group,
            None if self.classic.contains_key(group_id) => return Err(Refusal::not_a_consumer_group(group_id)),
            None => return Err(Refusal::not_found(group_id)),
        };
        let (member_id, member) = group.leaver(request)?;
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(member_id.clone()),
            member_epoch: request.member_epoch,
            ..Default::default()
        };
        if request.instance_id.is_some() && request.member_epoch == LEAVE_STATIC_EPOCH {
            let away = away(&member.current);
            actions.records.push(away.to_record(group_id, member_id));
            return Ok(response);
        }
        let leaving = BTreeSet::from([member_id.clone()]);
        self.fence_consumer_members(group_id, &leaving, now, actions);
        Ok(response)
    }

    /// Takes members out of a group; those that are not in it are passed over. If only classic ones are left, the group
    /// becomes a classic one.
    pub(crate) fn fence_consumer_members(
        &mut self,
        group_id: &Str,
        leaving: &BTreeSet<Str>,
        now: Now,
        actions: &mut Actions,
    ) {
        let Some(group) = self.consumer.get_mut(group_id) else {
            return;
        };
        for id in leaving {
            group.timers.remove(id);
        }
        match group.downgrade_without(leaving, &self.config, self.cluster.as_ref(), now) {
            Some(downgrade) => self.begin_classic_group(downgrade, true, now, actions),
            None => {
                let records = group.fence(leaving, self.cluster.as_ref(), &mut self.topic_hashes);
                actions.records.extend(records);
            }
        }
    }

    /// Decides a LeaveGroup for a consumer group: of classic members, and how administrators remove any. `None` if it is
    /// none.
    pub(crate) fn remove_consumer_members(
        &mut self,
        group_id: &Str,
        leaving: &[MemberIdentity],
        verdicts: &mut Vec<Result<(), ErrorCode>>,
        now: Now,
    ) -> Option<Actions> {
        let group = self.consumer.get(group_id)?;
        let found: Vec<_> = leaving.iter().map(|identity| group.identified(identity)).collect();
        let ids: BTreeSet<Str> = found.iter().flatten().cloned().collect();
        *verdicts = found.into_iter().map(|found| found.map(|_| ())).collect();
        let mut actions = Actions::default();
        self.fence_consumer_members(group_id, &ids, now, &mut actions);
        Some(self.decided(actions))
    }
}

/// A static member that goes away keeps what it has for its next self; what it was told to give up is free.
fn away(current: &CurrentAssignment) -> CurrentAssignment {
    let mut assigned: Owned = current.assigned.clone();
    assigned
        .values_mut()
        .flat_map(BTreeMap::values_mut)
        .for_each(|epoch| *epoch = 0);
    CurrentAssignment {
        member_epoch: LEAVE_STATIC_EPOCH,
        previous_member_epoch: current.previous_member_epoch,
        state: current.state,
        assigned,
        revoking: Owned::new(),
    }
}

impl ConsumerGroup {
    fn leaver(&self, request: &ConsumerGroupHeartbeatRequest) -> Result<(&Str, &Member), Refusal> {
        let member_id = &request.member_id;
        let Some(instance_id) = &request.instance_id else {
            let member = self.members.get_key_value(member_id);
            return member.ok_or_else(|| Refusal::unknown_member(member_id, &self.id));
        };
        let (owner, member) = self
            .static_member(instance_id)
            .ok_or_else(|| Refusal::unknown_instance(instance_id))?;
        match owner == member_id {
            true => Ok((owner, member)),
            false => Err(Refusal::fenced_instance(member_id, instance_id, owner)),
        }
    }

    fn identified(&self, identity: &MemberIdentity) -> Result<Str, ErrorCode> {
        let Some(instance_id) = &identity.group_instance_id else {
            let member = self.members.get_key_value(&identity.member_id);
            return member.map(|(id, _)| id.clone()).ok_or(ErrorCode::UnknownMemberId);
        };
        let owner = self.static_members.get(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
        match identity.member_id.is_empty() || *owner == identity.member_id {
            true => Ok(owner.clone()),
            false => Err(ErrorCode::FencedInstanceId),
        }
    }

    /// The records that take members out: what they had is free at once, and the group epoch rises.
    fn fence(
        &self,
        leaving: &BTreeSet<Str>,
        cluster: &dyn ClusterView,
        hashes: &mut TopicHashes,
    ) -> Vec<CoordinatorRecord> {
        let gone: BTreeMap<&Str, &Member> = leaving.iter().filter_map(|id| self.members.get_key_value(id)).collect();
        if gone.is_empty() {
            return Vec::new();
        }
        let mut written: Vec<_> = gone.keys().flat_map(|id| tombstones(&self.id, id)).collect();
        let subscriptions: Vec<&Subscription> = gone.values().map(|member| &member.subscription).collect();
        let mut regexes = self.regex_counts.clone();
        subscriptions
            .iter()
            .filter_map(|subscription| subscription.regex())
            .for_each(|regex| decrement(&mut regexes, regex));
        let (kept, dropped): (Vec<_>, Vec<_>) =
            self.regexes.iter().partition(|(regex, _)| regexes.contains_key(*regex));
        for (regex, _) in dropped {
            written.push(records::regular_expression(&self.id, regex, None));
        }
        let names = self.names_after(&subscriptions, &[]).into_keys();
        let matched = kept
            .into_iter()
            .flat_map(|(_, resolved)| resolved.topics.iter().cloned());
        let hash = hashes.of_group(cluster, &names.chain(matched).collect());
        let epoch = self.group_epoch + 1;
        written.push(update::group_record(&self.id, epoch, hash));
        if gone.len() == self.members.len() {
            // Nothing is to be assigned, and who comes next shall not wait.
            written.push(target::epoch_record(&self.id, epoch, 0));
        }
        written
    }
}
