//! From classic to consumer: the first member of the consumer protocol joins a classic group of consumers.
//!
//! The classic members stay, in the epoch of their generation, and are called to rejoin by the group epoch that the
//! newcomer raises. They have what they were given, and what they said at their last JoinGroup that they had: between a
//! rebalance and its end a cooperative member still reads from that.

use super::super::{
    current::{CurrentAssignment, MemberState},
    embedded::{self, Given, Said},
    group::ConsumerGroup,
    join::Beginning,
    member::{Member, Subscription, target_record},
    metadata_hash::TopicHashes,
    partitions::{Owned, Partitions},
    refusal::Refusal,
    target, update,
};
use crate::{
    CoordinatorRecord, GroupsConfig,
    classic::{ClassicGroup, ClassicMember},
    cluster::ClusterView,
    record::{self, Record},
};
use ottla_protocol::{
    Str,
    ids::Uuid,
    messages::consumer_group_member_metadata_value::{ClassicMemberMetadata, ClassicProtocol},
};
use std::collections::{BTreeMap, BTreeSet};

/// The consumer group that a classic group becomes.
///
/// # Errors
/// It has to stay as it is; nothing has changed.
pub(in super::super) fn upgrade(
    classic: &ClassicGroup,
    config: &GroupsConfig,
    cluster: &dyn ClusterView,
    hashes: &mut TopicHashes,
) -> Result<Beginning, Refusal> {
    check(classic, config)?;
    let members = converted(classic, cluster)?;
    let records = records(classic, &members, cluster, hashes);
    let mut group = ConsumerGroup::new(classic.id.clone());
    for record in &records {
        if let Ok(Record::Consumer(_, record)) = record::decode(record) {
            group.apply(record);
        }
    }
    Ok(Beginning { group, records })
}

fn check(classic: &ClassicGroup, config: &GroupsConfig) -> Result<(), Refusal> {
    let refused = |why| Err(Refusal::not_upgraded(&classic.id, why));
    if !config.consumer_migration_policy.allows_upgrade() {
        refused("online upgrade is disabled.")
    } else if !classic.is_consumer_group() {
        refused("the group does not use the consumer embedded protocol.")
    } else if classic.members.len() > config.consumer_max_size {
        refused("the group size exceeds the consumer group maximum size.")
    } else {
        Ok(())
    }
}

/// A member with what it shall have.
type Converted<'a> = BTreeMap<&'a Str, (Member, Partitions)>;

fn converted<'a>(classic: &'a ClassicGroup, cluster: &dyn ClusterView) -> Result<Converted<'a>, Refusal> {
    let malformed = || Refusal::not_upgraded(&classic.id, "the embedded consumer protocol is malformed.");
    let protocol = classic.agreed_protocol().ok_or_else(malformed)?;
    let mut converted = Converted::new();
    let mut owners = BTreeSet::new();
    let mut said_by = BTreeMap::new();
    for (id, member) in &classic.members {
        let said = embedded::read_subscription(&member.metadata(&protocol)).ok_or_else(malformed)?;
        let given = embedded::read_assignment(&member.assignment).ok_or_else(malformed)?;
        check_assignor(&classic.id, &given)?;
        let target = embedded::by_id(&given.partitions, cluster);
        owners.extend(flat(&target));
        let current = current(classic.generation, &target);
        let subscription = subscription(member, &said);
        converted.insert(id, (Member { subscription, current }, target));
        said_by.insert(id, said);
    }
    for (id, (member, _)) in &mut converted {
        let owned = said_by.get(id).map(|said| embedded::by_id(&said.owned, cluster));
        for (topic, partition) in flat(&owned.unwrap_or_default()) {
            if owners.insert((topic, partition)) {
                let of_topic = member.current.assigned.entry(topic).or_default();
                of_topic.insert(partition, classic.generation);
            }
        }
    }
    Ok(converted)
}

fn check_assignor(group_id: &Str, given: &Given) -> Result<(), Refusal> {
    match given.has_user_data {
        false => Ok(()),
        true => Err(Refusal::not_upgraded(
            group_id,
            "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default \
             assignor before re-attempting the upgrade.",
        )),
    }
}

fn flat(partitions: &Partitions) -> Vec<(Uuid, i32)> {
    let of_topic = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
        let topic = *topic;
        partitions
            .iter()
            .map(move |partition| (topic, *partition))
            .collect::<Vec<_>>()
    };
    partitions.iter().flat_map(of_topic).collect()
}

/// Every member is stable, in the epoch of the generation.
fn current(generation: i32, target: &Partitions) -> CurrentAssignment {
    let with_epochs = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
        let partitions = partitions.iter().map(|partition| (*partition, generation));
        (*topic, partitions.collect::<BTreeMap<i32, i32>>())
    };
    CurrentAssignment {
        member_epoch: generation,
        previous_member_epoch: generation,
        state: MemberState::Stable,
        assigned: target.iter().map(with_epochs).collect(),
        revoking: Owned::new(),
    }
}

fn subscription(member: &ClassicMember, said: &Said) -> Subscription {
    let protocols = member.protocols.iter().map(|(name, metadata)| ClassicProtocol {
        name: name.clone(),
        metadata: metadata.clone(),
    });
    Subscription {
        instance_id: member.instance_id.clone(),
        rack_id: said.rack_id.as_ref().filter(|rack| !rack.is_empty()).cloned(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topic_names: said.topics.iter().cloned().collect(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        classic: Some(Box::new(ClassicMemberMetadata {
            session_timeout_ms: member.session_timeout_ms,
            supported_protocols: protocols.collect(),
        })),
        ..Default::default()
    }
}

/// In Kafka's order.
fn records(
    classic: &ClassicGroup,
    members: &Converted<'_>,
    cluster: &dyn ClusterView,
    hashes: &mut TopicHashes,
) -> Vec<CoordinatorRecord> {
    let (id, epoch) = (&classic.id, classic.generation);
    let names = members
        .values()
        .flat_map(|(member, _)| &member.subscription.topic_names);
    let hash = hashes.of_group(cluster, &names.cloned().collect());
    let mut records = vec![record::group_tombstone(id)];
    for (member_id, (member, _)) in members {
        records.push(member.subscription.to_record(id, member_id));
    }
    records.push(update::group_record(id, epoch, hash));
    for (member_id, (_, target)) in members {
        records.push(target_record(id, member_id, target));
    }
    records.push(target::epoch_record(id, epoch, 0));
    for (member_id, (member, _)) in members {
        records.push(member.current.to_record(id, member_id));
    }
    records
}
