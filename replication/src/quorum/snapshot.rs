//! Snapshots of the metadata (KIP-630): what they are called, what they contain, when one is due.
//!
//! A snapshot is a run of record batches with offsets from 0, all in the epoch of the last record it stands for:
//!
//! | batch | records |
//! |---|---|
//! | control | SnapshotHeader, KRaftVersion, KRaftVoters |
//! | data, as many as needed | the records of the image |
//! | control | SnapshotFooter |

use super::{
    batches::{control_batch, metadata_batch},
    control::ControlRecord,
    voters::VoterSet,
};
use crate::{
    config::Layers,
    controller::{BootstrapOptions, formatted_records},
    image::{FeaturesImage, MetadataImage, Position},
};
use bytes::{Bytes, BytesMut};
use ottla_protocol::{
    ids::{LeaderEpoch, Offset, TimestampMs},
    messages::MetadataRecord,
    primitives::EncodeError,
    records::BatchBuilder,
};

/// Records in one batch: enough that headers do not count, few enough that a batch stays far below a megabyte.
const RECORDS_PER_BATCH: usize = 1000;

/// Which records a snapshot stands for: those before `end_offset`, the last of them of `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The offset of the first record that is not in it.
    pub end_offset: Offset,
    /// The epoch of the last record that is in it.
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    /// The snapshot that a formatted directory starts with.
    pub const BOOTSTRAP: Self = Self {
        end_offset: 0,
        epoch: LeaderEpoch(0),
    };

    /// The snapshot of everything up to and including `position`.
    pub const fn of(position: Position) -> Self {
        Self {
            end_offset: position.offset + 1,
            epoch: position.epoch,
        }
    }

    /// The name of its file.
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.end_offset, self.epoch.0)
    }

    /// The snapshot with this file name; `None` for anything else, such as one that is still being written.
    pub fn parse(file_name: &str) -> Option<Self> {
        let (end_offset, epoch) = file_name.strip_suffix(".checkpoint")?.split_once('-')?;
        let is_number = |digits: &str, length| digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_number(end_offset, 20) || !is_number(epoch, 10) {
            return None;
        }
        Some(Self {
            end_offset: end_offset.parse().ok()?,
            epoch: LeaderEpoch(epoch.parse().ok()?),
        })
    }
}

/// When a snapshot is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// After so many bytes of records (`metadata.log.max.record.bytes.between.snapshots`).
    pub record_bytes_max: i64,
    /// After so much time with new records (`metadata.log.max.snapshot.interval.ms`); 0 is never.
    pub interval_ms_max: i64,
}

impl SnapshotPolicy {
    /// What the node's keys say.
    pub fn of(layers: Layers<'_>) -> Self {
        Self {
            record_bytes_max: layers.broker_number("metadata.log.max.record.bytes.between.snapshots"),
            interval_ms_max: layers.broker_number("metadata.log.max.snapshot.interval.ms"),
        }
    }

    /// Whether one is due after `record_bytes` of records since the last one, which was written `age_ms` ago.
    pub fn is_due(self, record_bytes: i64, age_ms: i64) -> bool {
        let is_old = self.interval_ms_max > 0 && age_ms >= self.interval_ms_max;
        record_bytes >= self.record_bytes_max || is_old && record_bytes > 0
    }
}

/// The content of the snapshot of `image`, written at `now_ms`.
///
/// # Errors
/// A record holds a value that its version cannot carry.
pub fn snapshot_bytes(image: &MetadataImage, voters: &VoterSet, now_ms: TimestampMs) -> Result<Bytes, EncodeError> {
    let position = image.position;
    let mut contents = Contents::begin(position.epoch, position.timestamp_ms, voters, now_ms)?;
    contents.push_records(&image.to_records(), image.features())?;
    contents.end()
}

