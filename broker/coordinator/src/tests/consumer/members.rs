//! Members that come, stay and leave; who is refused.

use super::*;
use crate::GroupsConfig;

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut driver = alone();
    assert_eq!(state(&driver), ("Stable".to_owned(), 2, 2));
    let response = driver.beat(&beating("a", 2));
    assert_eq!(seen(&response), ok(2, None));
    assert_eq!(response.heartbeat_interval_ms, 5_000);
    assert_eq!(response.member_id, Some("a".into()));
}

#[test]
fn a_quiet_heartbeat_writes_nothing() {
    let mut driver = two();
    let written = driver.log.len();
    driver.beat(&beating("a", 3));
    driver.beat(&owning("b", 3, &[2]));
    assert_eq!(driver.log.len(), written);
}

/// BR-36.
#[test]
fn a_partition_is_given_only_when_its_former_owner_has_given_it_up() {
    let mut driver = alone();
    assert_eq!(seen(&driver.beat(&joining("b"))), ok(3, &[][..]));
    // "a" is told to give up 2 and stays in its epoch, however often it is asked, until it says that it has.
    assert_eq!(seen(&driver.beat(&beating("a", 2))), ok(2, &[0, 1][..]));
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(3, None));
    assert_eq!(seen(&driver.beat(&owning("a", 2, &[0, 1, 2]))), ok(2, None));
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(3, None));
    assert_eq!(state(&driver), ("Reconciling".to_owned(), 3, 3));
    assert_eq!(seen(&driver.beat(&owning("a", 2, &[0, 1]))), ok(3, None));
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(3, &[2][..]));
    assert_eq!(state(&driver), ("Stable".to_owned(), 3, 3));
}

#[test]
fn a_full_heartbeat_is_answered_with_all_that_the_member_has() {
    let mut driver = two();
    let full = ConsumerGroupHeartbeatRequest {
        member_epoch: 3,
        topic_partitions: owning("b", 3, &[2]).topic_partitions,
        ..joining("b")
    };
    assert_eq!(seen(&driver.beat(&full)), ok(3, &[2][..]));
}

#[test]
fn a_member_that_leaves_frees_what_it_had() {
    let mut driver = two();
    let response = driver.beat(&beating("a", -1));
    assert_eq!((response.error_code, response.member_epoch), (0, -1));
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(4, &[0, 1, 2][..]));
    driver.beat(&beating("b", -1));
    assert_eq!(state(&driver), ("Empty".to_owned(), 5, 5));
    assert_eq!(seen(&driver.beat(&joining("c"))), ok(6, &[0, 1, 2][..]));
}

#[test]
fn new_partitions_and_deleted_topics_are_noticed_with_the_next_heartbeat() {
    let mut driver = alone();
    driver.change_cluster(|cluster| cluster.set_topic("t", 7, 4));
    assert_eq!(seen(&driver.beat(&beating("a", 2))), ok(3, &[0, 1, 2, 3][..]));
    driver.change_cluster(|cluster| cluster.set_topic("other", 8, 1));
    let written = driver.log.len();
    assert_eq!(seen(&driver.beat(&beating("a", 3))), ok(3, None));
    assert_eq!(driver.log.len(), written, "a topic that concerns nobody was noted");
    driver.change_cluster(|cluster| cluster.delete_topic("t"));
    assert_eq!(seen(&driver.beat(&beating("a", 3))), ok(3, &[][..]));
    assert_eq!(seen(&driver.beat(&owning("a", 3, &[]))), ok(4, None));
    assert_eq!(state(&driver), ("Stable".to_owned(), 4, 4));
}

#[test]
fn what_a_member_does_not_subscribe_to_any_more_is_taken_back() {
    let mut driver = alone();
    driver.change_cluster(|cluster| cluster.set_topic("u", 8, 1));
    let other = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["u".into()]),
        ..beating("a", 2)
    };
    assert_eq!(seen(&driver.beat(&other)), ok(2, &[][..]));
    let response = driver.beat(&owning("a", 2, &[]));
    assert_eq!(response.member_epoch, 3);
    let assignment = response.assignment.expect("it has a new topic");
    assert_eq!(assignment.topic_partitions[0].topic_id, Uuid([8; 16]));
}

