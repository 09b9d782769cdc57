//! What is wrong with a ConsumerGroupHeartbeat by itself, in Kafka's order and words.

use super::{current::LEAVE_STATIC_EPOCH, refusal::Refusal};
use crate::config::{GroupsConfig, MAX_NAME_BYTES, MAX_SUBSCRIBED_TOPICS};
use ottla_protocol::{ErrorCode, Str, messages::ConsumerGroupHeartbeatRequest};
use std::borrow::Cow;

/// The member epoch of a member that leaves.
pub(super) const LEAVE_EPOCH: i32 = -1;

/// From this version on members choose their own ids (KIP-1082).
const OWN_MEMBER_ID_FROM: i16 = 1;

/// # Errors
/// The answer.
pub(super) fn check(
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
    config: &GroupsConfig,
) -> Result<(), Refusal> {
    check_names(request, version)?;
    check_epoch(request)?;
    check_assignor(request, config)?;
    check_sizes(request)
}

fn check_names(request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), Refusal> {
    let is_blank = |text: &Str| text.trim().is_empty();
    let needs_id = version >= OWN_MEMBER_ID_FROM || request.member_epoch > 0 || request.member_epoch == LEAVE_EPOCH;
    if needs_id && is_blank(&request.member_id) {
        Err(Refusal::invalid("MemberId can't be empty."))
    } else if is_blank(&request.group_id) {
        Err(Refusal::invalid("GroupId can't be empty."))
    } else if request.instance_id.as_ref().is_some_and(is_blank) {
        Err(Refusal::invalid("InstanceId can't be empty."))
    } else if request.rack_id.as_ref().is_some_and(is_blank) {
        Err(Refusal::invalid("RackId can't be empty."))
    } else {
        Ok(())
    }
}

fn check_epoch(request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    match request.member_epoch {
        0 if request
            .topic_partitions
            .as_ref()
            .is_some_and(|partitions| !partitions.is_empty()) =>
        {
            Err(Refusal::invalid("TopicPartitions must be empty when (re-)joining."))
        }
        0 if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => Err(
            Refusal::invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."),
        ),
        LEAVE_STATIC_EPOCH if request.instance_id.is_none() => Err(Refusal::invalid("InstanceId can't be null.")),
        ..LEAVE_STATIC_EPOCH => Err(Refusal::invalid("MemberEpoch is invalid.")),
        _ => Ok(()),
    }
}

/// A member that joins has nothing, whether it says so or not.
///
/// Kafka refuses who joins without saying so, or without a rebalance timeout. librdkafka (2.15) does that when it subscribes
/// again right after the answer to its leave, and takes the refusal for the end of its consumer.
pub(super) fn in_full(request: &ConsumerGroupHeartbeatRequest) -> Cow<'_, ConsumerGroupHeartbeatRequest> {
    match (request.member_epoch, &request.topic_partitions) {
        (0, None) => Cow::Owned(ConsumerGroupHeartbeatRequest {
            topic_partitions: Some(Vec::new()),
            ..request.clone()
        }),
        _ => Cow::Borrowed(request),
    }
}

fn check_assignor(request: &ConsumerGroupHeartbeatRequest, config: &GroupsConfig) -> Result<(), Refusal> {
    let Some(asked) = &request.server_assignor else {
        return Ok(());
    };
    let supported: Vec<String> = config.consumer_assignors.iter().map(ToString::to_string).collect();
    match supported.iter().any(|name| name.as_str() == asked.as_str()) {
        true => Ok(()),
        false => Err(Refusal::unsupported_assignor(asked, &supported)),
    }
}

/// Bounds that Kafka leaves to the size of a record.
fn check_sizes(request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let is_long = |text: &Str| text.len() > MAX_NAME_BYTES;
    let names = request.subscribed_topic_names.iter().flatten();
    if is_long(&request.group_id) {
        return Err(Refusal {
            code: ErrorCode::InvalidGroupId,
            message: Str::from_static("GroupId is too long."),
        });
    }
    let others = [&request.instance_id, &request.rack_id].into_iter().flatten();
    if names.clone().chain(others).chain([&request.member_id]).any(is_long) || names.count() > MAX_SUBSCRIBED_TOPICS {
        return Err(Refusal::invalid("The request is too large."));
    }
    Ok(())
}
