//! Transactions by hand: the records of one, and what its coordinator sends.

use crate::client::{Client, code, first_code, now_ms, produce_request};
use anyhow::Context;
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    messages::{
        TxnOffsetCommitRequest, WriteTxnMarkersRequest,
        txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
        write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
    },
    records::{BatchBuilder, NewRecord},
};

/// Before this version of Produce the client adds partitions to a transaction, and the broker may believe it.
pub const PRODUCE_WITHOUT_ADDING: i16 = 11;

/// With this setting a partition's leader believes that it is part of the transaction: what these tests need, where
/// nobody coordinates one.
pub const UNVERIFIED: &str = "transaction.partition.verification.enable=false";

/// A producer of one transactional id.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

impl Producer {
    /// A batch of one record that is part of its transaction.
    pub fn batch(self, first_sequence: i32, value: &[u8]) -> Bytes {
        let mut builder = BatchBuilder::new()
            .producer(ProducerId(self.id), ProducerEpoch(self.epoch), first_sequence)
            .transactional();
        builder.append(&NewRecord::of(now_ms(), b"key", value));
        builder.build()
    }

    /// Writes such a batch, in the last version that does not add the partition; returns the code and the offset.
    pub fn produce(
        self,
        client: &mut Client,
        (topic, partition): (&str, i32),
        first_sequence: i32,
    ) -> crate::Result<(ErrorCode, i64)> {
        let mut request = produce_request(topic, partition, self.batch(first_sequence, b"value"), -1);
        request.transactional_id = Some("by hand".into());
        let response = client.call(&request, PRODUCE_WITHOUT_ADDING)?;
        Ok((
            first_code(&response)?,
            response.responses[0].partition_responses[0].base_offset,
        ))
    }

    /// Commits an offset for partition 0 of the topic `t` as part of its transaction, for whoever is in no group.
    pub fn commit(self, client: &mut Client, group: &str, offset: i64) -> crate::Result<ErrorCode> {
        let response = client.call(&self.commit_request(group, offset), 4)?;
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        Ok(code(partition.context("an answer for the partition")?.error_code))
    }

    /// The request of [`Producer::commit`].
    pub fn commit_request(self, group: &str, offset: i64) -> TxnOffsetCommitRequest {
        TxnOffsetCommitRequest {
            transactional_id: "by hand".into(),
            group_id: group.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    /// What ends its transaction, under `transaction.version` 1, as a coordinator of epoch 0 says it.
    pub fn marker(self, is_commit: bool, partitions: &[(&str, i32)]) -> WritableTxnMarker {
        WritableTxnMarker {
            producer_id: self.id,
            producer_epoch: self.epoch,
            transaction_result: is_commit,
            topics: partitions
                .iter()
                .map(|(topic, partition)| WritableTxnMarkerTopic {
                    name: (*topic).into(),
                    partition_indexes: vec![*partition],
                })
                .collect(),
            coordinator_epoch: 0,
            transaction_version: 1,
        }
    }

    /// Ends its transaction in one partition.
    pub fn end(self, client: &mut Client, is_commit: bool, partition: (&str, i32)) -> crate::Result<ErrorCode> {
        Ok(write_markers(client, vec![self.marker(is_commit, &[partition])])?[0])
    }
}

/// Sends markers as a coordinator does; the code of each partition, in their order.
pub fn write_markers(client: &mut Client, markers: Vec<WritableTxnMarker>) -> crate::Result<Vec<ErrorCode>> {
    let response = client.call(&WriteTxnMarkersRequest { markers }, 2)?;
    let topics = response.markers.iter().flat_map(|marker| &marker.topics);
    let partitions = topics.flat_map(|topic| &topic.partitions);
    Ok(partitions.map(|partition| code(partition.error_code)).collect())
}
