//! The range assignor: for each topic, each of its subscribers gets one run of partitions.
//!
//! Static members come first, by instance id, then dynamic ones by member id, so that a static member keeps its place
//! when it comes back. If all subscribe to the same topics, a member's runs of topics with as many partitions are the
//! same, so that records of equal key meet. Not sticky: a member that comes or goes moves those behind it.

use super::Candidate;
use crate::consumer::Partitions;
use ottla_protocol::ids::Uuid;
use std::{cmp::Ordering, collections::BTreeMap};

pub(super) fn assign(members: &[Candidate<'_>], partition_counts: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|a, b| compare(&members[*a], &members[*b]));
    let mut assigned = vec![Partitions::new(); members.len()];
    for (topic, count) in partition_counts {
        let is_subscriber = |index: &&usize| members[**index].topics.contains(topic);
        let subscribers: Vec<usize> = order.iter().filter(is_subscriber).copied().collect();
        for (index, range) in subscribers.iter().zip(ranges(*count, subscribers.len())) {
            if !range.is_empty() {
                assigned[*index].insert(*topic, range.collect());
            }
        }
    }
    assigned
}

fn compare(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    match (a.instance_id, b.instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.id.cmp(b.id),
    }
}

/// `count` partitions as `parts` runs, the first ones longer by one where it does not divide.
fn ranges(count: i32, parts: usize) -> impl Iterator<Item = std::ops::Range<i32>> {
    let parts = i32::try_from(parts).unwrap_or(i32::MAX).max(1);
    let (quota, extra) = (count / parts, count % parts);
    (0..parts).map(move |part| {
        let start = part * quota + part.min(extra);
        start..start + quota + i32::from(part < extra)
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Assignor,
            tests::{assigned, topic},
        },
        *,
    };
    use ottla_protocol::Str;
    use std::collections::BTreeSet;

    #[test]
    fn each_member_gets_the_same_run_of_each_topic() {
        let counts = [(topic(1), 5), (topic(2), 5)].into();
        let assigned = assigned(
            Assignor::Range,
            &counts,
            &[("a", &[1, 2]), ("b", &[1, 2])],
            &BTreeMap::new(),
        );
        let run = |from: i32, to: i32| -> Partitions {
            let partitions: BTreeSet<i32> = (from..to).collect();
            [(topic(1), partitions.clone()), (topic(2), partitions)].into()
        };
        assert_eq!(assigned, [("a".into(), run(0, 3)), ("b".into(), run(3, 5))].into());
    }

    #[test]
    fn static_members_come_first_by_instance_id() {
        let (ids, instances) = (
            ["a", "z", "y"].map(Str::from),
            [None, Some("i1"), Some("i0")].map(|id| id.map(Str::from)),
        );
        let nothing = Partitions::new();
        let members: Vec<Candidate<'_>> = ids
            .iter()
            .zip(&instances)
            .map(|(id, instance_id)| Candidate {
                id,
                instance_id: instance_id.as_ref(),
                topics: [topic(1)].into(),
                target: &nothing,
            })
            .collect();
        let assigned = assign(&members, &[(topic(1), 3)].into());
        let only = |partition: i32| Partitions::from([(topic(1), [partition].into())]);
        assert_eq!(assigned, [only(2), only(1), only(0)]);
    }

    #[test]
    fn whoever_comes_late_may_get_nothing() {
        let counts = [(topic(1), 1)].into();
        let assigned = assigned(Assignor::Range, &counts, &[("a", &[1]), ("b", &[1])], &BTreeMap::new());
        assert_eq!(assigned[&Str::from("b")], Partitions::new());
    }
}
