//! The records of consumer groups (KIP-848).
//!
//! ```text
//! type 3   the group: its epoch and the hash of its topics' metadata
//! type 4   what was known of its topics; written by Kafka before 4.1 only, a tombstone takes it away
//! type 5   a member: who it is and what it subscribes to
//! type 6   the target assignment: for which epoch, computed when
//! type 7   the target assignment of one member
//! type 8   what one member has, in which epoch and state
//! type 16  the topics that a regular expression matched
//! ```
//! All values are version 0.

use super::{ApplyError, Record, decode_value, tombstone, written};
use crate::outcome::CoordinatorRecord;
use ottla_protocol::{
    Message, Str,
    messages::{
        ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
        ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey,
        ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataKey, ConsumerGroupRegularExpressionKey,
        ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberKey,
        ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataKey,
        ConsumerGroupTargetAssignmentMetadataValue,
    },
    primitives::Reader,
};

pub(super) const GROUP: i16 = 3;
pub(super) const PARTITION_METADATA: i16 = 4;
pub(super) const MEMBER: i16 = 5;
pub(super) const TARGET: i16 = 6;
pub(super) const TARGET_MEMBER: i16 = 7;
pub(super) const CURRENT_ASSIGNMENT: i16 = 8;
pub(super) const REGULAR_EXPRESSION: i16 = 16;

/// The version of every value.
const VALUE: i16 = 0;

/// What one record says of a consumer group; no value: a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ConsumerRecord {
    Group(Option<ConsumerGroupMetadataValue>),
    /// Whether there is a value; it is of no use any more.
    PartitionMetadata(bool),
    Member(Str, Option<ConsumerGroupMemberMetadataValue>),
    Target(Option<ConsumerGroupTargetAssignmentMetadataValue>),
    TargetMember(Str, Option<ConsumerGroupTargetAssignmentMemberValue>),
    CurrentAssignment(Str, Option<ConsumerGroupCurrentMemberAssignmentValue>),
    RegularExpression(Str, Option<ConsumerGroupRegularExpressionValue>),
}

/// Decodes a record of one of the types above; `key` is behind the type.
pub(super) fn decode(number: i16, mut key: Reader, record: &CoordinatorRecord) -> Result<Record, ApplyError> {
    let (group, what) = match number {
        GROUP => {
            let key = ConsumerGroupMetadataKey::decode_at(&mut key, 0)?;
            (key.group_id, ConsumerRecord::Group(decode_value(record)?))
        }
        PARTITION_METADATA => {
            let key = ConsumerGroupPartitionMetadataKey::decode_at(&mut key, 0)?;
            (key.group_id, ConsumerRecord::PartitionMetadata(record.value.is_some()))
        }
        MEMBER => {
            let key = ConsumerGroupMemberMetadataKey::decode_at(&mut key, 0)?;
            let value = decode_value(record)?;
            (key.group_id, ConsumerRecord::Member(key.member_id, value))
        }
        TARGET => {
            let key = ConsumerGroupTargetAssignmentMetadataKey::decode_at(&mut key, 0)?;
            (key.group_id, ConsumerRecord::Target(decode_value(record)?))
        }
        TARGET_MEMBER => {
            let key = ConsumerGroupTargetAssignmentMemberKey::decode_at(&mut key, 0)?;
            let value = decode_value(record)?;
            (key.group_id, ConsumerRecord::TargetMember(key.member_id, value))
        }
        CURRENT_ASSIGNMENT => {
            let key = ConsumerGroupCurrentMemberAssignmentKey::decode_at(&mut key, 0)?;
            let value = decode_value(record)?;
            (key.group_id, ConsumerRecord::CurrentAssignment(key.member_id, value))
        }
        REGULAR_EXPRESSION => {
            let key = ConsumerGroupRegularExpressionKey::decode_at(&mut key, 0)?;
            let value = decode_value(record)?;
            (
                key.group_id,
                ConsumerRecord::RegularExpression(key.regular_expression, value),
            )
        }
        unknown => return Err(ApplyError::UnknownType(unknown)),
    };
    Ok(Record::Consumer(group, what))
}