/// The content of the snapshot that a new node starts with, as `kafka-storage format --standalone` writes it.
///
/// # Errors
/// A record holds a value that its version cannot carry.
pub fn bootstrap_snapshot_bytes(
    options: &BootstrapOptions,
    voters: &VoterSet,
    now_ms: TimestampMs,
) -> Result<Bytes, EncodeError> {
    let mut contents = Contents::begin(SnapshotId::BOOTSTRAP.epoch, now_ms, voters, now_ms)?;
    contents.push_records(&formatted_records(options), &options.levels.clone().into())?;
    contents.end()
}

struct Contents {
    bytes: BytesMut,
    next_offset: Offset,
    epoch: LeaderEpoch,
    now_ms: TimestampMs,
}

impl Contents {
    fn begin(
        epoch: LeaderEpoch,
        last_ms: TimestampMs,
        voters: &VoterSet,
        now_ms: TimestampMs,
    ) -> Result<Self, EncodeError> {
        let mut contents = Self {
            bytes: BytesMut::new(),
            next_offset: 0,
            epoch,
            now_ms,
        };
        let quorum = [
            ControlRecord::snapshot_header(last_ms),
            ControlRecord::kraft_version(),
            ControlRecord::voters(voters),
        ];
        contents.push(control_batch(&quorum, now_ms)?);
        Ok(contents)
    }

    fn push_records(&mut self, records: &[MetadataRecord], features: &FeaturesImage) -> Result<(), EncodeError> {
        for records in records.chunks(RECORDS_PER_BATCH) {
            self.push(metadata_batch(records, features, self.now_ms)?);
        }
        Ok(())
    }

    fn push(&mut self, batch: BatchBuilder) {
        let count = Offset::from(batch.records_count());
        let batch = batch.base_offset(self.next_offset).leader_epoch(self.epoch).build();
        self.bytes.extend_from_slice(&batch);
        self.next_offset += count;
    }

    fn end(mut self) -> Result<Bytes, EncodeError> {
        self.push(control_batch(&[ControlRecord::snapshot_footer()], self.now_ms)?);
        Ok(self.bytes.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controller::bootstrap_records, quorum::voters::test_voter};
    use ottla_protocol::records::batch::{batches, verify_crc};

    #[test]
    fn file_names_are_kafkas_and_lead_back() {
        let id = SnapshotId {
            end_offset: 1965,
            epoch: LeaderEpoch(4),
        };
        assert_eq!(id.file_name(), "00000000000000001965-0000000004.checkpoint");
        assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
        for name in [
            "1965-4.checkpoint",
            "00000000000000001965-0000000004.checkpoint.part",
            "quorum-state",
        ] {
            assert_eq!(SnapshotId::parse(name), None, "{name}");
        }
        assert_eq!(SnapshotId::of(Position::START), SnapshotId::BOOTSTRAP);
    }

    #[test]
    fn one_is_due_by_bytes_or_by_age_but_never_without_news() {
        let policy = SnapshotPolicy {
            record_bytes_max: 100,
            interval_ms_max: 10,
        };
        let verdicts = [(99, 9), (100, 0), (1, 10), (0, 99)].map(|(bytes, age)| policy.is_due(bytes, age));
        assert_eq!(verdicts, [false, true, true, false]);
        let ageless = SnapshotPolicy {
            interval_ms_max: 0,
            ..policy
        };
        assert!(!ageless.is_due(99, 1_000_000));
    }

    #[test]
    fn a_snapshot_is_a_header_the_records_and_a_footer_with_offsets_from_zero() {
        let mut image = MetadataImage::replay(&bootstrap_records(&BootstrapOptions::default()));
        image.position = Position {
            offset: 11,
            epoch: LeaderEpoch(3),
            timestamp_ms: 5,
        };
        let bytes = snapshot_bytes(&image, &VoterSet::of_one(test_voter()), 9).expect("it can be written");
        let mut shape = Vec::new();
        for item in batches(&bytes) {
            let (header, batch) = item.expect("whole");
            assert_eq!(verify_crc(batch), Ok(()));
            assert_eq!(header.partition_leader_epoch, LeaderEpoch(3));
            shape.push((header.base_offset, header.records_count, header.attributes.is_control()));
        }
        assert_eq!(shape, [(0, 3, true), (3, 7, false), (10, 1, true)]);
    }
}
