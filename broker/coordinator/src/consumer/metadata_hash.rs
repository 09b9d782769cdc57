//! The hash of what a group's topics look like: a change of it begins a new group epoch.
//!
//! ```text
//! topic  XXH3-64 of: 0 (1 byte), id (2 × int64), name, partition count (int32), and for each partition its number
//!        (int32) and for each of its racks, sorted: length (int32), name
//! group  0 without topics, else XXH3-64 of the topics' hashes (int64), by ascending name
//! name   UTF-16 units, then their count (int32); integers are little-endian
//! ```
//! Kafka's own, so that a group that moves between Apache Kafka and Ottla does not rebalance for it.

use crate::cluster::{ClusterView, Topic};
use ottla_protocol::Str;
use std::collections::{BTreeMap, BTreeSet};
use twox_hash::XxHash3_64;

/// The hashes of topics in the current view of the cluster; those that were asked for.
#[derive(Debug, Default)]
pub(crate) struct TopicHashes {
    by_name: BTreeMap<Str, Option<i64>>,
}

impl TopicHashes {
    /// The view of the cluster is another one.
    pub(crate) fn forget(&mut self) {
        self.by_name.clear();
    }

    /// The hash of the topics among `names` that exist.
    pub(super) fn of_group(&mut self, cluster: &dyn ClusterView, names: &BTreeSet<Str>) -> i64 {
        let hashes = names.iter().filter_map(|name| self.of_topic(cluster, name));
        let bytes: Vec<u8> = hashes.flat_map(i64::to_le_bytes).collect();
        if bytes.is_empty() { 0 } else { xxh3(&bytes) }
    }

    fn of_topic(&mut self, cluster: &dyn ClusterView, name: &Str) -> Option<i64> {
        if let Some(hash) = self.by_name.get(name) {
            return *hash;
        }
        let hash = cluster.topic(name).map(|topic| topic_hash(name, &topic));
        self.by_name.insert(name.clone(), hash);
        hash
    }
}

fn xxh3(bytes: &[u8]) -> i64 {
    XxHash3_64::oneshot(bytes).cast_signed()
}

fn topic_hash(name: &str, topic: &Topic) -> i64 {
    let mut bytes = vec![0];
    let (most, least) = topic.id.0.split_at(8);
    bytes.extend(most.iter().rev());
    bytes.extend(least.iter().rev());
    put_text(&mut bytes, name);
    bytes.extend(topic.partition_count.to_le_bytes());
    for partition in 0..topic.partition_count {
        bytes.extend(partition.to_le_bytes());
        let racks = usize::try_from(partition).ok().and_then(|index| topic.racks.get(index));
        let mut racks: Vec<&Str> = racks.into_iter().flatten().collect();
        racks.sort();
        for rack in racks {
            bytes.extend(units(rack).to_le_bytes());
            put_text(&mut bytes, rack);
        }
    }
    xxh3(&bytes)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    text.encode_utf16().for_each(|unit| bytes.extend(unit.to_le_bytes()));
    bytes.extend(units(text).to_le_bytes());
}

fn units(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Uuid;

    #[test]
    fn topics_and_groups_hash_as_in_kafka() {
        // Hashing.xxh3_64() of hash4j 0.22.0, fed as Kafka 4.4 feeds it.
        let topic = Topic {
            id: Uuid([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]),
            partition_count: 2,
            racks: vec![vec!["r1".into()], Vec::new()],
        };
        assert_eq!(topic_hash("topic-ä", &topic), 4_175_116_538_311_098_199);
        let bytes: Vec<u8> = [5_i64, -6].into_iter().flat_map(i64::to_le_bytes).collect();
        assert_eq!(xxh3(&bytes), -8_035_532_103_161_863_932);
    }
}
