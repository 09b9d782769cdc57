//! The records of `__consumer_offsets`, as Apache Kafka 4.4 writes and reads them.
//!
//! ```text
//! key    type: int16 (0 and 1 offset commit, 2 classic group, 3-8 and 16 consumer group; the rest of 9-23 is other
//!        kinds of groups), then the body
//! value  version: int16, then the body; offset commits in version 4, or 1 if they carry an expiry of their own;
//!        groups in version 3; no value: tombstone
//! ```

pub(crate) mod consumer;

pub(crate) use consumer::ConsumerRecord;

use crate::outcome::CoordinatorRecord;
use bytes::Bytes;
use ottla_protocol::{
    Message, Str,
    messages::{GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue},
    primitives::{DecodeError, Reader, Writer},
};

/// The type of offset commits that Kafka before 0.9 wrote; the body is that of [`OFFSET_COMMIT`].
const LEGACY_OFFSET_COMMIT: i16 = 0;
const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;

/// Types that Kafka 4.4 knows and that hold other kinds of groups.
const OTHER_GROUPS: std::ops::RangeInclusive<i16> = 9..=23;

/// The version of an offset commit that carries its own expiry (OffsetCommit versions 2-4).
const OFFSET_COMMIT_WITH_EXPIRY: i16 = 1;
const OFFSET_COMMIT_VALUE: i16 = 4;
const GROUP_METADATA_VALUE: i16 = 3;
/// Of the schema of every key, whatever its type.
const KEY_VERSION: i16 = 0;

/// Why a record of the log cannot be understood. It is skipped, loudly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The key or the value does not have the form that its number says.
    #[error("undecodable: {0}")]
    Undecodable(#[from] DecodeError),
    /// A type that Kafka 4.4 does not have.
    #[error("record type {0} is unknown")]
    UnknownType(i16),
    /// A status of a transaction that Kafka 4.4 never writes.
    #[error("transaction status {0} is unknown")]
    UnknownTransactionStatus(i8),
}

/// A record with a meaning.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Offset(OffsetCommitKey, Option<OffsetCommitValue>),
    Group(Str, Option<GroupMetadataValue>),
    /// Of a consumer group.
    Consumer(Str, ConsumerRecord),
    /// Of a kind of group that this coordinator does not have.
    Other,
}

pub(crate) fn decode(record: &CoordinatorRecord) -> Result<Record, ApplyError> {
    let mut key = Reader::new(record.key.clone());
    match key.i16()? {
        LEGACY_OFFSET_COMMIT | OFFSET_COMMIT => {
            let key = OffsetCommitKey::decode_at(&mut key, 0)?;
            Ok(Record::Offset(key, decode_value(record)?))
        }
        GROUP_METADATA => {
            let key = GroupMetadataKey::decode_at(&mut key, 0)?;
            Ok(Record::Group(key.group, decode_value(record)?))
        }
        number @ (consumer::GROUP
        | consumer::PARTITION_METADATA
        | consumer::MEMBER
        | consumer::TARGET
        | consumer::TARGET_MEMBER
        | consumer::CURRENT_ASSIGNMENT
        | consumer::REGULAR_EXPRESSION) => consumer::decode(number, key, record),
        other if OTHER_GROUPS.contains(&other) => Ok(Record::Other),
        unknown => Err(ApplyError::UnknownType(unknown)),
    }
}

pub(crate) fn decode_value<V: Message>(record: &CoordinatorRecord) -> Result<Option<V>, ApplyError> {
    let Some(value) = &record.value else {
        return Ok(None);
    };
    let mut value = Reader::new(value.clone());
    let version = value.i16()?;
    Ok(Some(V::decode_at(&mut value, version)?))
}

pub(crate) fn offset_commit(key: &OffsetCommitKey, value: &OffsetCommitValue) -> CoordinatorRecord {
    let version = if value.expire_timestamp == -1 {
        OFFSET_COMMIT_VALUE
    } else {
        OFFSET_COMMIT_WITH_EXPIRY
    };
    written(OFFSET_COMMIT, key, value, version)
}

pub(crate) fn offset_tombstone(group: &Str, topic: &Str, partition: i32) -> CoordinatorRecord {
    let key = OffsetCommitKey {
        group: group.clone(),
        topic: topic.clone(),
        partition,
    };
    tombstone(OFFSET_COMMIT, &key)
}

