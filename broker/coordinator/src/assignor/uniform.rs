//! The uniform assignor: as even as possible over all topics together, and as little as possible moves.
//!
//! If all members subscribe to the same topics, no two of them differ by more than one partition, and a member only
//! loses what is above its share. Otherwise every partition stays where it is if it may, what has no owner goes to the
//! subscriber with the least, and then partitions move from those with more to those with less until no single move
//! makes it more even.

mod balance;

use super::Candidate;
use crate::consumer::Partitions;
use ottla_protocol::ids::Uuid;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn assign(members: &[Candidate<'_>], partition_counts: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
    let Some(first) = members.first() else {
        return Vec::new();
    };
    if members.iter().all(|member| member.topics == first.topics) {
        assign_evenly(members, partition_counts)
    } else {
        balance::assign(members, partition_counts)
    }
}

/// What a member has and may keep; each partition with the first member that has it.
fn kept(members: &[Candidate<'_>], partition_counts: &BTreeMap<Uuid, i32>) -> (Vec<Partitions>, Vec<(Uuid, i32)>) {
    let mut free: BTreeMap<Uuid, BTreeSet<i32>> = partition_counts
        .iter()
        .filter(|(topic, _)| members.iter().any(|member| member.topics.contains(topic)))
        .map(|(topic, count)| (*topic, (0..*count).collect()))
        .collect();
    let mut keep = |member: &Candidate<'_>| {
        let mut kept = Partitions::new();
        for (topic, partitions) in member.target {
            let Some(free) = free.get_mut(topic).filter(|_| member.topics.contains(topic)) else {
                continue;
            };
            let partitions: BTreeSet<i32> = partitions
                .iter()
                .filter(|partition| free.remove(partition))
                .copied()
                .collect();
            if !partitions.is_empty() {
                kept.insert(*topic, partitions);
            }
        }
        kept
    };
    let kept = members.iter().map(&mut keep).collect();
    let free = free
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)));
    (kept, free.collect())
}

fn size(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

fn assign_evenly(members: &[Candidate<'_>], partition_counts: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
    let (mut assigned, mut free) = kept(members, partition_counts);
    let total = free.len() + assigned.iter().map(size).sum::<usize>();
    let (share, extra) = (total / members.len(), total % members.len());
    // One more than the share goes to those who have most, so that they lose least.
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(size(&assigned[*index])), members[*index].id));
    let mut quotas = vec![share; members.len()];
    order.iter().take(extra).for_each(|index| quotas[*index] += 1);

    for (partitions, quota) in assigned.iter_mut().zip(&quotas) {
        while size(partitions) > *quota {
            free.extend(take_last(partitions));
        }
    }
    free.sort_unstable();
    let mut free = free.into_iter();
    for (partitions, quota) in assigned.iter_mut().zip(&quotas) {
        let missing = quota.saturating_sub(size(partitions));
        for (topic, partition) in free.by_ref().take(missing) {
            partitions.entry(topic).or_default().insert(partition);
        }
    }
    assigned
}

/// Takes the last partition of the topic of which there are most, so that a member keeps some of each topic.
fn take_last(partitions: &mut Partitions) -> Option<(Uuid, i32)> {
    let (topic, _) = partitions.iter().max_by_key(|(_, partitions)| partitions.len())?;
    let topic = *topic;
    let of_topic = partitions.get_mut(&topic)?;
    let partition = of_topic.pop_last()?;
    if of_topic.is_empty() {
        partitions.remove(&topic);
    }
    Some((topic, partition))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Assignor,
            tests::{assigned, sizes, topic},
        },
        *,
    };
    use ottla_protocol::Str;

    fn moved(before: &BTreeMap<Str, Partitions>, after: &BTreeMap<Str, Partitions>) -> usize {
        let nothing = Partitions::new();
        let lost = |(id, partitions): (&Str, &Partitions)| {
            let after = after.get(id).unwrap_or(&nothing);
            let flat = |partitions: &Partitions| -> BTreeSet<(Uuid, i32)> {
                let pairs = partitions
                    .iter()
                    .flat_map(|(topic, all)| all.iter().map(|one| (*topic, *one)));
                pairs.collect()
            };
            flat(partitions).difference(&flat(after)).count()
        };
        before.iter().map(lost).sum()
    }

    #[test]
    fn a_third_member_takes_a_third_and_nothing_else_moves() {
        let counts = [(topic(1), 10), (topic(2), 2)].into();
        let two = assigned(
            Assignor::Uniform,
            &counts,
            &[("a", &[1, 2]), ("b", &[1, 2])],
            &BTreeMap::new(),
        );
        assert_eq!(sizes(&two), [6, 6]);
        let three = assigned(
            Assignor::Uniform,
            &counts,
            &[("a", &[1, 2]), ("b", &[1, 2]), ("c", &[1, 2])],
            &two,
        );
        assert_eq!(sizes(&three), [4, 4, 4]);
        assert_eq!(moved(&two, &three), 4);
    }

    #[test]
    fn the_partitions_of_a_member_that_left_are_shared_and_nothing_else_moves() {
        let counts = [(topic(1), 9)].into();
        let three = assigned(
            Assignor::Uniform,
            &counts,
            &[("a", &[1]), ("b", &[1]), ("c", &[1])],
            &BTreeMap::new(),
        );
        let two = assigned(Assignor::Uniform, &counts, &[("a", &[1]), ("c", &[1])], &three);
        assert_eq!(sizes(&two), [5, 4]);
        assert_eq!(moved(&three, &two), 3);
    }

    #[test]
    fn new_partitions_move_none_of_the_old() {
        let few = [(topic(1), 4)].into();
        let members: [(&str, &[u8]); 3] = [("a", &[1]), ("b", &[1]), ("c", &[1])];
        let before = assigned(Assignor::Uniform, &few, &members, &BTreeMap::new());
        let many = [(topic(1), 8)].into();
        let after = assigned(Assignor::Uniform, &many, &members, &before);
        assert_eq!(sizes(&after), [3, 3, 2]);
        assert_eq!(moved(&before, &after), 0);
    }

    #[test]
    fn members_of_different_topics_are_balanced_over_what_they_share() {
        let counts = [(topic(1), 6), (topic(2), 6)].into();
        let members: [(&str, &[u8]); 3] = [("a", &[1]), ("b", &[1, 2]), ("c", &[2])];
        let after = assigned(Assignor::Uniform, &counts, &members, &BTreeMap::new());
        assert_eq!(sizes(&after), [4, 4, 4]);
        // What "a" has too much reaches "c" through "b", as long as a single move makes two of them more even.
        let lopsided: BTreeMap<Str, Partitions> = [
            ("a".into(), [(topic(1), (0..6).collect())].into()),
            ("b".into(), [(topic(2), (0..6).collect())].into()),
        ]
        .into();
        let after = assigned(Assignor::Uniform, &counts, &members, &lopsided);
        assert_eq!(sizes(&after), [5, 4, 3]);
        assert_eq!(moved(&lopsided, &after), 4);
    }

    #[test]
    fn two_who_claim_the_same_partition_are_told_apart() {
        let counts = [(topic(1), 2)].into();
        let both: Partitions = [(topic(1), [0, 1].into())].into();
        let before = [("a".into(), both.clone()), ("b".into(), both)].into();
        let after = assigned(Assignor::Uniform, &counts, &[("a", &[1]), ("b", &[1])], &before);
        assert_eq!(sizes(&after), [1, 1]);
    }
}
