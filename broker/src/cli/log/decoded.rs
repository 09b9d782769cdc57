//! What the records of Kafka's own topics say, as JSON with the field names of their schemas.
//!
//! The forms are those of Apache Kafka's tools: a message stands under "data", beside the number that says how it is to be
//! read. Every kind of group is decoded, whether or not this broker coordinates it.

use bytes::Bytes;
use ottla_protocol::{
    Message,
    messages::*,
    primitives::{DecodeError, Reader},
    records::{ControlType, EndTransactionMarker, control::ControlError},
};
use ottla_replication::quorum::{ControlRecord, ControlRecordError};
use serde_json::{Value, json};

/// The version of every key: another type of record has another number.
const KEY_VERSION: i16 = 0;

/// A record that does not have the form which its number says.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Undecodable {
    #[error(transparent)]
    Message(#[from] DecodeError),
    #[error(transparent)]
    Marker(#[from] ControlError),
    #[error(transparent)]
    Control(#[from] ControlRecordError),
}

/// A record as it lies in the log: key and value.
pub(super) type Raw<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// A key and a value; a value that is null takes the key's meaning away.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) key: Value,
    pub(super) value: Value,
}

/// A record of `__cluster_metadata`; they have no keys.
pub(super) fn metadata((_, value): Raw<'_>) -> Result<Value, Undecodable> {
    let (record, version) = MetadataRecord::read_value(copied(value))?;
    let kind = screaming(record.name());
    Ok(json!({ "type": kind, "version": version, "data": record.to_json(version) }))
}

/// A record of `__transaction_state`.
pub(super) fn transaction((key, value): Raw<'_>) -> Result<Decoded, Undecodable> {
    let mut key = Reader::new(copied(key));
    let version = key.i16()?;
    let decoded = TransactionLogKey::decode_at(&mut key, version)?;
    Ok(Decoded {
        key: json!({ "version": version, "data": decoded.to_json(version) }),
        value: shown_value::<TransactionLogValue>(value, Message::to_json)?,
    })
}

/// A record of `__consumer_offsets`.
pub(super) fn group((key, value): Raw<'_>) -> Result<Decoded, Undecodable> {
    let mut key = Reader::new(copied(key));
    let number = key.i16()?;
    macro_rules! by_type {
        ($($number:literal: $key:ty, $value:ty, $shown:expr;)*) => {
            match number {
                $($number => typed::<$key, $value>(number, &mut key, value, $shown),)*
                unknown => Err(DecodeError::UnknownRecordType(unknown).into()),
            }
        };
    }
    by_type! {
        // Before Kafka 0.9; the bodies are the same.
        0: OffsetCommitKey, OffsetCommitValue, Message::to_json;
        1: OffsetCommitKey, OffsetCommitValue, Message::to_json;
        2: GroupMetadataKey, GroupMetadataValue, classic_group;
        3: ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, Message::to_json;
        4: ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue, Message::to_json;
        5: ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, Message::to_json;
        6: ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue, Message::to_json;
        7: ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue, Message::to_json;
        8: ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue, Message::to_json;
        10: ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue, Message::to_json;
        11: ShareGroupMetadataKey, ShareGroupMetadataValue, Message::to_json;
        12: ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue, Message::to_json;
        13: ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue, Message::to_json;
        14: ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue, Message::to_json;
        15: ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue, Message::to_json;
        16: ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue, Message::to_json;
        17: StreamsGroupMetadataKey, StreamsGroupMetadataValue, Message::to_json;
        19: StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue, Message::to_json;
        20: StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue, Message::to_json;
        21: StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue, Message::to_json;
        22: StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue, Message::to_json;
        23: StreamsGroupTopologyKey, StreamsGroupTopologyValue, Message::to_json;
    }
}

fn typed<K: Message, V: Message>(
    number: i16,
    key: &mut Reader,
    value: Option<&[u8]>,
    shown: impl FnOnce(&V, i16) -> Value,
) -> Result<Decoded, Undecodable> {
    let key = K::decode_at(key, KEY_VERSION)?;
    Ok(Decoded {
        key: json!({ "type": number, "data": key.to_json(KEY_VERSION) }),
        value: shown_value(value, shown)?,
    })
}

/// The value with its version, which stands before it.
fn shown_value<V: Message>(value: Option<&[u8]>, shown: impl FnOnce(&V, i16) -> Value) -> Result<Value, DecodeError> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    let mut reader = Reader::new(copied(value));
    let version = reader.i16()?;
    let message = V::decode_at(&mut reader, version)?;
    Ok(json!({ "version": version, "data": shown(&message, version) }))
}

