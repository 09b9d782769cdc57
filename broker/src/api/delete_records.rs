//! DeleteRecords, key 21, versions 0-2. v2: flexible.
//!
//! Moves the log start offset; -1 means up to the high watermark (KIP-107).

use super::table::Call;
use crate::{broker::Broker, fetching::TopicRef};
use ottla_protocol::{
    ErrorCode,
    ids::Offset,
    messages::{
        DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
};
use ottla_storage::DeleteRecordsError;
use std::sync::Arc;

const UP_TO_HIGH_WATERMARK: Offset = -1;

pub(super) async fn handle(broker: &Arc<Broker>, _call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let topic_ref = TopicRef::Name(topic.name.clone());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let deleted = delete(broker, &topic_ref, asked.partition_index, asked.offset).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark: *deleted.as_ref().unwrap_or(&-1),
                error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        topics.push(DeleteRecordsTopicResult {
            name: topic.name,
            partitions,
        });
    }
    DeleteRecordsResponse {
        topics,
        ..Default::default()
    }
}

async fn delete(broker: &Broker, topic: &TopicRef, index: i32, offset: Offset) -> Result<Offset, ErrorCode> {
    let image = broker.image.load_full();
    let partition = broker.partitions.find(&image, topic, index).ok_or_else(|| {
        let otherwise = ErrorCode::UnknownTopicOrPartition;
        broker.partitions.absence(&image, topic, index, otherwise)
    })?;
    if !partition.may_delete_records() {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.log().high_watermark();
    let before = if offset == UP_TO_HIGH_WATERMARK {
        high_watermark
    } else {
        offset
    };
    if before < 0 || before > high_watermark {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let partition_for_io = partition.clone();
    let deleted = tokio::task::spawn_blocking(move || partition_for_io.delete_records_before(before)).await;
    match deleted {
        Ok(Ok(())) => Ok(partition.log().log_start_offset()),
        Ok(Err(error)) => Err(match error {
            DeleteRecordsError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            DeleteRecordsError::Offline => ErrorCode::KafkaStorageError,
        }),
        Err(_) => Err(ErrorCode::UnknownServerError),
    }
}
