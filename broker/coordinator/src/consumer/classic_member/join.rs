//! JoinGroup of a member that speaks the classic protocol, to a consumer group that has members.

use super::super::{
    World,
    embedded::{self, Said},
    group::ConsumerGroup,
    join::Sender,
    member::Subscription,
    migration::Downgrade,
    settle::Settled,
    update::Draft,
};
use crate::{
    MigrationPolicy,
    classic::{CONSUMER_PROTOCOL, Join, offered_protocols, refused_join},
    cluster::ClusterView,
    groups::Groups,
    outcome::{Actions, Now, Reply},
};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        JoinGroupResponse,
        consumer_group_heartbeat_request::TopicPartitions,
        consumer_group_member_metadata_value::{ClassicMemberMetadata, ClassicProtocol},
    },
};
use std::collections::BTreeSet;

/// What a JoinGroup leads to.
enum Joined {
    /// The member says that it has what it does not have, so it has missed that it was out: it must give up everything
    /// before it is in a generation that counts.
    Astray(Str),
    /// The member is in.
    Member(Settled, JoinGroupResponse),
    /// It was the last one that did not speak the classic protocol: the group is a classic one, and is to rebalance or
    /// not.
    Downgrade(Box<Downgrade>, bool, JoinGroupResponse),
}

impl Groups {
    /// Decides a JoinGroup to a consumer group that has members; it is answered at once.
    pub(crate) fn join_consumer_group(&mut self, join: &Join<'_>, now: Now) -> Actions {
        let mut actions = Actions::default();
        let joined = self.classic_join(join, now, &mut actions);
        // As with Kafka a refusal names nobody here: MEMBER_ID_REQUIRED is no refusal.
        let response = joined.unwrap_or_else(|error| refused_join(&Str::EMPTY, error));
        actions.replies.push((join.ticket, Reply::JoinGroup(response)));
        self.decided(actions)
    }