#[test]
fn an_answer_that_was_lost_can_be_asked_for_again() {
    let mut driver = alone();
    driver.beat(&joining("b"));
    driver.beat(&beating("a", 2));
    // It gave up 2 and moved on to epoch 3, and never heard of it.
    assert_eq!(seen(&driver.beat(&owning("a", 2, &[0, 1]))), ok(3, None));
    assert_eq!(seen(&driver.beat(&owning("a", 2, &[0, 1]))), ok(3, None));
    // Whoever does not say what it has, or has more, may have missed more than that.
    let error = refused(ErrorCode::FencedMemberEpoch);
    assert_eq!(seen(&driver.beat(&beating("a", 2))), error);
    assert_eq!(seen(&driver.beat(&owning("a", 2, &[0, 1, 2]))), error);
}

#[test]
fn a_member_in_another_epoch_is_fenced_and_may_begin_anew() {
    let mut driver = two();
    let ahead = driver.beat(&beating("a", 4));
    assert_eq!(seen(&ahead), refused(ErrorCode::FencedMemberEpoch));
    let message = "The consumer group member has a greater member epoch (4) than the one known by the group \
                   coordinator (3). The member must abandon all its partitions and rejoin.";
    assert_eq!(ahead.error_message.as_deref(), Some(message));
    let behind = driver.beat(&beating("a", 1));
    assert!(
        behind
            .error_message
            .expect("a message")
            .contains("a smaller member epoch (1)")
    );
    assert_eq!(seen(&driver.beat(&joining("a"))), ok(3, &[0, 1][..]));
}

#[test]
fn who_is_not_known_is_told_so() {
    let mut driver = driver(1);
    let response = driver.beat(&beating("a", 1));
    assert_eq!(code(response.error_code), ErrorCode::GroupIdNotFound);
    let message = response.error_message.expect("a message");
    assert_eq!(message, format!("Consumer group {GROUP} not found.").as_str());
    let response = driver.beat(&beating("a", -1));
    let message = response.error_message.expect("a message");
    assert_eq!(message, format!("Group {GROUP} not found.").as_str());
    driver.beat(&joining("a"));
    for epoch in [1, -1] {
        let response = driver.beat(&beating("b", epoch));
        assert_eq!(code(response.error_code), ErrorCode::UnknownMemberId);
        let message = response.error_message.expect("a message");
        assert_eq!(message, format!("Member b is not a member of group {GROUP}.").as_str());
    }
}

#[test]
fn a_group_that_nobody_could_join_is_not_there() {
    let mut driver = driver(1);
    let invalid = ConsumerGroupHeartbeatRequest {
        subscribed_topic_regex: Some("[".into()),
        ..joining("a")
    };
    assert_eq!(
        code(driver.beat(&invalid).error_code),
        ErrorCode::InvalidRegularExpression
    );
    assert_eq!(code(describe(&driver).error_code), ErrorCode::GroupIdNotFound);
    assert!(driver.log.is_empty());
}

#[test]
fn a_group_has_room_for_so_many_members() {
    let mut driver = Driver::with(GroupsConfig {
        consumer_max_size: 1,
        ..Default::default()
    });
    driver.beat(&joining("a"));
    let response = driver.beat(&joining("b"));
    assert_eq!(code(response.error_code), ErrorCode::GroupMaxSizeReached);
    let message = "The consumer group has reached its maximum capacity of 1 members.";
    assert_eq!(response.error_message.as_deref(), Some(message));
    assert_eq!(code(driver.beat(&joining("a")).error_code), ErrorCode::None);
}

#[test]
fn the_coordinator_chooses_an_id_for_a_member_of_version_0() {
    let mut driver = driver(1);
    let response = driver.beat_in_version(&joining(""), 0);
    assert_eq!(seen(&response), ok(2, &[0][..]));
    let id = response.member_id.expect("an id");
    assert!(Uuid::parse(&id).is_some(), "{id}");
    assert_eq!(
        code(driver.beat_in_version(&joining(""), 1).error_code),
        ErrorCode::InvalidRequest
    );
}

