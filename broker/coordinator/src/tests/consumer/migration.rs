//! The two protocols side by side: a group changes its protocol while it has no members.

use super::*;
use crate::tests::driver::{commit, join};

#[test]
fn a_classic_group_with_members_cannot_be_joined() {
    let mut driver = driver(1);
    driver.stable_alone(&["range"]);
    let response = driver.beat(&joining("a"));
    assert_eq!(code(response.error_code), ErrorCode::GroupIdNotFound);
    let message = format!("Cannot upgrade classic group {GROUP} to consumer group because online upgrade is disabled.");
    assert_eq!(response.error_message.as_deref(), Some(message.as_str()));
    let response = driver.beat(&beating("a", 1));
    let message = format!("Group {GROUP} is not a consumer group.");
    assert_eq!(response.error_message.as_deref(), Some(message.as_str()));
    assert_eq!(driver.state(), "Stable");
}

#[test]
fn a_consumer_group_with_members_cannot_be_joined_in_the_classic_way() {
    let mut driver = alone();
    let ticket = driver.send_join(&join("", &["range"]));
    assert_eq!(
        code(driver.joined(ticket).error_code),
        ErrorCode::InconsistentGroupProtocol
    );
    assert_eq!(driver.heartbeat("a", 2), ErrorCode::UnknownMemberId);
    let described = driver.describe();
    assert_eq!(code(described.error_code), ErrorCode::GroupIdNotFound);
    let message = format!("Group {GROUP} is not a classic group.");
    assert_eq!(described.error_message.as_deref(), Some(message.as_str()));
    assert_eq!(described.group_state, "Dead");
}

#[test]
fn a_group_without_members_changes_its_protocol_and_keeps_its_offsets() {
    let mut driver = driver(1);
    driver.commit(&commit(GROUP, "", -1, 0, 5));
    let invalid = ConsumerGroupHeartbeatRequest {
        subscribed_topic_regex: Some("[".into()),
        ..joining("a")
    };
    driver.beat(&invalid);
    assert_eq!(
        driver.describe().group_state,
        "Empty",
        "a member that was refused took the group away"
    );
    assert_eq!(seen(&driver.beat(&joining("a"))), ok(2, &[0][..]));
    driver.reload();
    assert_eq!(driver.committed(GROUP), [5]);
    assert_eq!(driver.groups.list_groups(&[], &[]).len(), 1);
    driver.beat(&beating("a", -1));
    let member = driver.stable_alone(&["range"]);
    assert_eq!(driver.describe().members[0].member_id, member);
    driver.reload();
    assert_eq!(driver.committed(GROUP), [5]);
    assert_eq!(code(describe(&driver).error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(driver.groups.list_groups(&[], &["classic".into()]).len(), 1);
}

#[test]
fn administrators_remove_members_with_leave_group() {
    let mut driver = two();
    let (error, verdicts) = driver.leave(&[("a", None), ("c", None), ("", Some("i"))]);
    assert_eq!(error, ErrorCode::None);
    assert_eq!(
        verdicts,
        [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::UnknownMemberId]
    );
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["b"]);
    let with_instance = ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..joining("d")
    };
    driver.beat(&with_instance);
    assert_eq!(driver.leave(&[("e", Some("i"))]).1, [ErrorCode::FencedInstanceId]);
    assert_eq!(driver.leave(&[("", Some("i"))]).1, [ErrorCode::None]);
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["b"]);
}
