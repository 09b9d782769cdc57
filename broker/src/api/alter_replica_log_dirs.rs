//! AlterReplicaLogDirs, key 34, versions 1-2 (KIP-113). v2: flexible.
//!
//! Has logs moved to other directories of this broker; the answer comes at once, DescribeLogDirs shows how far they are.

use super::table::Call;
use crate::{broker::Broker, fetching::TopicRef, log_store::Directory};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse,
        alter_replica_log_dirs_response::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult},
    },
};
use ottla_replication::controller::check_topic_name;
use ottla_storage::{LogDir, TopicPartition};
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let cordoned = broker.cordoned_paths();
    let mut results: BTreeMap<Str, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for asked in request.dirs {
        let target = target(broker, &asked.path);
        for topic in asked.topics {
            let answers = topic.partitions.iter().map(|index| {
                let moved = target.and_then(|target| alter(broker, &topic.name, *index, target, &cordoned));
                AlterReplicaLogDirPartitionResult {
                    partition_index: *index,
                    error_code: moved.err().unwrap_or(ErrorCode::None).code(),
                }
            });
            results.entry(topic.name.clone()).or_default().extend(answers);
        }
    }
    let results = results
        .into_iter()
        .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions });
    AlterReplicaLogDirsResponse {
        results: results.collect(),
        ..Default::default()
    }
}

fn target<'a>(broker: &'a Broker, path: &str) -> Result<&'a Arc<Directory>, ErrorCode> {
    let found = broker
        .logs
        .directories()
        .iter()
        .find(|dir| dir.path().as_os_str() == path);
    let found = found.ok_or(ErrorCode::LogDirNotFound)?;
    match found.is_offline() {
        true => Err(ErrorCode::KafkaStorageError),
        false => Ok(found),
    }
}

fn alter(
    broker: &Broker,
    topic: &Str,
    index: i32,
    target: &Arc<Directory>,
    cordoned: &[String],
) -> Result<(), ErrorCode> {
    let name = TopicPartition::new(topic, index);
    if !LogDir::has_future_name(&name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    // Also where the log lies there already, as with Kafka.
    if cordoned.iter().any(|path| target.path().as_os_str() == path.as_str()) {
        return Err(ErrorCode::InvalidReplicaAssignment);
    }
    let image = broker.image.load();
    let topic_ref = TopicRef::Name(topic.clone());
    match broker.partitions.find(&image, &topic_ref, index) {
        Some(partition) => {
            broker.moves.ask(&partition, target);
            Ok(())
        }
        None => {
            let otherwise = match image.topics().partition(topic, index) {
                Some(_) => ErrorCode::NotLeaderOrFollower,
                None => ErrorCode::UnknownTopicOrPartition,
            };
            let error = broker.partitions.absence(&image, &topic_ref, index, otherwise);
            let may_come = index >= 0 && check_topic_name(topic).is_ok();
            if error != ErrorCode::KafkaStorageError && may_come {
                broker.logs.prefer(name, target);
            }
            Err(error)
        }
    }
}