fn record<V: Message>(number: i16, key: &impl Message, value: Option<&V>) -> CoordinatorRecord {
    match value {
        Some(value) => written(number, key, value, VALUE),
        None => tombstone(number, key),
    }
}

pub(crate) fn group(group_id: &Str, value: Option<&ConsumerGroupMetadataValue>) -> CoordinatorRecord {
    let key = ConsumerGroupMetadataKey {
        group_id: group_id.clone(),
    };
    record(GROUP, &key, value)
}

pub(crate) fn partition_metadata_tombstone(group_id: &Str) -> CoordinatorRecord {
    let key = ConsumerGroupPartitionMetadataKey {
        group_id: group_id.clone(),
    };
    tombstone(PARTITION_METADATA, &key)
}

pub(crate) fn member(
    group_id: &Str,
    member_id: &Str,
    value: Option<&ConsumerGroupMemberMetadataValue>,
) -> CoordinatorRecord {
    let key = ConsumerGroupMemberMetadataKey {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    };
    record(MEMBER, &key, value)
}

pub(crate) fn target(group_id: &Str, value: Option<&ConsumerGroupTargetAssignmentMetadataValue>) -> CoordinatorRecord {
    let key = ConsumerGroupTargetAssignmentMetadataKey {
        group_id: group_id.clone(),
    };
    record(TARGET, &key, value)
}

pub(crate) fn target_member(
    group_id: &Str,
    member_id: &Str,
    value: Option<&ConsumerGroupTargetAssignmentMemberValue>,
) -> CoordinatorRecord {
    let key = ConsumerGroupTargetAssignmentMemberKey {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    };
    record(TARGET_MEMBER, &key, value)
}

pub(crate) fn current_assignment(
    group_id: &Str,
    member_id: &Str,
    value: Option<&ConsumerGroupCurrentMemberAssignmentValue>,
) -> CoordinatorRecord {
    let key = ConsumerGroupCurrentMemberAssignmentKey {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    };
    record(CURRENT_ASSIGNMENT, &key, value)
}

pub(crate) fn regular_expression(
    group_id: &Str,
    regular_expression: &Str,
    value: Option<&ConsumerGroupRegularExpressionValue>,
) -> CoordinatorRecord {
    let key = ConsumerGroupRegularExpressionKey {
        group_id: group_id.clone(),
        regular_expression: regular_expression.clone(),
    };
    record(REGULAR_EXPRESSION, &key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_read_back_and_so_is_its_tombstone() {
        let (group_id, member_id) = (Str::from("g"), Str::from("m"));
        let check = |with_value: CoordinatorRecord, tombstone: CoordinatorRecord, number: i16| {
            assert_eq!(with_value.key, tombstone.key);
            assert_eq!(with_value.key[..2], number.to_be_bytes());
            assert_eq!(with_value.value.as_ref().expect("a value")[..2], [0, 0]);
            assert!(tombstone.value.is_none());
            let value = super::super::decode(&with_value).expect("it can be read");
            assert_ne!(Ok(value.clone()), super::super::decode(&tombstone));
            assert!(
                matches!(value, Record::Consumer(group, _) if group == group_id),
                "type {number}"
            );
        };
        check(
            group(&group_id, Some(&Default::default())),
            group(&group_id, None),
            GROUP,
        );
        let value = Default::default();
        check(
            member(&group_id, &member_id, Some(&value)),
            member(&group_id, &member_id, None),
            MEMBER,
        );
        check(
            target(&group_id, Some(&Default::default())),
            target(&group_id, None),
            TARGET,
        );
        let value = Default::default();
        check(
            target_member(&group_id, &member_id, Some(&value)),
            target_member(&group_id, &member_id, None),
            TARGET_MEMBER,
        );
        let value = Default::default();
        check(
            current_assignment(&group_id, &member_id, Some(&value)),
            current_assignment(&group_id, &member_id, None),
            CURRENT_ASSIGNMENT,
        );
        let value = Default::default();
        check(
            regular_expression(&group_id, &"a.*".into(), Some(&value)),
            regular_expression(&group_id, &"a.*".into(), None),
            REGULAR_EXPRESSION,
        );
    }
}