/// A classic group. What its members say is decoded too where they are consumers; what is no subscription and no
/// assignment stays in base 64.
fn classic_group(group: &GroupMetadataValue, version: i16) -> Value {
    let mut shown = group.to_json(version);
    if group.protocol_type != "consumer" {
        return shown;
    }
    let members = shown.get_mut("members").and_then(Value::as_array_mut);
    for (member, shown) in group.members.iter().zip(members.into_iter().flatten()) {
        if let Some(subscription) = embedded::<ConsumerProtocolSubscription>(&member.subscription) {
            shown["subscription"] = subscription;
        }
        if let Some(assignment) = embedded::<ConsumerProtocolAssignment>(&member.assignment) {
            shown["assignment"] = assignment;
        }
    }
    shown
}

/// A message behind its version; a version that is not known yet only has more fields behind those that are.
fn embedded<M: Message>(bytes: &Bytes) -> Option<Value> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.i16().ok()?.min(M::VERSIONS.last);
    Some(M::decode_at(&mut reader, version).ok()?.to_json(version))
}

/// A record of a control batch; of a type that is not known only its number.
pub(super) fn control((key, value): Raw<'_>) -> Result<Value, Undecodable> {
    if let Some(marker) = EndTransactionMarker::parse(key, value)? {
        let data = json!({ "coordinatorEpoch": marker.coordinator_epoch });
        return Ok(json!({ "type": control_name(marker.control_type()), "data": data }));
    }
    let Some(control) = ControlRecord::parse(key, copied(value))? else {
        return Ok(json!({ "type": ControlType::parse_key(key)?.id() }));
    };
    let data = match &control {
        ControlRecord::LeaderChange(message) => known(message, message.version),
        ControlRecord::KRaftVersion(message) => known(message, message.version),
        ControlRecord::KRaftVoters(message) => known(message, message.version),
        ControlRecord::SnapshotHeader(message) => known(message, message.version),
        ControlRecord::SnapshotFooter(message) => known(message, message.version),
    };
    Ok(json!({ "type": control_name(control.control_type()), "data": data }))
}

/// The message in the version that it says itself, or the newest one that is known.
fn known<M: Message>(message: &M, version: i16) -> Value {
    message.to_json(version.clamp(M::VERSIONS.first, M::VERSIONS.last))
}

/// The type as Kafka writes it.
fn control_name(control: ControlType) -> &'static str {
    match control {
        ControlType::Abort => "ABORT",
        ControlType::Commit => "COMMIT",
        ControlType::LeaderChange => "LEADER_CHANGE",
        ControlType::SnapshotHeader => "SNAPSHOT_HEADER",
        ControlType::SnapshotFooter => "SNAPSHOT_FOOTER",
        ControlType::KRaftVersion => "KRAFT_VERSION",
        ControlType::KRaftVoters => "KRAFT_VOTERS",
        ControlType::Unknown(_) => "UNKNOWN",
    }
}

/// `TopicRecord` as Kafka's tools write it: `TOPIC_RECORD`.
fn screaming(name: &str) -> String {
    let mut screaming = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !screaming.is_empty() {
            screaming.push('_');
        }
        screaming.push(letter.to_ascii_uppercase());
    }
    screaming
}

