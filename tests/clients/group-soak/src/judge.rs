//! What must be true of all members together.

use crate::life::{Event, Life, Partition, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Offsets that the broker has acknowledged.
pub(crate) type Written = BTreeMap<Partition, BTreeSet<i64>>;

/// How many faults of one kind are told.
const TOLD: usize = 5;

/// Partitions that two members of a group had at the same time.
pub(crate) fn two_owners(lives: &[&Life]) -> Vec<String> {
    let mut by_partition: BTreeMap<(&str, Partition), Vec<(Span, &str)>> = BTreeMap::new();
    for life in lives {
        for span in life.spans() {
            let key = (life.group.as_str(), span.partition.clone());
            by_partition.entry(key).or_default().push((span, &life.name));
        }
    }
    let mut faults = Vec::new();
    for ((group, (topic, index)), mut spans) in by_partition {
        spans.sort_by_key(|(span, _)| span.from);
        let mut last: Option<(u64, &str)> = None;
        for (span, name) in &spans {
            if let Some((until, other)) = last.filter(|(until, other)| span.from < *until && other != name) {
                faults.push(format!(
                    "{group}: {topic}-{index} was {other}'s until {until} and {name}'s from {}",
                    span.from
                ));
            }
            if last.is_none_or(|(until, _)| until < span.to) {
                last = Some((span.to, name));
            }
        }
    }
    first_few(faults)
}

/// Acknowledged records that no member of a group has read.
pub(crate) fn unread(lives: &[&Life], group: &str, written: &Written) -> Vec<String> {
    let mut unread = written.clone();
    for life in lives.iter().filter(|life| life.group == group) {
        for (_, event) in &life.events {
            if let Event::Read(partition, offset) = event
                && let Some(offsets) = unread.get_mut(partition)
            {
                offsets.remove(offset);
            }
        }
    }
    let left = unread.into_iter().filter(|(_, offsets)| !offsets.is_empty());
    let told = left.map(|((topic, index), offsets)| {
        let some: Vec<&i64> = offsets.iter().take(TOLD).collect();
        format!("{group}: {topic}-{index}: {} unread: {some:?}...", offsets.len())
    });
    first_few(told.collect())
}

/// Members that began before an offset which had been committed when they were given the partition.
pub(crate) fn moved_back(lives: &[&Life], group: &str) -> Vec<String> {
    let lives: Vec<&&Life> = lives.iter().filter(|life| life.group == group).collect();
    let mut commits: BTreeMap<&Partition, Vec<(u64, i64)>> = BTreeMap::new();
    for life in &lives {
        for (at, event) in &life.events {
            if let Event::Committed { partition, next, .. } = event {
                commits.entry(partition).or_default().push((*at, *next));
            }
        }
    }
    let mut faults = Vec::new();
    for life in lives {
        let mut begins: BTreeMap<&Partition, u64> = BTreeMap::new();
        for (at, event) in &life.events {
            match event {
                Event::Assigned(partitions) => begins.extend(partitions.iter().map(|each| (each, *at))),
                Event::Read(partition, offset) => {
                    let Some(begun) = begins.remove(partition) else {
                        continue;
                    };
                    let before = commits.get(partition).into_iter().flatten();
                    let committed = before.filter(|(at, _)| *at < begun).map(|(_, next)| *next).max();
                    if let Some(committed) = committed.filter(|committed| offset < committed) {
                        let (topic, index) = partition;
                        faults.push(format!(
                            "{group}: {} began {topic}-{index} at {offset}, and {committed} had been committed",
                            life.name
                        ));
                    }
                }
                _ => {}
            }
        }
    }
    first_few(faults)
}

fn first_few(mut faults: Vec<String>) -> Vec<String> {
    if faults.len() > TOLD {
        let more = faults.len() - TOLD;
        faults.truncate(TOLD);
        faults.push(format!("and {more} more"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::tests::{life, partition};

    #[test]
    fn a_partition_that_is_given_before_it_is_given_up_is_found() {
        let first = life("a", &["10 assigned t 0", "30 revoked t 0"]);
        let early = life("b", &["29 assigned t 0", "40 leaving"]);
        let in_time = life("b", &["30 assigned t 0", "40 leaving"]);
        assert_eq!(two_owners(&[&first, &early]).len(), 1);
        assert_eq!(two_owners(&[&first, &in_time]), Vec::<String>::new());
    }

    #[test]
    fn an_owner_within_the_time_of_a_longer_one_is_found() {
        let long = life("a", &["10 assigned t 0", "90 revoked t 0"]);
        let short = life("b", &["20 assigned t 0", "30 leaving"]);
        let later = life("c", &["40 assigned t 0", "50 leaving"]);
        assert_eq!(two_owners(&[&long, &short, &later]).len(), 2);
    }

    #[test]
    fn a_record_that_nobody_of_the_group_has_read_is_found() {
        let reader = life("a", &["10 read t 0 1"]);
        let written = [(partition(0), [1, 2].into())].into();
        assert_eq!(unread(&[&reader], "g", &written).len(), 1);
        assert_eq!(
            unread(&[&reader], "g", &[(partition(0), [1].into())].into()),
            Vec::<String>::new()
        );
        assert_eq!(unread(&[&reader], "another", &written).len(), 1);
    }

    #[test]
    fn a_committed_offset_that_moved_back_is_found() {
        let before = life("a", &["10 assigned t 0", "12 committed 11 t 0 5", "20 revoked t 0"]);
        let behind = life("b", &["30 assigned t 0", "31 read t 0 4"]);
        let right = life("b", &["30 assigned t 0", "31 read t 0 5"]);
        let early = life("b", &["11 assigned t 0", "31 read t 0 4"]);
        assert_eq!(moved_back(&[&before, &behind], "g").len(), 1);
        assert_eq!(moved_back(&[&before, &right], "g"), Vec::<String>::new());
        assert_eq!(moved_back(&[&before, &early], "g"), Vec::<String>::new());
    }
}
