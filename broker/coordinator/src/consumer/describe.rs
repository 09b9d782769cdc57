//! What ConsumerGroupDescribe and ListGroups show of a consumer group.

use super::{
    group::ConsumerGroup,
    member::Member,
    partitions::{Partitions, without_epochs},
    refusal::Refusal,
};
use crate::{cluster::ClusterView, groups::Groups};
use ottla_protocol::{
    Str,
    ids::Uuid,
    messages::consumer_group_describe_response::{
        Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
    },
};
use std::collections::BTreeSet;

/// The kind of a member in ConsumerGroupDescribe.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

impl Groups {
    /// The group as ConsumerGroupDescribe shows it.
    pub fn describe_consumer_group(&self, group_id: &Str) -> DescribedGroup {
        if let Some(group) = self.consumer.get(group_id) {
            return group.describe(self.cluster.as_ref(), self.config.default_assignor().name());
        }
        let refusal = match self.classic.contains_key(group_id) {
            true => Refusal::not_a_consumer_group(group_id),
            false => Refusal::not_found(group_id),
        };
        DescribedGroup {
            group_id: group_id.clone(),
            error_code: refusal.code as i16,
            error_message: Some(refusal.message),
            ..Default::default()
        }
    }
}

impl ConsumerGroup {
    fn describe(&self, cluster: &dyn ClusterView, default_assignor: &'static str) -> DescribedGroup {
        let assignor = Self::preferred_assignor(&self.assignor_counts).cloned();
        // Kafka's order is that of a hash table, in which numbered ids come with the last one first.
        let members = self.members.iter().rev();
        DescribedGroup {
            group_id: self.id.clone(),
            group_state: Str::from_static(self.state().name()),
            group_epoch: self.group_epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: assignor.unwrap_or(Str::from_static(default_assignor)),
            members: members
                .map(|(id, member)| self.describe_member(id, member, cluster))
                .collect(),
            ..Default::default()
        }
    }

    fn describe_member(&self, id: &Str, member: &Member, cluster: &dyn ClusterView) -> DescribedMember {
        let (subscription, current) = (&member.subscription, &member.current);
        let mut owned = without_epochs(&current.assigned);
        for (topic, partitions) in without_epochs(&current.revoking) {
            owned.entry(topic).or_default().extend(partitions);
        }
        DescribedMember {
            member_id: id.clone(),
            instance_id: subscription.instance_id.clone(),
            rack_id: subscription.rack_id.clone(),
            member_epoch: current.member_epoch,
            client_id: subscription.client_id.clone(),
            client_host: subscription.client_host.clone(),
            subscribed_topic_names: subscription.topic_names.iter().cloned().collect(),
            subscribed_topic_regex: Some(subscription.topic_regex.clone()),
            assignment: describe_partitions(&owned, cluster),
            target_assignment: describe_partitions(&self.target_of(id), cluster),
            member_type: match member.is_classic() {
                true => CLASSIC_MEMBER,
                false => CONSUMER_MEMBER,
            },
        }
    }
}

/// Partitions of topics that are gone are left out.
fn describe_partitions(partitions: &Partitions, cluster: &dyn ClusterView) -> Assignment {
    let topic = |(topic_id, partitions): (&Uuid, &BTreeSet<i32>)| {
        Some(TopicPartitions {
            topic_id: *topic_id,
            topic_name: cluster.topic_name(*topic_id)?,
            partitions: partitions.iter().copied().collect(),
        })
    };
    Assignment {
        topic_partitions: partitions.iter().filter_map(topic).collect(),
    }
}