fn copied(bytes: Option<&[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::{ids::Uuid, messages::group_metadata_value::MemberMetadata, primitives::Writer};

    fn behind<M: Message>(number: i16, message: &M, version: i16) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        writer.i16(number);
        message.encode(&mut writer, version);
        writer.finish().expect("it can be written").into_bytes().to_vec()
    }

    #[test]
    fn a_committed_offset_and_its_tombstone_are_told_with_the_names_of_the_schema() {
        let key = OffsetCommitKey {
            group: "billing".into(),
            topic: "orders".into(),
            partition: 3,
        };
        let value = OffsetCommitValue {
            offset: 42,
            commit_timestamp: 7,
            ..Default::default()
        };
        let (key, value) = (behind(1, &key, 0), behind(3, &value, 3));
        let told = group((Some(&key), Some(&value))).expect("it is one");
        assert_eq!(
            told.key,
            json!({ "type": 1, "data": { "group": "billing", "topic": "orders", "partition": 3 } })
        );
        let data = json!({ "offset": 42, "leaderEpoch": -1, "metadata": "", "commitTimestamp": 7 });
        assert_eq!(told.value, json!({ "version": 3, "data": data }));
        let tombstone = group((Some(&key), None)).expect("it is one");
        assert_eq!(tombstone.value, Value::Null);
    }

    #[test]
    fn what_the_members_of_a_classic_group_say_is_told_too() {
        let subscription = ConsumerProtocolSubscription {
            topics: vec!["orders".into()],
            ..Default::default()
        };
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            members: vec![MemberMetadata {
                subscription: behind(1, &subscription, 1).into(),
                assignment: Bytes::from_static(b"\xff"),
                ..Default::default()
            }],
            ..Default::default()
        };
        let key = behind(2, &GroupMetadataKey { group: "g".into() }, 0);
        let value = behind(3, &value, 3);
        let told = group((Some(&key), Some(&value))).expect("it is one");
        let member = &told.value["data"]["members"][0];
        assert_eq!(member["subscription"]["topics"], json!(["orders"]));
        assert_eq!(member["assignment"], json!("/w=="), "no assignment stays as it is");
    }

    #[test]
    fn groups_that_this_broker_does_not_coordinate_are_told() {
        let key = StreamsGroupMetadataKey { group_id: "s".into() };
        let key = behind(17, &key, 0);
        let told = group((Some(&key), None)).expect("it is one");
        assert_eq!(told.key, json!({ "type": 17, "data": { "groupId": "s" } }));
        let unknown = group((Some(&[0, 99]), None));
        assert_eq!(unknown, Err(DecodeError::UnknownRecordType(99).into()));
        assert!(group((Some(&[0, 1, 0]), None)).is_err(), "cut off");
    }

    #[test]
    fn transactions_metadata_and_control_records_are_told() {
        let key = TransactionLogKey {
            transactional_id: "pay".into(),
        };
        let value = TransactionLogValue {
            producer_id: 9,
            transaction_status: 4,
            ..Default::default()
        };
        let (key, value) = (behind(0, &key, 0), behind(1, &value, 1));
        let told = transaction((Some(&key), Some(&value))).expect("it is one");
        assert_eq!(told.key, json!({ "version": 0, "data": { "transactionalId": "pay" } }));
        assert_eq!(told.value["data"]["producerId"], json!(9));
        assert_eq!(told.value["data"]["transactionStatus"], json!(4));

        let topic = TopicRecord {
            name: "orders".into(),
            topic_id: Uuid::ZERO,
        };
        let value = MetadataRecord::from(topic).to_value(0).expect("it can be written");
        let told = metadata((None, Some(&value))).expect("it is one");
        let data = json!({ "name": "orders", "topicId": "AAAAAAAAAAAAAAAAAAAAAA" });
        assert_eq!(told, json!({ "type": "TOPIC_RECORD", "version": 0, "data": data }));

        let footer = ControlRecord::snapshot_footer();
        let (key, value) = (footer.control_type().key(), footer.value().expect("it can be written"));
        let told = control((Some(&key), Some(&value))).expect("it is one");
        assert_eq!(told, json!({ "type": "SNAPSHOT_FOOTER", "data": { "version": 0 } }));
        let key = ControlType::Commit.key();
        let told = control((Some(&key), Some(&[0, 0, 0, 0, 0, 5]))).expect("it is one");
        assert_eq!(told, json!({ "type": "COMMIT", "data": { "coordinatorEpoch": 5 } }));
    }
}
