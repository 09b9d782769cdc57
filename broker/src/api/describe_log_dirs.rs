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
use std::{collections::BTreeMap, path::Path, sync::Arc};

pub(super) fn handle(broker: &Arc<Broker>, _call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let is_asked = |partition: &Partition| is_asked(request.topics.as_deref(), partition);
    let shown: Vec<Arc<Partition>> = broker
        .partitions
        .all()
        .into_iter()
        .filter(|each| is_asked(each))
        .collect();
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

/// Null asks for everything.
fn is_asked(topics: Option<&[DescribableLogDirTopic]>, partition: &Partition) -> bool {
    let Some(topics) = topics else { return true };
    topics
        .iter()
        .any(|topic| topic.topic == partition.topic && topic.partitions.contains(&partition.index))
}

/// Bytes of the file system in all, and free for us; -1 where it does not say.
fn space(path: &Path) -> (i64, i64) {
    let Ok(status) = rustix::fs::statvfs(path) else {
        return (-1, -1);
    };
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(status.f_frsize)).unwrap_or(i64::MAX);
    (bytes(status.f_blocks), bytes(status.f_bavail))
}