    fn classic_join(
        &mut self,
        join: &Join<'_>,
        now: Now,
        actions: &mut Actions,
    ) -> Result<JoinGroupResponse, ErrorCode> {
        let group_id = &join.request.group_id;
        let group = self.consumer.get(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        if self.config.consumer_migration_policy == MigrationPolicy::Disabled {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        group.check_classic_join(join, self.config.consumer_max_size)?;
        if join.requires_known_id() {
            return Ok(refused_join(&fresh_member_id(join), ErrorCode::MemberIdRequired));
        }
        let mut world = World {
            settings: self.cluster.consumer_settings(group_id),
            config: &self.config,
            cluster: self.cluster.as_ref(),
            hashes: &mut self.topic_hashes,
            now,
        };
        match group.classic_join(join, &mut world)? {
            Joined::Astray(member_id) => {
                self.fence_consumer_members(group_id, &BTreeSet::from([member_id]), now, actions);
                Err(ErrorCode::UnknownMemberId)
            }
            Joined::Member(settled, response) => {
                self.keep_settled(group_id, settled, actions);
                let (member_id, request) = (&response.member_id, join.request);
                self.keep_consumer_member(group_id, member_id, request.session_timeout_ms, Some(None), now);
                self.expect_sync(group_id, member_id, join.rebalance_timeout_ms(), now);
                Ok(response)
            }
            Joined::Downgrade(downgrade, is_rebalance_due, response) => {
                self.begin_classic_group(*downgrade, is_rebalance_due, now, actions);
                Ok(response)
            }
        }
    }
}

impl ConsumerGroup {
    /// Whether the group takes in classic members that offer such protocols: one must suit all of its classic members.
    fn check_classic_join(&self, join: &Join<'_>, max_size: usize) -> Result<(), ErrorCode> {
        let request = join.request;
        let room = self.check_room(&request.member_id, request.group_instance_id.as_ref(), max_size);
        room.map_err(|refusal| refusal.code)?;
        let others = || {
            self.members
                .values()
                .filter_map(|member| member.subscription.classic.as_ref())
        };
        let is_spoken = |name: &Str| {
            others().all(|other| {
                let mut protocols = other.supported_protocols.iter();
                protocols.any(|protocol| protocol.name == *name)
            })
        };
        let is_supported = request.protocol_type == CONSUMER_PROTOCOL
            && request.protocols.iter().any(|protocol| is_spoken(&protocol.name));
        match is_supported {
            true => Ok(()),
            false => Err(ErrorCode::InconsistentGroupProtocol),
        }
    }

    fn classic_join(&self, join: &Join<'_>, world: &mut World<'_>) -> Result<Joined, ErrorCode> {
        let sender = self.classic_sender(join)?;
        let (classic, said) = classic_metadata(join)?;
        let reported = reported(&said, world.cluster);
        if !join.request.member_id.is_empty() && !sender.member.current.has_all(&reported) {
            return Ok(Joined::Astray(sender.id));
        }
        let protocol_name = classic
            .supported_protocols
            .first()
            .map(|protocol| protocol.name.clone());
        let before = sender.member.current.member_epoch;
        let subscription = updated(&sender.member.subscription, join, classic, &said);
        let downgraded = self.replaced_last(&sender, join, world);
        let mut draft = Draft::new(self, sender, subscription);
        draft.update(world).map_err(|refusal| refusal.code)?;
        let answer = |member_id: &Str, generation_id| JoinGroupResponse {
            generation_id,
            protocol_type: Some(Str::from_static(CONSUMER_PROTOCOL)),
            protocol_name,
            member_id: member_id.clone(),
            ..Default::default()
        };
        if let Some(replaced) = &downgraded
            && let Some(downgrade) = self.downgrade_with(&draft, replaced, world)
        {
            let is_rebalance_due = draft.is_subscription_changed || self.assignment_epoch < draft.group_epoch;
            let response = answer(&draft.sender.id, self.group_epoch);
            return Ok(Joined::Downgrade(Box::new(downgrade), is_rebalance_due, response));
        }
        let settled = draft.settle(Some(&reported), world);
        let epoch = settled.next.as_ref().map_or(before, |next| next.member_epoch);
        let response = answer(&settled.member_id, epoch);
        Ok(Joined::Member(settled, response))
    }

    /// Who joins: a dynamic member under any id, since ids that are handed out are not kept; a static one under its own,
    /// or without one to take the place of its former self.
    fn classic_sender(&self, join: &Join<'_>) -> Result<Sender<'_>, ErrorCode> {
        let request = join.request;
        let known_or_new = |id: Str| match self.members.get(&id) {
            Some(member) => Sender::known(id, member),
            None => Sender::new(id),
        };
        let id = match request.member_id.is_empty() {
            true => fresh_member_id(join),
            false => request.member_id.detached(),
        };
        let Some(instance_id) = &request.group_instance_id else {
            return Ok(known_or_new(id));
        };
        match self.static_member(instance_id) {
            None if request.member_id.is_empty() => Ok(Sender::new(id)),
            None => Err(ErrorCode::UnknownMemberId),
            Some((owner, member)) if request.member_id.is_empty() => Ok(Sender::returning(id, owner, member)),
            Some((owner, member)) if *owner == id => Ok(Sender::known(id, member)),
            Some(_) => Err(ErrorCode::FencedInstanceId),
        }
    }

    /// The static member that the sender takes the place of, if that was the last one of the consumer protocol.
    fn replaced_last(&self, sender: &Sender<'_>, join: &Join<'_>, world: &World<'_>) -> Option<Str> {
        join.request.group_instance_id.as_ref()?;
        let former = sender.known_id();
        let is_last = self.members.contains_key(former) && self.is_last_before(former, world.config);
        is_last.then(|| former.clone())
    }

    fn downgrade_with(&self, draft: &Draft<'_>, replaced: &Str, world: &World<'_>) -> Option<Downgrade> {
        let others = self.members.iter().filter(|(id, _)| *id != replaced);
        let others = others.map(|(id, member)| (id, &member.subscription, id));
        let newcomer = (&draft.sender.id, &draft.subscription, replaced);
        self.downgrade(others.chain([newcomer]).collect(), world.cluster, world.now)
    }
}

fn fresh_member_id(join: &Join<'_>) -> Str {
    Str::from(join.caller.fresh_member_id.to_string())
}

/// What the member says as the record keeps it, and as it is meant. All its protocols say the same; the first is read.
fn classic_metadata(join: &Join<'_>) -> Result<(ClassicMemberMetadata, Said), ErrorCode> {
    let offered = offered_protocols(&join.request.protocols).into_iter();
    let classic = ClassicMemberMetadata {
        session_timeout_ms: join.request.session_timeout_ms,
        supported_protocols: offered
            .map(|(name, metadata)| ClassicProtocol { name, metadata })
            .collect(),
    };
    let first = classic.supported_protocols.first();
    let said = first.and_then(|protocol| embedded::read_subscription(&protocol.metadata));
    Ok((classic, said.ok_or(ErrorCode::InconsistentGroupProtocol)?))
}

/// What a member says of itself after a JoinGroup.
fn updated(before: &Subscription, join: &Join<'_>, classic: ClassicMemberMetadata, said: &Said) -> Subscription {
    let or_before = |said: Option<&Str>, before: &Option<Str>| said.map(Str::detached).or(before.clone());
    let rack_id = said.rack_id.as_ref().filter(|rack| !rack.is_empty());
    Subscription {
        instance_id: or_before(join.request.group_instance_id.as_ref(), &before.instance_id),
        rack_id: or_before(rack_id, &before.rack_id),
        client_id: Str::from(join.caller.client_id),
        client_host: Str::from(join.caller.client_host),
        topic_names: said.topics.iter().map(Str::detached).collect(),
        topic_regex: Str::EMPTY,
        rebalance_timeout_ms: join.rebalance_timeout_ms(),
        server_assignor: before.server_assignor.clone(),
        classic: Some(Box::new(classic)),
    }
}

/// What the member says it has. That it says nothing of a topic means that it has none of it.
fn reported(said: &Said, cluster: &dyn ClusterView) -> Vec<TopicPartitions> {
    let owned = embedded::by_id(&said.owned, cluster).into_iter();
    let topic = |(topic_id, partitions): (_, BTreeSet<i32>)| TopicPartitions {
        topic_id,
        partitions: partitions.into_iter().collect(),
    };
    owned.map(topic).collect()
}
