//! Sets of partitions, as records, requests and answers have them.

use ottla_protocol::{
    ids::Uuid,
    messages::{
        consumer_group_current_member_assignment_value::TopicPartitions as CurrentPartitions,
        consumer_group_heartbeat_request::TopicPartitions as RequestPartitions,
        consumer_group_heartbeat_response::TopicPartitions as ResponsePartitions,
        consumer_group_target_assignment_member_value::TopicPartition as TargetPartitions,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions by topic; no topic is without one.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// Partitions that a member has, each with the epoch in which it got it (KIP-1251); no topic is without one.
pub(crate) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

pub(super) fn from_target(topics: &[TargetPartitions]) -> Partitions {
    let topic = |topic: &TargetPartitions| (topic.topic_id, topic.partitions.iter().copied().collect());
    topics
        .iter()
        .filter(|topic| !topic.partitions.is_empty())
        .map(topic)
        .collect()
}

pub(super) fn to_target(partitions: &Partitions) -> Vec<TargetPartitions> {
    let topic = |(topic_id, partitions): (&Uuid, &BTreeSet<i32>)| TargetPartitions {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    };
    partitions.iter().map(topic).collect()
}

/// Reads what a record says; partitions whose epochs an older Kafka did not write got theirs in `member_epoch`.
pub(super) fn from_current(topics: &[CurrentPartitions], member_epoch: i32) -> Owned {
    let epochs = |topic: &CurrentPartitions| match &topic.assignment_epochs {
        Some(epochs) if epochs.len() == topic.partitions.len() => epochs.clone(),
        _ => vec![member_epoch.max(0); topic.partitions.len()],
    };
    let topic = |topic: &CurrentPartitions| {
        let partitions = topic.partitions.iter().copied().zip(epochs(topic));
        (topic.topic_id, partitions.collect())
    };
    topics
        .iter()
        .filter(|topic| !topic.partitions.is_empty())
        .map(topic)
        .collect()
}

pub(super) fn to_current(owned: &Owned) -> Vec<CurrentPartitions> {
    let topic = |(topic_id, partitions): (&Uuid, &BTreeMap<i32, i32>)| CurrentPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    owned.iter().map(topic).collect()
}

/// The partitions alone.
pub(super) fn without_epochs(owned: &Owned) -> Partitions {
    let topic =
        |(topic_id, partitions): (&Uuid, &BTreeMap<i32, i32>)| (*topic_id, partitions.keys().copied().collect());
    owned.iter().map(topic).collect()
}

pub(super) fn to_response(owned: &Owned) -> Vec<ResponsePartitions> {
    let topic = |(topic_id, partitions): (&Uuid, &BTreeMap<i32, i32>)| ResponsePartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
    };
    owned.iter().map(topic).collect()
}

/// Whether a member that says it has `reported` has any of `owned`. One that says nothing may have all of it.
pub(super) fn has_any(reported: Option<&[RequestPartitions]>, owned: &Owned) -> bool {
    let Some(reported) = reported else {
        return true;
    };
    reported.iter().any(|topic| {
        let owned = owned.get(&topic.topic_id);
        owned.is_some_and(|owned| topic.partitions.iter().any(|partition| owned.contains_key(partition)))
    })
}

/// Whether a member says what it has, and that is within `owned`.
pub(super) fn is_within(reported: Option<&[RequestPartitions]>, owned: &Owned) -> bool {
    let is_owned = |topic: &RequestPartitions| {
        let owned = owned.get(&topic.topic_id);
        owned.is_some_and(|owned| topic.partitions.iter().all(|partition| owned.contains_key(partition)))
    };
    reported.is_some_and(|reported| reported.iter().all(is_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid([1; 16]);

    fn owned() -> Owned {
        [(TOPIC, [(0, 4), (2, 5)].into())].into()
    }

    fn reported(partitions: &[i32]) -> Vec<RequestPartitions> {
        vec![RequestPartitions {
            topic_id: TOPIC,
            partitions: partitions.to_vec(),
        }]
    }

    #[test]
    fn epochs_that_are_missing_or_do_not_match_are_the_members() {
        assert_eq!(from_current(&to_current(&owned()), 9), owned());
        let without = |assignment_epochs| CurrentPartitions {
            topic_id: TOPIC,
            partitions: vec![0, 2],
            assignment_epochs,
        };
        let all_nine: Owned = [(TOPIC, [(0, 9), (2, 9)].into())].into();
        assert_eq!(from_current(&[without(None)], 9), all_nine);
        assert_eq!(from_current(&[without(Some(Vec::new()))], 9), all_nine);
        assert_eq!(from_current(&[without(Some(vec![1]))], 9), all_nine);
        let all_zero: Owned = [(TOPIC, [(0, 0), (2, 0)].into())].into();
        assert_eq!(from_current(&[without(None)], -2), all_zero);
    }

    #[test]
    fn whoever_says_nothing_may_have_all_and_is_within_nothing() {
        assert!(has_any(None, &owned()));
        assert!(!is_within(None, &owned()));
        assert!(!has_any(Some(&[]), &owned()));
        assert!(is_within(Some(&[]), &owned()));
        assert!(has_any(Some(&reported(&[1, 2])), &owned()));
        assert!(!is_within(Some(&reported(&[1, 2])), &owned()));
        assert!(is_within(Some(&reported(&[2])), &owned()));
        assert!(!has_any(Some(&reported(&[1])), &owned()));
    }
}
