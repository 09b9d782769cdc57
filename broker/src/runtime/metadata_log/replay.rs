//! Reading batches of metadata, from a snapshot or from the log.

use bytes::Bytes;
use ottla_protocol::{
    ids::Offset,
    messages::MetadataRecord,
    primitives::DecodeError,
    records::{
        BatchError, BatchHeader, Compression,
        batch::{HEADER_BYTES, batches, verify_crc},
        compression::{DecompressError, decompress},
        record::{MalformedRecord, records},
    },
};
use ottla_replication::{
    image::{MetadataImage, Position},
    quorum::{ControlRecord, ControlRecordError, VoterSet},
};

/// A batch of metadata inflates to so many bytes at most; Apache's are below a megabyte.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// What is wrong with a batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchFault {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Inflate(#[from] DecompressError),
    #[error(transparent)]
    Malformed(#[from] MalformedRecord),
    #[error("record at offset {offset}: {error} (a later version may have written it)")]
    Record { offset: Offset, error: DecodeError },
    #[error(transparent)]
    Control(#[from] ControlRecordError),
    #[error("the footer is missing, the file is cut off")]
    NoFooter,
}

/// What the batches read so far lead to.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) image: MetadataImage,
    /// The last set of voters that was named.
    pub(super) voters: Option<VoterSet>,
    /// Whether the footer of a snapshot came by: without it the file is cut off.
    pub(super) is_complete: bool,
}

impl Replay {
    /// Applies batches that stand back to back.
    ///
    /// # Errors
    /// At which byte the first stands that cannot be read, and why; those before it were applied.
    pub(super) fn apply_all(&mut self, bytes: &[u8]) -> Result<(), (usize, BatchFault)> {
        let mut position = 0;
        for item in batches(bytes) {
            let (header, batch) = item.map_err(|error| (position, error.into()))?;
            self.apply(&header, batch).map_err(|fault| (position, fault))?;
            position += batch.len();
        }
        Ok(())
    }

    fn apply(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), BatchFault> {
        verify_crc(batch)?;
        let section = Bytes::copy_from_slice(&batch[HEADER_BYTES..]);
        // Apache may have written the log with a codec.
        let compression = header.attributes.compression().unwrap_or(Compression::None);
        let section = decompress(compression, &section, INFLATED_BYTES_MAX)?;
        for record in records(&section, header.records_count) {
            let record = record?;
            let offset = header.base_offset + Offset::from(record.offset_delta);
            let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
            if header.attributes.is_control() {
                self.control(ControlRecord::parse(record.key, value)?);
                continue;
            }
            let record = MetadataRecord::from_value(value).map_err(|error| BatchFault::Record { offset, error })?;
            self.image.apply(&record);
        }
        self.image.position = Position {
            offset: header.last_offset(),
            epoch: header.partition_leader_epoch,
            timestamp_ms: header.max_timestamp,
        };
        Ok(())
    }

    fn control(&mut self, record: Option<ControlRecord>) {
        match record {
            Some(ControlRecord::KRaftVoters(voters)) => self.voters = Some(VoterSet::from_record(&voters)),
            Some(ControlRecord::SnapshotFooter(_)) => self.is_complete = true,
            _ => {}
        }
    }
}
