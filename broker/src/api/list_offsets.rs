//! ListOffsets, key 2, versions 1-11.
//!
//! v2: isolation level. v4: leader epochs. v6: flexible. v7: max timestamp -3 (KIP-734). v8: local start -4
//! (KIP-405). v9: last tiered offset -5 (KIP-1005). v10: time-out for remote look-ups (KIP-1075). v11: earliest
//! pending upload -6 (KIP-1023). Nothing is tiered here: -4 is the log start, -5 and -6 have no answer.

use super::table::Call;
use crate::{broker::Broker, fetching::TopicRef, partitions::Partition};
use ottla_protocol::{
    ErrorCode,
    ids::LeaderEpoch,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
};
use ottla_storage::{LookUpError, TimestampAndOffset, disk::without_waiting};
use std::{collections::HashSet, sync::Arc};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

const READ_COMMITTED: i8 = 1;

/// The first version that may ask with each special timestamp below -2.
fn first_version_of(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => 0,
    }
}

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let is_read_committed = request.isolation_level == READ_COMMITTED;
    let mut seen = HashSet::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let topic_ref = TopicRef::Name(topic.name.clone());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let is_repeated = !seen.insert((topic.name.clone(), asked.partition_index));
            let found = match is_repeated {
                true => Err(ErrorCode::InvalidRequest),
                false => find(broker, call, &topic_ref, asked, is_read_committed).await,
            };
            let mut answer = found.unwrap_or_else(|error| ListOffsetsPartitionResponse {
                error_code: error.code(),
                ..Default::default()
            });
            answer.partition_index = asked.partition_index;
            partitions.push(answer);
        }
        topics.push(ListOffsetsTopicResponse {
            partitions,
            name: topic.name,
        });
    }
    ListOffsetsResponse {
        topics,
        ..Default::default()
    }
}

async fn find(
    broker: &Broker,
    call: &Call,
    topic: &TopicRef,
    asked: &ListOffsetsPartition,
    is_read_committed: bool,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    if call.version < first_version_of(asked.timestamp) || asked.timestamp < EARLIEST_PENDING_UPLOAD {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let (image, index) = (broker.image.load_full(), asked.partition_index);
    let partition = broker.partitions.find(&image, topic, index).ok_or_else(|| {
        let otherwise = ErrorCode::UnknownTopicOrPartition;
        broker.partitions.absence(&image, topic, index, otherwise)
    })?;
    partition.check_leader_epoch(asked.current_leader_epoch)?;
    match asked.timestamp {
        LATEST => {
            let offset = partition.readable_end(is_read_committed);
            Ok(answer(-1, offset, partition.leader().1.0))
        }
        EARLIEST | EARLIEST_LOCAL => {
            let offset = partition.log().log_start_offset();
            Ok(answer(
                -1,
                offset,
                partition.log().epoch_for_offset(offset).unwrap_or(LeaderEpoch::NONE).0,
            ))
        }
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(answer(-1, -1, -1)),
        timestamp => by_timestamp(broker, &partition, timestamp, is_read_committed).await,
    }
}

/// Looks in memory first, and where that would have to wait for the disk, in the turn of this request.
async fn by_timestamp(
    broker: &Broker,
    partition: &Arc<Partition>,
    timestamp: i64,
    is_read_committed: bool,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let found = match without_waiting(|| look_up(partition, timestamp)) {
        Err(error) if error.would_wait() => {
            let cold = partition.clone();
            let found = broker.cold_reads.run(move || look_up(&cold, timestamp)).await;
            found.ok_or(ErrorCode::UnknownServerError)?
        }
        found => found,
    };
    let found = found.map_err(|error| partition.storage_fault(&error))?;
    // Beyond what the client may read there is no answer, as if the record were not there yet.
    Ok(
        match found.filter(|found| found.offset < partition.readable_end(is_read_committed)) {
            Some(found) => answer(found.timestamp, found.offset, found.leader_epoch.0),
            None => answer(-1, -1, -1),
        },
    )
}

fn look_up(partition: &Partition, timestamp: i64) -> Result<Option<TimestampAndOffset>, LookUpError> {
    partition.on_log(|log| match timestamp {
        MAX_TIMESTAMP => log.max_timestamp(),
        timestamp => log.offset_for_timestamp(timestamp),
    })
}

fn answer(timestamp: i64, offset: i64, leader_epoch: i32) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        timestamp,
        offset,
        leader_epoch,
        ..Default::default()
    }
}
