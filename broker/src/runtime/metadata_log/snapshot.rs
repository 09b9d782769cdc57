//! What a snapshot of the metadata contains (KIP-630): a header, the voters (KIP-853), the records of an image, a
//! footer, as record batches with offsets from 0.

use super::MetadataLogError;
use bytes::Bytes;
use ottla_protocol::{
    Message, Str,
    ids::{LeaderEpoch, NodeId, Offset, TimestampMs, Uuid},
    messages::{
        KRaftVersionRecord, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
        voters_record::{Endpoint, KRaftVersionFeature, Voter},
    },
    records::{BatchBuilder, ControlType, NewRecord},
};
use ottla_replication::{
    controller::record_version,
    image::{MetadataImage, Position},
};

/// Records in one batch of a snapshot.
const RECORDS_PER_BATCH: usize = 1000;
/// With dynamic voters (KIP-853).
const KRAFT_VERSION: i16 = 1;

/// Who the quorum is: this node.
#[derive(Clone, Debug)]
pub(crate) struct QuorumFacts {
    pub(crate) node_id: NodeId,
    pub(crate) directory_id: Uuid,
    /// Name, host and port of the listener for controllers.
    pub(crate) endpoint: (Str, Str, u16),
}

/// Which records a snapshot stands for: those before `end_offset`, the last of them of `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotId {
    pub(crate) end_offset: Offset,
    pub(crate) epoch: LeaderEpoch,
}

impl SnapshotId {
    /// The one that a quorum starts from.
    pub(crate) const BOOTSTRAP: Self = Self {
        end_offset: 0,
        epoch: LeaderEpoch(0),
    };

    pub(crate) fn of(position: Position) -> Self {
        Self {
            end_offset: position.offset + 1,
            epoch: position.epoch,
        }
    }

    pub(crate) fn position(self) -> Position {
        Position {
            offset: self.end_offset - 1,
            epoch: self.epoch,
            timestamp_ms: -1,
        }
    }

    pub(crate) fn file_name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.end_offset, self.epoch.0)
    }

    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let (end_offset, epoch) = file_name.strip_suffix(".checkpoint")?.split_once('-')?;
        let is_id = end_offset.len() == 20 && epoch.len() == 10;
        let id = Self {
            end_offset: end_offset.parse().ok()?,
            epoch: LeaderEpoch(epoch.parse().ok()?),
        };
        is_id.then_some(id)
    }
}

/// The snapshot that a new quorum starts from: nothing but its voters.
pub(super) fn bootstrap(facts: &QuorumFacts) -> Result<Bytes, MetadataLogError> {
    Contents::new(SnapshotId::BOOTSTRAP.epoch, -1)
        .with_quorum(facts)?
        .finish()
}

/// The snapshot of an image.
pub(super) fn of_image(image: &MetadataImage, facts: &QuorumFacts) -> Result<Bytes, MetadataLogError> {
    let position = image.position;
    let mut contents = Contents::new(position.epoch, position.timestamp_ms).with_quorum(facts)?;
    let features = image.features();
    for records in image.to_records().chunks(RECORDS_PER_BATCH) {
        let mut batch = BatchBuilder::new();
        for record in records {
            let value = record.to_value(record_version(record, features))?;
            let timestamp = position.timestamp_ms;
            batch.append(&NewRecord {
                timestamp,
                key: None,
                value: Some(&value),
                headers: &[],
            });
        }
        contents.push(batch);
    }
    contents.finish()
}

struct Contents {
    bytes: Vec<u8>,
    next_offset: Offset,
    epoch: LeaderEpoch,
    timestamp_ms: TimestampMs,
}

impl Contents {
    fn new(epoch: LeaderEpoch, timestamp_ms: TimestampMs) -> Self {
        Self {
            bytes: Vec::new(),
            next_offset: 0,
            epoch,
            timestamp_ms,
        }
    }

    fn push(&mut self, batch: BatchBuilder) {
        let count = i64::from(batch.records_count());
        self.bytes
            .extend_from_slice(&batch.base_offset(self.next_offset).leader_epoch(self.epoch).build());
        self.next_offset += count;
    }

    fn with_quorum(mut self, facts: &QuorumFacts) -> Result<Self, MetadataLogError> {
        let header = SnapshotHeaderRecord {
            version: 0,
            last_contained_log_timestamp: self.timestamp_ms.max(0),
        };
        let version = KRaftVersionRecord {
            version: 0,
            k_raft_version: KRAFT_VERSION,
        };
        let (name, host, port) = facts.endpoint.clone();
        let voter = Voter {
            voter_id: facts.node_id.0,
            voter_directory_id: facts.directory_id,
            endpoints: vec![Endpoint { name, host, port }],
            k_raft_version_feature: KRaftVersionFeature {
                min_supported_version: 0,
                max_supported_version: KRAFT_VERSION,
            },
        };
        let voters = VotersRecord {
            version: 0,
            voters: vec![voter],
        };
        let mut batch = BatchBuilder::new().control();
        let records = [
            (ControlType::SnapshotHeader, header.to_bytes(0)?),
            (ControlType::KRaftVersion, version.to_bytes(0)?),
            (ControlType::KRaftVoters, voters.to_bytes(0)?),
        ];
        for (kind, value) in &records {
            batch.append(&NewRecord::of(self.timestamp_ms, &kind.key(), value));
        }
        self.push(batch);
        Ok(self)
    }

    fn finish(mut self) -> Result<Bytes, MetadataLogError> {
        let footer = SnapshotFooterRecord { version: 0 }.to_bytes(0)?;
        let mut batch = BatchBuilder::new().control();
        batch.append(&NewRecord::of(
            self.timestamp_ms,
            &ControlType::SnapshotFooter.key(),
            &footer,
        ));
        self.push(batch);
        Ok(self.bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_kafkas_and_lead_back() {
        let id = SnapshotId {
            end_offset: 42,
            epoch: LeaderEpoch(7),
        };
        assert_eq!(id.file_name(), "00000000000000000042-0000000007.checkpoint");
        assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
        assert_eq!(SnapshotId::parse("42-7.checkpoint"), None);
        assert_eq!(
            SnapshotId::parse("00000000000000000042-0000000007.checkpoint.part"),
            None
        );
    }
}
