//! AlterReplicaLogDirs, key 34, versions 1-2 (KIP-113). v2: flexible.
//!
//! Has logs moved to other directories of this broker. The answer comes when the moves have begun: from then on they go on
//! after a crash, too. DescribeLogDirs shows how far they are.

use super::table::Call;
use crate::{broker::Broker, fetching::TopicRef, log_store::Directory, runtime::mover::Begin};
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
use tokio::sync::watch;

/// Where to hear that a move has begun, if there is one.
type Begun = Option<watch::Receiver<Begin>>;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let mut results: BTreeMap<Str, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    // All are asked for before one is waited for.
    for (topic, partition_index, moved) in ask(broker, request) {
        let error = match moved {
            Ok(begun) => outcome(begun).await,
            Err(error) => error,
        };
        results
            .entry(topic)
            .or_default()
            .push(AlterReplicaLogDirPartitionResult {
                partition_index,
                error_code: error.code(),
            });
    }
    let results = results
        .into_iter()
        .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions });
    AlterReplicaLogDirsResponse {
        results: results.collect(),
        ..Default::default()
    }
}

fn ask(broker: &Broker, request: AlterReplicaLogDirsRequest) -> Vec<(Str, i32, Result<Begun, ErrorCode>)> {
    let cordoned = broker.cordoned_paths();
    let mut asked = Vec::new();
    for dir in request.dirs {
        let target = target(broker, &dir.path);
        for topic in dir.topics {
            asked.extend(topic.partitions.iter().map(|index| {
                let moved = target.and_then(|target| alter(broker, &topic.name, *index, target, &cordoned));
                (topic.name.clone(), *index, moved)
            }));
        }
    }
    asked
}

/// What a move that is wanted has come to.
async fn outcome(begun: Begun) -> ErrorCode {
    let Some(mut begun) = begun else {
        return ErrorCode::None;
    };
    let told = begun.wait_for(|begin| *begin != Begin::Awaited).await;
    match told.map(|begin| *begin) {
        Ok(Begin::Failed) => ErrorCode::KafkaStorageError,
        // Another request has called it off, or moves the log elsewhere.
        Ok(_) | Err(_) => ErrorCode::None,
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
) -> Result<Begun, ErrorCode> {
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
        Some(partition) => Ok(broker.moves.ask(&partition, target)),
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
