//! DescribeLogDirs, key 35, versions 1-5.
//!
//! v2: flexible. v3: an error for the whole answer. v4: total and usable bytes (KIP-827). v5: cordoned (KIP-1066).

use super::table::Call;
use crate::{broker::Broker, log_store::Directory, partitions::Partition, runtime::mover::Move};
use ottla_protocol::{
    ErrorCode, Str,
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
    let is_asked = |partition: &Partition| {
        let indexes = asked.as_ref().map(|asked| asked.get(&partition.topic));
        indexes.is_none_or(|indexes| indexes.is_some_and(|indexes| indexes.contains(&partition.index)))
    };
    let mut shown: Vec<Shown> = broker.partitions.all().iter().map(current).collect();
    shown.extend(broker.moves.all().iter().map(future));
    shown.retain(|each| is_asked(&each.partition));
    let cordoned = broker.cordoned_paths();
    let results = broker.logs.directories().iter().map(|dir| {
        let log_dir = dir.path().display().to_string();
        let is_cordoned = cordoned.contains(&log_dir);
        let result = DescribeLogDirsResult {
            log_dir: log_dir.into(),
            is_cordoned,
            ..Default::default()
        };
        match dir.is_offline() {
            true => DescribeLogDirsResult {
                error_code: ErrorCode::KafkaStorageError.code(),
                ..result
            },
            false => DescribeLogDirsResult {
                topics: topics(shown.iter().filter(|each| Arc::ptr_eq(&each.dir, dir))),
                total_bytes: space(dir.path()).0,
                usable_bytes: space(dir.path()).1,
                ..result
            },
        }
    });
    DescribeLogDirsResponse {
        results: results.collect(),
        ..Default::default()
    }
}

/// A log, or a copy that is being made of one.
struct Shown {
    partition: Arc<Partition>,
    dir: Arc<Directory>,
    answer: DescribeLogDirsPartition,
}

fn current(partition: &Arc<Partition>) -> Shown {
    let home = partition.home();
    let lag = home.log.high_watermark() - home.log.log_end_offset();
    Shown {
        partition: partition.clone(),
        answer: DescribeLogDirsPartition {
            partition_index: partition.index,
            partition_size: i64::try_from(home.log.size_bytes()).unwrap_or(i64::MAX),
            offset_lag: lag.max(0),
            is_future_key: false,
        },
        dir: home.dir.clone(),
    }
}

fn future(asked: &Move) -> Shown {
    let lag = asked.partition.log().log_end_offset() - asked.view.end_offset();
    Shown {
        partition: asked.partition.clone(),
        answer: DescribeLogDirsPartition {
            partition_index: asked.partition.index,
            partition_size: asked.view.size_bytes(),
            offset_lag: lag.max(0),
            is_future_key: true,
        },
        dir: asked.target.clone(),
    }
}

fn topics<'a>(shown: impl Iterator<Item = &'a Shown>) -> Vec<DescribeLogDirsTopic> {
    let mut by_topic: BTreeMap<&Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for each in shown {
        by_topic
            .entry(&each.partition.topic)
            .or_default()
            .push(each.answer.clone());
    }
    let topics = by_topic.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic {
            name: name.clone(),
            partitions,
        }
    });
    topics.collect()
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
