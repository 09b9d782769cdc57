//! Record batches of the metadata log and of its snapshots.

use super::control::ControlRecord;
use crate::{controller::record_version, image::FeaturesImage};
use ottla_protocol::{
    ids::TimestampMs,
    messages::MetadataRecord,
    primitives::EncodeError,
    records::{BatchBuilder, NewRecord},
};

/// A batch of control records; base offset and epoch are the caller's to add.
///
/// # Errors
/// A field holds a value that the encoding cannot carry.
pub fn control_batch(records: &[ControlRecord], now_ms: TimestampMs) -> Result<BatchBuilder, EncodeError> {
    let mut batch = BatchBuilder::new().control();
    for record in records {
        batch.append(&NewRecord::of(now_ms, &record.control_type().key(), &record.value()?));
    }
    Ok(batch)
}

/// A batch of metadata records, each in the version that `features` call for; base offset and epoch are the caller's.
///
/// # Errors
/// A field holds a value that this version cannot carry.
pub fn metadata_batch(
    records: &[MetadataRecord],
    features: &FeaturesImage,
    now_ms: TimestampMs,
) -> Result<BatchBuilder, EncodeError> {
    let mut batch = BatchBuilder::new();
    for record in records {
        let value = record.to_value(record_version(record, features))?;
        batch.append(&NewRecord {
            timestamp: now_ms,
            key: None,
            value: Some(&value),
            headers: &[],
        });
    }
    Ok(batch)
}
