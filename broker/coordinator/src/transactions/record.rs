//! The records of `__transaction_state`, as Apache Kafka 4.4 writes and reads them.
//!
//! ```text
//! key    version: int16, 0; transactional id: string
//! value  version: int16; 0 while transaction.version is 0, else 1, which has tagged fields; no value: tombstone
//! ```

use super::transaction::Transaction;
use crate::{
    outcome::CoordinatorRecord,
    record::{self, ApplyError, decode_value},
};
use ottla_protocol::{
    Message, Str,
    messages::{TransactionLogKey, TransactionLogValue},
    primitives::Reader,
};

const KEY_VERSION: i16 = 0;

/// A record with a meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Transaction(Str, Option<TransactionLogValue>),
    /// Of a version of the key that Kafka 4.4 does not have, which it passes over too.
    Other,
}

pub(super) fn decode(record: &CoordinatorRecord) -> Result<Record, ApplyError> {
    let mut key = Reader::new(record.key.clone());
    if key.i16()? != KEY_VERSION {
        return Ok(Record::Other);
    }
    let key = TransactionLogKey::decode_at(&mut key, KEY_VERSION)?;
    Ok(Record::Transaction(
        key.transactional_id.detached(),
        decode_value(record)?,
    ))
}

/// The record of `transaction`, where `transaction.version` is `version`.
pub(super) fn transaction(id: &Str, transaction: &Transaction, version: i8) -> CoordinatorRecord {
    let version = i16::from(version > 0);
    record::written(KEY_VERSION, &key(id), &transaction.to_value(version), version)
}

pub(super) fn tombstone(id: &Str) -> CoordinatorRecord {
    record::tombstone(KEY_VERSION, &key(id))
}

fn key(id: &Str) -> TransactionLogKey {
    TransactionLogKey {
        transactional_id: id.clone(),
    }
}
