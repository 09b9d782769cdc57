//! Who sends a heartbeat: a member, one that comes, or a static member that comes back under a new id (KIP-345).

use super::{
    World,
    current::{CurrentAssignment, LEAVE_STATIC_EPOCH, MemberState},
    group::ConsumerGroup,
    member::{Member, target_record, tombstones},
    migration::upgrade,
    partitions::{self, Partitions},
    refusal::Refusal,
};
use crate::{
    CoordinatorRecord,
    groups::Groups,
    outcome::{Actions, Now},
    record,
};
use ottla_protocol::{ErrorCode, Str, messages::ConsumerGroupHeartbeatRequest};
use std::borrow::Cow;

/// The sender of a heartbeat, as it is before the heartbeat.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    pub(super) id: Str,
    pub(super) member: Cow<'a, Member>,
    /// Whether there was no such member.
    pub(super) is_new: bool,
    /// The id that the static member had so far.
    pub(super) replaced: Option<&'a Str>,
}

impl Sender<'_> {
    /// The id under which the group has what it was to have.
    pub(super) fn known_id(&self) -> &Str {
        self.replaced.unwrap_or(&self.id)
    }
}

/// A consumer group that is not there yet, and the records that make it.
pub(super) struct Beginning {
    /// The group as these records make it.
    pub(super) group: ConsumerGroup,
    pub(super) records: Vec<CoordinatorRecord>,
}

impl Groups {
    /// How the consumer group with this id begins, if it is not there: one that a member joins is made, and a classic
    /// group makes way for it, with its members if it has any.
    pub(super) fn beginning(&mut self, group_id: &Str, is_joining: bool) -> Result<Option<Beginning>, Refusal> {
        if self.consumer.contains_key(group_id) {
            return Ok(None);
        }
        let classic = match self.classic.get(group_id) {
            None if is_joining => None,
            None => return Err(Refusal::group_not_found(group_id)),
            Some(_) if !is_joining => return Err(Refusal::not_a_consumer_group(group_id)),
            Some(classic) => Some(classic),
        };
        if let Some(classic) = classic.filter(|classic| !classic.members.is_empty()) {
            return upgrade(classic, &self.config, self.cluster.as_ref(), &mut self.topic_hashes).map(Some);
        }
        Ok(Some(Beginning {
            group: ConsumerGroup::new(group_id.detached()),
            records: classic
                .iter()
                .map(|classic| record::group_tombstone(&classic.id))
                .collect(),
        }))
    }

    /// Makes room for a group that its records will fill: whoever waits for a classic group in its place must come
    /// again, and the sessions of its members begin.
    pub(super) fn begin_consumer_group(&mut self, beginning: Beginning, now: Now, actions: &mut Actions) {
        let Beginning { group, records } = beginning;
        actions.records.extend(records);
        if let Some(mut classic) = self.classic.remove(&group.id) {
            classic.fail_all(ErrorCode::RebalanceInProgress, &mut self.step(now, actions));
        }
        self.consumer
            .insert(group.id.clone(), ConsumerGroup::new(group.id.clone()));
        for (id, member) in &group.members {
            let timeout_ms = self.session_timeout_ms(&group.id, member);
            self.keep_consumer_member(&group.id, id, timeout_ms, None, now);
        }
    }
}

