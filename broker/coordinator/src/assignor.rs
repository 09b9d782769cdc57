//! Who shall have which partitions of a consumer group (KIP-848).
//!
//! An assignor sees all members with what they subscribe to and what they were to have before, and all partitions. It
//! gives each partition of a topic with subscribers to one of them. The same input always gives the same output. As in
//! Kafka 4.4 no assignor looks at racks.

mod range;
mod uniform;

use crate::consumer::Partitions;
use ottla_protocol::{Str, ids::Uuid};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// An assignor by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// As even as possible, and of what is even the one that moves least.
    Uniform,
    /// A range of each topic for each member, so that partitions of equal number meet.
    Range,
}

impl Assignor {
    /// The assignor that a member or `group.consumer.assignors` names. Kafka takes its own class names too.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "uniform" | "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => Some(Self::Uniform),
            "range" | "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => Some(Self::Range),
            _ => None,
        }
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// What each of `members` shall have, in their order.
    pub(crate) fn assign(self, members: &[Candidate<'_>], partition_counts: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
        match self {
            Self::Uniform => uniform::assign(members, partition_counts),
            Self::Range => range::assign(members, partition_counts),
        }
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A member as an assignor sees it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a Str,
    pub(crate) instance_id: Option<&'a Str>,
    /// The topics that it subscribes to and that exist.
    pub(crate) topics: BTreeSet<Uuid>,
    /// What it was to have so far; may name what is gone or not subscribed to any more.
    pub(crate) target: &'a Partitions,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn topic(number: u8) -> Uuid {
        Uuid([number; 16])
    }

    /// Runs an assignor over members with these topics, and checks what all assignors promise.
    pub(super) fn assigned(
        assignor: Assignor,
        counts: &BTreeMap<Uuid, i32>,
        members: &[(&str, &[u8])],
        before: &BTreeMap<Str, Partitions>,
    ) -> BTreeMap<Str, Partitions> {
        let ids: Vec<Str> = members.iter().map(|(id, _)| Str::from(*id)).collect();
        let nothing = Partitions::new();
        let candidates: Vec<Candidate<'_>> = ids
            .iter()
            .zip(members)
            .map(|(id, (_, topics))| Candidate {
                id,
                instance_id: None,
                topics: topics.iter().map(|number| topic(*number)).collect(),
                target: before.get(id).unwrap_or(&nothing),
            })
            .collect();
        let assigned = assignor.assign(&candidates, counts);
        check(&candidates, counts, &assigned);
        ids.into_iter().zip(assigned).collect()
    }

    /// Each partition of a topic with subscribers has one owner, and it subscribes to the topic.
    fn check(members: &[Candidate<'_>], counts: &BTreeMap<Uuid, i32>, assigned: &[Partitions]) {
        let mut given = BTreeSet::new();
        for (member, partitions) in members.iter().zip(assigned) {
            for (topic, partitions) in partitions {
                assert!(!partitions.is_empty(), "a topic without partitions");
                assert!(
                    member.topics.contains(topic),
                    "{} does not subscribe to {topic}",
                    member.id
                );
                for partition in partitions {
                    assert!(given.insert((*topic, *partition)), "{topic}-{partition} has two owners");
                }
            }
        }
        let wanted = counts
            .iter()
            .filter(|(topic, _)| members.iter().any(|member| member.topics.contains(topic)))
            .flat_map(|(topic, count)| (0..*count).map(|partition| (*topic, partition)));
        assert_eq!(given, wanted.collect());
    }

    pub(super) fn sizes(assigned: &BTreeMap<Str, Partitions>) -> Vec<usize> {
        let size = |partitions: &Partitions| partitions.values().map(BTreeSet::len).sum();
        assigned.values().map(size).collect()
    }

    #[test]
    fn any_group_is_assigned_completely_and_twice_the_same() {
        // A small generator: what is random here must not depend on anything outside.
        let mut state = 1_u64;
        let mut below = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..300 {
            let counts: BTreeMap<Uuid, i32> = (0..1 + below(4))
                .map(|number| (topic(number as u8), below(12) as i32))
                .collect();
            let member_topics: Vec<(String, Vec<u8>)> = (0..1 + below(6))
                .map(|index| {
                    let topics = (0..counts.len() as u8).filter(|_| below(3) > 0).collect();
                    (format!("m{index}"), topics)
                })
                .collect();
            let members: Vec<(&str, &[u8])> = member_topics
                .iter()
                .map(|(id, topics)| (id.as_str(), topics.as_slice()))
                .collect();
            for assignor in [Assignor::Uniform, Assignor::Range] {
                let first = assigned(assignor, &counts, &members, &BTreeMap::new());
                let again = assigned(assignor, &counts, &members, &first);
                assert_eq!(first, again, "{assignor} moves partitions without a reason");
                let fewer = &members[..members.len().div_ceil(2)];
                assigned(assignor, &counts, fewer, &first);
            }
        }
    }
}