pub(crate) fn group_metadata(group: &Str, value: &GroupMetadataValue) -> CoordinatorRecord {
    let key = GroupMetadataKey { group: group.clone() };
    written(GROUP_METADATA, &key, value, GROUP_METADATA_VALUE)
}

pub(crate) fn group_tombstone(group: &Str) -> CoordinatorRecord {
    let key = GroupMetadataKey { group: group.clone() };
    tombstone(GROUP_METADATA, &key)
}

/// The record that says `value`, in `version`, of the key of type `number`. Both share their memory.
pub(crate) fn written(number: i16, key: &impl Message, value: &impl Message, version: i16) -> CoordinatorRecord {
    let mut writer = Writer::with_capacity(256);
    write(&mut writer, number, key, KEY_VERSION);
    let key_bytes = writer.len();
    write(&mut writer, version, value, version);
    let mut value = finished(writer);
    CoordinatorRecord {
        key: value.split_to(key_bytes),
        value: Some(value),
    }
}

/// The record that takes back what was said of the key of type `number`.
pub(crate) fn tombstone(number: i16, key: &impl Message) -> CoordinatorRecord {
    let mut writer = Writer::with_capacity(128);
    write(&mut writer, number, key, KEY_VERSION);
    CoordinatorRecord {
        key: finished(writer),
        value: None,
    }
}

/// `number`, then `message` in `version`.
fn write(writer: &mut Writer, number: i16, message: &impl Message, version: i16) {
    writer.i16(number);
    message.encode(writer, version);
}

fn finished(writer: Writer) -> Bytes {
    writer
        .finish()
        .expect("every name was checked against the length of its field when the request came in")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Uuid;

    fn key() -> OffsetCommitKey {
        OffsetCommitKey {
            group: "g".into(),
            topic: "t".into(),
            partition: 3,
        }
    }

    #[test]
    fn an_offset_commit_is_written_in_version_4_and_read_back() {
        let value = OffsetCommitValue {
            offset: 7,
            leader_epoch: 2,
            metadata: "m".into(),
            commit_timestamp: 99,
            topic_id: Uuid([9; 16]),
            ..Default::default()
        };
        let record = offset_commit(&key(), &value);
        assert_eq!(&record.key[..2], [0, 1]);
        assert_eq!(&record.value.as_ref().expect("a value")[..2], [0, 4]);
        assert_eq!(decode(&record), Ok(Record::Offset(key(), Some(value))));
    }

    #[test]
    fn an_expiry_of_its_own_is_kept_in_version_1() {
        let value = OffsetCommitValue {
            expire_timestamp: 50,
            ..Default::default()
        };
        let record = offset_commit(&key(), &value);
        assert_eq!(&record.value.as_ref().expect("a value")[..2], [0, 1]);
        assert_eq!(decode(&record), Ok(Record::Offset(key(), Some(value))));
    }

    #[test]
    fn groups_and_tombstones_are_read_back() {
        let value = GroupMetadataValue {
            generation: 4,
            ..Default::default()
        };
        let group = Str::from("g");
        assert_eq!(
            decode(&group_metadata(&group, &value)),
            Ok(Record::Group(group.clone(), Some(value)))
        );
        assert_eq!(decode(&group_tombstone(&group)), Ok(Record::Group(group.clone(), None)));
        assert_eq!(
            decode(&offset_tombstone(&group, &"t".into(), 3)),
            Ok(Record::Offset(key(), None))
        );
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_an_error_and_other_groups_are_passed_over() {
        let whole = offset_commit(&key(), &OffsetCommitValue::default());
        for length in 0..whole.key.len() {
            let cut = CoordinatorRecord {
                key: whole.key.slice(..length),
                value: None,
            };
            assert!(decode(&cut).is_err(), "{length}");
        }
        let value = whole.value.expect("a value");
        for length in 0..value.len() {
            let cut = CoordinatorRecord {
                key: whole.key.clone(),
                value: Some(value.slice(..length)),
            };
            assert!(decode(&cut).is_err(), "{length}");
        }
        let of_type = |number: i16| CoordinatorRecord {
            key: Bytes::copy_from_slice(&number.to_be_bytes()),
            value: None,
        };
        assert_eq!(decode(&of_type(11)), Ok(Record::Other));
        assert_eq!(decode(&of_type(99)), Err(ApplyError::UnknownType(99)));
        assert_eq!(decode(&of_type(-1)), Err(ApplyError::UnknownType(-1)));
    }
}