impl ConsumerGroup {
    /// Finds the sender of a heartbeat, and whether it may send it.
    pub(super) fn sender(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        fresh_id: impl FnOnce() -> Str,
        world: &World<'_>,
    ) -> Result<Sender<'_>, Refusal> {
        let instance_id = request.instance_id.as_ref();
        self.check_room(&request.member_id, instance_id, world.config.consumer_max_size)?;
        let id = if request.member_id.is_empty() {
            fresh_id()
        } else {
            request.member_id.detached()
        };
        let sender = match &request.instance_id {
            Some(instance_id) => self.static_sender(id, instance_id, request)?,
            None => self.dynamic_sender(id, request)?,
        };
        // A state that a later Kafka wrote: it must come without partitions.
        let has_none = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
        match sender.member.current.state {
            MemberState::Unknown(_) if !has_none => Err(Refusal::unknown_state()),
            _ => Ok(sender),
        }
    }

    /// Members that are in stay in.
    pub(super) fn check_room(
        &self,
        member_id: &Str,
        instance_id: Option<&Str>,
        max_size: usize,
    ) -> Result<(), Refusal> {
        let is_in =
            self.members.contains_key(member_id) || instance_id.is_some_and(|id| self.static_members.contains_key(id));
        match is_in || self.members.len() < max_size {
            true => Ok(()),
            false => Err(Refusal::group_full(max_size)),
        }
    }

    fn dynamic_sender(&self, id: Str, request: &ConsumerGroupHeartbeatRequest) -> Result<Sender<'_>, Refusal> {
        match self.members.get(&id) {
            Some(member) => {
                check_epoch(&member.current, request)?;
                Ok(Sender::known(id, member))
            }
            None if request.member_epoch == 0 => Ok(Sender::new(id)),
            None => Err(Refusal::unknown_member(&id, &self.id)),
        }
    }

    fn static_sender(
        &self,
        id: Str,
        instance_id: &Str,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<Sender<'_>, Refusal> {
        let existing = self.static_member(instance_id);
        if request.member_epoch == 0 {
            return match existing {
                None => Ok(match self.members.get(&id) {
                    Some(member) => Sender::known(id, member),
                    None => Sender::new(id),
                }),
                // A classic member is replaced without a word, as in a classic group.
                Some((owner, member)) if member.current.member_epoch == LEAVE_STATIC_EPOCH || member.is_classic() => {
                    Ok(Sender::returning(id, owner, member))
                }
                Some((owner, _)) => Err(Refusal::unreleased_instance(&id, instance_id, owner)),
            };
        }
        let (owner, member) = existing.ok_or_else(|| Refusal::unknown_instance(instance_id))?;
        if *owner != id {
            return Err(Refusal::fenced_instance(&id, instance_id, owner));
        }
        check_epoch(&member.current, request)?;
        Ok(Sender::known(id, member))
    }

    /// What the member was to have so far.
    pub(super) fn target_of(&self, id: &Str) -> Cow<'_, Partitions> {
        self.target
            .get(id)
            .map_or_else(|| Cow::Owned(Partitions::new()), Cow::Borrowed)
    }

    /// The records that put a static member under its new id; nothing if it is not one that came back.
    pub(super) fn replacement(&self, sender: &Sender<'_>) -> Vec<CoordinatorRecord> {
        let Some(replaced) = sender.replaced else {
            return Vec::new();
        };
        let mut records = Vec::from(tombstones(&self.id, replaced));
        records.push(sender.member.subscription.to_record(&self.id, &sender.id));
        records.push(target_record(&self.id, &sender.id, &self.target_of(replaced)));
        records.push(sender.member.current.to_record(&self.id, &sender.id));
        records
    }
}

impl<'a> Sender<'a> {
    pub(super) fn known(id: Str, member: &'a Member) -> Self {
        Self {
            id,
            member: Cow::Borrowed(member),
            is_new: false,
            replaced: None,
        }
    }

    pub(super) fn new(id: Str) -> Self {
        Self {
            id,
            member: Cow::Owned(Member::default()),
            is_new: true,
            replaced: None,
        }
    }

    /// It has what its former self had, and begins in epoch 0.
    pub(super) fn returning(id: Str, owner: &'a Str, member: &Member) -> Self {
        let member = Member {
            subscription: member.subscription.clone(),
            current: CurrentAssignment {
                member_epoch: 0,
                previous_member_epoch: 0,
                ..member.current.clone()
            },
        };
        Self {
            id,
            member: Cow::Owned(member),
            is_new: false,
            replaced: Some(owner),
        }
    }
}

/// Whether the member's epoch is its own. Epoch 0 always is: whoever was fenced or lost its answer begins anew. The one
/// before is, from a member that has nothing beyond what it was given: the answer that moved it on may have been lost.
fn check_epoch(current: &CurrentAssignment, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let (received, known) = (request.member_epoch, current.member_epoch);
    let reported = request.topic_partitions.as_deref();
    let is_repeated =
        || received == current.previous_member_epoch && partitions::is_within(reported, &current.assigned);
    match received == 0 || received == known || (received < known && is_repeated()) {
        true => Ok(()),
        false => Err(Refusal::fenced_epoch(received, known)),
    }
}
