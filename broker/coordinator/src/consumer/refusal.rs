//! Why a request about a consumer group is refused: a code, and the words that Kafka has for it.

use ottla_protocol::{ErrorCode, Str};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: Str,
}

impl Refusal {
    fn new(code: ErrorCode, message: String) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn invalid(message: &'static str) -> Self {
        Self {
            code: ErrorCode::InvalidRequest,
            message: Str::from_static(message),
        }
    }

    pub(super) fn unsupported_assignor(asked: &str, supported: &[String]) -> Self {
        let supported = supported.join(", ");
        let message = format!("ServerAssignor {asked} is not supported. Supported assignors: {supported}.");
        Self::new(ErrorCode::UnsupportedAssignor, message)
    }

    pub(super) fn invalid_regex(regex: &str, why: &str) -> Self {
        let message = format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}.");
        Self::new(ErrorCode::InvalidRegularExpression, message)
    }

    pub(super) fn group_not_found(group_id: &str) -> Self {
        let message = format!("Consumer group {group_id} not found.");
        Self::new(ErrorCode::GroupIdNotFound, message)
    }

    pub(super) fn not_found(group_id: &str) -> Self {
        Self::new(ErrorCode::GroupIdNotFound, format!("Group {group_id} not found."))
    }

    pub(super) fn not_a_consumer_group(group_id: &str) -> Self {
        let message = format!("Group {group_id} is not a consumer group.");
        Self::new(ErrorCode::GroupIdNotFound, message)
    }

    /// A classic group that has members and has to stay as it is.
    pub(super) fn not_upgraded(group_id: &str, why: &str) -> Self {
        let message = format!("Cannot upgrade classic group {group_id} to consumer group because {why}");
        Self::new(ErrorCode::GroupIdNotFound, message)
    }

    pub(super) fn group_full(max_size: usize) -> Self {
        let message = format!("The consumer group has reached its maximum capacity of {max_size} members.");
        Self::new(ErrorCode::GroupMaxSizeReached, message)
    }

    pub(super) fn unknown_member(member_id: &str, group_id: &str) -> Self {
        let message = format!("Member {member_id} is not a member of group {group_id}.");
        Self::new(ErrorCode::UnknownMemberId, message)
    }

    pub(super) fn unknown_instance(instance_id: &str) -> Self {
        let message = format!("Instance id {instance_id} is unknown.");
        Self::new(ErrorCode::UnknownMemberId, message)
    }

    pub(super) fn unreleased_instance(member_id: &str, instance_id: &str, owner: &str) -> Self {
        let message = format!(
            "Static member {member_id} with instance id {instance_id} cannot join the group because the instance id \
             is owned by {owner} member."
        );
        Self::new(ErrorCode::UnreleasedInstanceId, message)
    }

    pub(super) fn fenced_instance(member_id: &str, instance_id: &str, owner: &str) -> Self {
        let message = format!("Static member {member_id} with instance id {instance_id} was fenced by member {owner}.");
        Self::new(ErrorCode::FencedInstanceId, message)
    }

    pub(super) fn fenced_epoch(received: i32, known: i32) -> Self {
        let relation = if received > known { "greater" } else { "smaller" };
        let message = format!(
            "The consumer group member has a {relation} member epoch ({received}) than the one known by the group \
             coordinator ({known}). The member must abandon all its partitions and rejoin."
        );
        Self::new(ErrorCode::FencedMemberEpoch, message)
    }

    pub(super) fn unknown_state() -> Self {
        let message = "The consumer group member is in a unknown state. The member must abandon all its partitions \
                       and rejoin.";
        Self::new(ErrorCode::FencedMemberEpoch, message.to_owned())
    }
}