#[test]
fn a_member_that_joins_with_its_subscription_alone_is_taken_in() {
    let mut driver = driver(2);
    let bare = |member_id| ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: -1,
        topic_partitions: None,
        ..joining(member_id)
    };
    assert_eq!(seen(&driver.beat(&bare("a"))), (ErrorCode::None, 2, Some(vec![0, 1])));
    // So does one that had something: it has to be given it anew.
    assert_eq!(seen(&driver.beat(&bare("a"))), (ErrorCode::None, 2, Some(vec![0, 1])));
    // It has time to give up what it is not to have.
    driver.beat(&joining("b"));
    driver.pass_ms(10_000);
    assert_eq!(
        seen(&driver.beat(&beating("a", 2))),
        (ErrorCode::None, 2, Some(vec![0]))
    );
    for _ in 0..14 {
        driver.pass_ms(20_000);
        assert_eq!(seen(&driver.beat(&beating("a", 2))).0, ErrorCode::None);
    }
    driver.pass_ms(20_000);
    assert_eq!(seen(&driver.beat(&beating("a", 2))).0, ErrorCode::UnknownMemberId);
}

#[test]
fn requests_that_make_no_sense_are_refused_in_kafkas_words() {
    let mut driver = driver(1);
    let mut check = |request: ConsumerGroupHeartbeatRequest, error: ErrorCode, message: &str| {
        let response = driver.beat(&request);
        assert_eq!(code(response.error_code), error, "{message}");
        assert_eq!(response.error_message.as_deref(), Some(message));
    };
    let invalid = ErrorCode::InvalidRequest;
    let with = |change: fn(&mut ConsumerGroupHeartbeatRequest)| {
        let mut request = joining("a");
        change(&mut request);
        request
    };
    check(with(|r| r.member_id = " ".into()), invalid, "MemberId can't be empty.");
    check(with(|r| r.group_id = "".into()), invalid, "GroupId can't be empty.");
    check(
        with(|r| r.instance_id = Some("".into())),
        invalid,
        "InstanceId can't be empty.",
    );
    check(
        with(|r| r.rack_id = Some(" ".into())),
        invalid,
        "RackId can't be empty.",
    );
    check(
        with(|r| r.topic_partitions = owning("a", 0, &[1]).topic_partitions),
        invalid,
        "TopicPartitions must be empty when (re-)joining.",
    );
    check(
        with(|r| r.subscribed_topic_names = None),
        invalid,
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
    );
    check(beating("a", -2), invalid, "InstanceId can't be null.");
    check(beating("a", -3), invalid, "MemberEpoch is invalid.");
    check(
        with(|r| r.server_assignor = Some("best".into())),
        ErrorCode::UnsupportedAssignor,
        "ServerAssignor best is not supported. Supported assignors: uniform, range.",
    );
}

#[test]
fn the_assignor_that_most_members_want_is_used() {
    let mut driver = driver(4);
    let wanting = |id: &str, assignor: &str| ConsumerGroupHeartbeatRequest {
        server_assignor: Some(assignor.into()),
        ..joining(id)
    };
    driver.beat(&wanting("a", "uniform"));
    assert_eq!(describe(&driver).assignor_name, "uniform");
    driver.beat(&wanting("b", "range"));
    driver.beat(&wanting("c", "range"));
    assert_eq!(describe(&driver).assignor_name, "range");
    // Another wish of a member is a reason for another assignment.
    let epoch = describe(&driver).group_epoch;
    let change = ConsumerGroupHeartbeatRequest {
        server_assignor: Some("uniform".into()),
        ..joining("b")
    };
    driver.beat(&change);
    assert_eq!(describe(&driver).assignor_name, "uniform");
    assert_eq!(describe(&driver).group_epoch, epoch + 1);
}

#[test]
fn what_is_described_is_what_the_members_said() {
    let mut driver = driver(2);
    let request = ConsumerGroupHeartbeatRequest {
        rack_id: Some("r".into()),
        instance_id: Some("i".into()),
        ..joining("a")
    };
    driver.beat(&request);
    let group = describe(&driver);
    let member = &group.members[0];
    assert_eq!(member.rack_id, Some("r".into()));
    assert_eq!(member.instance_id, Some("i".into()));
    assert_eq!(
        (member.client_id.as_str(), member.client_host.as_str()),
        ("client", "/127.0.0.1")
    );
    assert_eq!(member.subscribed_topic_names, ["t"]);
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");
    assert_eq!(member.assignment.topic_partitions[0].partitions, [0, 1]);
    assert_eq!(member.member_type, 1);
}
