//! Members that subscribe to different topics.

use super::{Candidate, kept, size};
use crate::consumer::Partitions;
use ottla_protocol::ids::Uuid;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn assign(members: &[Candidate<'_>], partition_counts: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
    let (assigned, free) = kept(members, partition_counts);
    let loads = assigned.iter().map(size).collect();
    let mut balance = Balance {
        subscribers: subscribers(members),
        assigned,
        loads,
    };
    balance.place(&free);
    while balance.even_out() {}
    balance.assigned
}

/// The members of each topic, by their place.
fn subscribers(members: &[Candidate<'_>]) -> BTreeMap<Uuid, Vec<usize>> {
    let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        for topic in &member.topics {
            subscribers.entry(*topic).or_default().push(index);
        }
    }
    subscribers
}

struct Balance {
    subscribers: BTreeMap<Uuid, Vec<usize>>,
    assigned: Vec<Partitions>,
    /// How many partitions each member has.
    loads: Vec<usize>,
}

impl Balance {
    /// Gives what nobody has to the subscriber with the least; topics with few subscribers first, since they have the
    /// least choice.
    fn place(&mut self, free: &[(Uuid, i32)]) {
        let mut by_topic: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in free {
            by_topic.entry(*topic).or_default().push(*partition);
        }
        let mut topics: Vec<(Uuid, Vec<i32>)> = by_topic.into_iter().collect();
        topics.sort_by_key(|(topic, _)| (self.subscribers[topic].len(), *topic));
        for (topic, partitions) in topics {
            let mut queue = self.by_load(topic);
            for partition in partitions {
                if let Some((load, index)) = queue.pop_first() {
                    self.assigned[index].entry(topic).or_default().insert(partition);
                    self.loads[index] = load + 1;
                    queue.insert((load + 1, index));
                }
            }
        }
    }

    fn by_load(&self, topic: Uuid) -> BTreeSet<(usize, usize)> {
        let subscribers = self.subscribers[&topic].iter();
        subscribers.map(|index| (self.loads[*index], *index)).collect()
    }

    /// Goes through all topics once. Each move takes from one with at least two more, so that this comes to an end.
    fn even_out(&mut self) -> bool {
        let topics: Vec<Uuid> = self.subscribers.keys().copied().collect();
        let mut has_moved = false;
        for topic in topics {
            has_moved |= self.even_out_topic(topic);
        }
        has_moved
    }

    fn even_out_topic(&mut self, topic: Uuid) -> bool {
        let mut all = self.by_load(topic);
        let mut givers: BTreeSet<(usize, usize)> = all
            .iter()
            .filter(|(_, index)| self.assigned[*index].contains_key(&topic))
            .copied()
            .collect();
        let mut has_moved = false;
        while let (Some(&least), Some(&most)) = (all.first(), givers.last()) {
            if most.0 < least.0 + 2 {
                break;
            }
            all.remove(&least);
            all.remove(&most);
            givers.remove(&most);
            givers.remove(&least);
            self.give(topic, most.1, least.1);
            for index in [least.1, most.1] {
                let entry = (self.loads[index], index);
                all.insert(entry);
                if self.assigned[index].contains_key(&topic) {
                    givers.insert(entry);
                }
            }
            has_moved = true;
        }
        has_moved
    }

    /// Moves the last partition of a topic.
    fn give(&mut self, topic: Uuid, from: usize, to: usize) {
        let Some(partitions) = self.assigned[from].get_mut(&topic) else {
            return;
        };
        let last = partitions.pop_last();
        if partitions.is_empty() {
            self.assigned[from].remove(&topic);
        }
        if let Some(partition) = last {
            self.assigned[to].entry(topic).or_default().insert(partition);
            self.loads[from] -= 1;
            self.loads[to] += 1;
        }
    }
}
