//! A group that only holds offsets: whoever commits is no member.

use crate::client::{Client, code};
use anyhow::ensure;
use ottla_protocol::{
    ErrorCode,
    messages::{
        FindCoordinatorRequest, OffsetCommitRequest,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    },
};

/// Commits offsets of one topic for a group.
///
/// # Errors
/// One of them was refused.
pub fn commit(client: &mut Client, group: &str, topic: &str, offsets: &[(i32, i64)]) -> crate::Result<()> {
    // Makes the topic for the offsets, if there is none.
    let find = FindCoordinatorRequest {
        coordinator_keys: vec![group.into()],
        ..Default::default()
    };
    client.call(&find, 4)?;
    let partition = |(index, offset): &(i32, i64)| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: *offset,
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: offsets.iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let response = client.call(&request, 8)?;
    let codes = response.topics.iter().flat_map(|topic| &topic.partitions);
    for answer in codes {
        ensure!(code(answer.error_code) == ErrorCode::None, "{answer:?}");
    }
    Ok(())
}
