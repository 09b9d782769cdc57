//! DescribeLogDirs, key 35, versions 1-5.
//!
//! v2: flexible. v3: an error for the whole answer. v4: total and usable bytes (KIP-827). v5: cordoned (KIP-1066).

use super::table::Call;
use crate::{broker::Broker, partitions::Partition};
use ottla_protocol::{
    Str,
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse,
        describe_log_dirs_request::DescribableLogDirTopic,
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
    },
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

pub(super) fn handle(broker: &Arc<Broker>, _call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked = request.topics.as_deref().map(by_topic);
    let mut shown: Vec<Arc<Partition>> = broker.partitions.all();
    if let Some(asked) = asked {
        shown.retain(|partition| {
            let indexes = asked.get(&partition.topic);
            indexes.is_some_and(|indexes| indexes.contains(&partition.index))
        });
    }
    let results = broker.logs.paths().enumerate().map(|(place, path)| {
        let mut topics: BTreeMap<&Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for partition in &shown {
            if broker.logs.place_of(&partition.topic, partition.index) == Some(place) {
                topics
                    .entry(&partition.topic)
                    .or_default()
                    .push(DescribeLogDirsPartition {
                        partition_index: partition.index,
                        partition_size: i64::try_from(partition.log.size_bytes()).unwrap_or(i64::MAX),
                        offset_lag: 0,
                        is_future_key: false,
                    });
            }
        }
        let (total_bytes, usable_bytes) = space(path);
        DescribeLogDirsResult {
            log_dir: path.display().to_string().into(),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| show_topic(name, partitions))
                .collect(),
            total_bytes,
            usable_bytes,
            ..Default::default()
        }
    });
    DescribeLogDirsResponse {
        results: results.collect(),
        ..Default::default()
    }
}

fn show_topic(name: &Str, mut partitions: Vec<DescribeLogDirsPartition>) -> DescribeLogDirsTopic {
    partitions.sort_by_key(|partition| partition.partition_index);
    DescribeLogDirsTopic {
        name: name.clone(),
        partitions,
    }
}

/// The partitions asked for, ready for being looked up.
fn by_topic(topics: &[DescribableLogDirTopic]) -> HashMap<&Str, HashSet<i32>> {
    let mut asked: HashMap<&Str, HashSet<i32>> = HashMap::new();
    for topic in topics {
        asked.entry(&topic.topic).or_default().extend(&topic.partitions);
    }
    asked
}

/// Bytes of the file system in all, and free for us; -1 where it does not say.
fn space(path: &Path) -> (i64, i64) {
    let Ok(status) = rustix::fs::statvfs(path) else {
        return (-1, -1);
    };
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(status.f_frsize)).unwrap_or(i64::MAX);
    (bytes(status.f_blocks), bytes(status.f_bavail))
}
