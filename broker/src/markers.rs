//! Ends transactions in the logs that this broker leads.
//!
//! A marker in a partition of `__consumer_offsets` goes through the task of its groups, so that offsets count, or do not,
//! exactly where the log says so; in all others it is appended here.

use crate::{
    api::refusal,
    broker::Broker,
    coordinators::OFFSETS_TOPIC,
    fetching::TopicRef,
    partitions::{FlushWait, Partition},
};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
};
use std::sync::Arc;

/// What ends a transaction in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    /// Leader epoch of the coordinator's partition of `__transaction_state`: one that is out of date is refused.
    pub(crate) coordinator_epoch: i32,
    pub(crate) is_commit: bool,
    /// `transaction.version` under which the transaction was run, 0 where nobody says (WriteTxnMarkers before v2).
    pub(crate) transaction_version: i8,
}

/// A marker on its way.
enum Written {
    Done(ErrorCode),
    /// It is in the log and not on disk yet.
    Unflushed(FlushWait),
    /// Its partition has a coordinator of groups, which writes it.
    Groups(Arc<Partition>),
}

/// Appends the marker to these partitions, by topic and index. One answer for each, in their order, when it is as safe
/// as an acks=all produce; of a partition of `__consumer_offsets` when its groups know it too.
pub(crate) async fn write(broker: &Arc<Broker>, marker: &Marker, partitions: &[(Str, i32)]) -> Vec<ErrorCode> {
    // Before anything is waited for, so that all that has to be flushed is flushed at the same time.
    let written: Vec<Written> = partitions
        .iter()
        .map(|(topic, index)| begin(broker, marker, topic, *index))
        .collect();
    let mut answers = Vec::with_capacity(written.len());
    for written in written {
        answers.push(match written {
            Written::Done(code) => code,
            Written::Unflushed(flush) => match flush.done().await {
                Ok(()) => ErrorCode::None,
                Err(_) => ErrorCode::KafkaStorageError,
            },
            Written::Groups(partition) => {
                let ended = broker.coordinators.end_transaction(&partition, *marker).await;
                ended.err().unwrap_or(ErrorCode::None)
            }
        });
    }
    answers
}

fn begin(broker: &Broker, marker: &Marker, topic: &Str, index: i32) -> Written {
    let image = broker.image.load();
    let topic_ref = TopicRef::Name(topic.clone());
    let Some(partition) = broker.partitions.find(&image, &topic_ref, index) else {
        let otherwise = ErrorCode::UnknownTopicOrPartition;
        return Written::Done(broker.partitions.absence(&image, &topic_ref, index, otherwise));
    };
    if partition.leader().0 != broker.node_id {
        return Written::Done(ErrorCode::NotLeaderOrFollower);
    }
    if **topic == *OFFSETS_TOPIC {
        return Written::Groups(partition);
    }
    match partition.append_marker(marker) {
        Ok(placed) => placed.flush.map_or(Written::Done(ErrorCode::None), Written::Unflushed),
        Err(error) => Written::Done(refusal::not_appended(&error)),
    }
}
