//! From classic to consumer.

use super::*;

fn refusal(driver: &mut Driver) -> String {
    let response = driver.beat(&joining("a"));
    assert_eq!(code(response.error_code), ErrorCode::GroupIdNotFound);
    let message = response.error_message.expect("a reason").to_string();
    let begin = format!("Cannot upgrade classic group {GROUP} to consumer group because ");
    let why = message.strip_prefix(&begin);
    why.unwrap_or_else(|| panic!("{message}")).to_owned()
}

#[test]
fn the_policy_may_forbid_it() {
    for policy in [MigrationPolicy::Disabled, MigrationPolicy::Downgrade] {
        let mut driver = driver_with(policy);
        classic_pair(&mut driver);
        assert_eq!(refusal(&mut driver), "online upgrade is disabled.");
        let response = driver.beat(&beating("a", 1));
        let message = format!("Group {GROUP} is not a consumer group.");
        assert_eq!(response.error_message.as_deref(), Some(message.as_str()));
        assert_eq!(driver.state(), "Stable");
    }
}

#[test]
fn members_stay_with_what_they_had() {
    let mut driver = driver_with(MigrationPolicy::Upgrade);
    let (first, second) = classic_pair(&mut driver);
    assert_eq!(seen(&driver.beat(&joining("c"))), ok(2, &[][..]));
    let expected = [(first.clone(), [0, 1].into()), (second.clone(), [2].into())];
    let mut had = owned(&driver);
    assert_eq!(had.remove("c"), Some(BTreeSet::new()));
    assert_eq!(had, expected.into());
    assert_eq!(kinds(&driver), [(first, 0), (second, 0), ("c".into(), 1)].into());
    assert_eq!(driver.groups.list_groups(&[], &["classic".into()]).len(), 0);
    let before = describe(&driver);
    driver.reload();
    assert_eq!(describe(&driver), before);
}

#[test]
fn a_partition_changes_hands_only_when_its_classic_owner_has_rejoined_without_it() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let (first, second) = classic_pair(&mut driver);
    driver.beat(&joining("c"));
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(
        rejoin(&mut driver, &first, &[0, 1]),
        Ok(1),
        "it has something to give up first"
    );
    let kept = sync(&mut driver, &first, 1).expect("it is told what to keep");
    assert_eq!(kept.len(), 1);
    assert_eq!(
        seen(&driver.beat(&beating("c", 2))),
        ok(2, None),
        "the partition is not given up yet"
    );
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(rejoin(&mut driver, &first, &kept), Ok(2));
    assert_eq!(sync(&mut driver, &first, 2), Ok(kept.clone()));
    let given_up = 1 - kept[0];
    let (error, epoch, told) = seen(&driver.beat(&beating("c", 2)));
    assert_eq!((error, epoch, told), (ErrorCode::None, 2, Some(vec![given_up])));
    assert_eq!(rejoin(&mut driver, &second, &[2]), Ok(2));
    assert_eq!(sync(&mut driver, &second, 2), Ok(vec![2]));
    assert_eq!(state(&driver), ("Stable".to_owned(), 2, 2));
    assert_eq!(driver.heartbeat(&second, 2), ErrorCode::None);
}

#[test]
fn whoever_waits_for_the_rebalance_must_come_again() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let (first, second) = classic_pair(&mut driver);
    let waiting = driver.send_join(&joining_as_classic(&first, &[0, 1]));
    assert!(driver.is_waiting(waiting));
    assert_eq!(code(driver.beat(&joining("c")).error_code), ErrorCode::None);
    let response = driver.joined(waiting);
    assert_eq!(code(response.error_code), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.heartbeat(&second, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(rejoin(&mut driver, &first, &[0, 1]), Ok(1));
}

#[test]
fn whoever_waits_for_its_assignment_must_come_again_and_keeps_what_it_still_had() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let (first, second) = classic_pair(&mut driver);
    let first_ticket = driver.send_join(&joining_as_classic(&first, &[0, 1]));
    let second_ticket = driver.send_join(&joining_as_classic(&second, &[2]));
    assert_eq!(driver.joined(first_ticket).generation_id, 2);
    assert_eq!(driver.joined(second_ticket).generation_id, 2);
    let waiting = driver.send_sync(&syncing(&second, 2));
    // The rebalance is given up for another one, and with it what was assigned.
    let (_, third_ticket) = join_first(&mut driver);
    assert_eq!(synced(&mut driver, waiting), Err(ErrorCode::RebalanceInProgress));
    driver.beat(&joining("c"));
    let response = driver.joined(third_ticket);
    assert_eq!(code(response.error_code), ErrorCode::RebalanceInProgress);
    let had = owned(&driver);
    assert_eq!(
        had.get(&first),
        Some(&[0, 1].into()),
        "a cooperative member still reads from that"
    );
    assert_eq!(had.get(&second), Some(&[2].into()));
    assert_eq!(had.get("c"), Some(&BTreeSet::new()));
}

#[test]
fn a_group_that_waits_for_its_first_members_is_upgraded_too() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let (first, ticket) = join_first(&mut driver);
    assert_eq!(code(driver.beat(&joining("c")).error_code), ErrorCode::None);
    assert_eq!(code(driver.joined(ticket).error_code), ErrorCode::RebalanceInProgress);
    let generation = rejoin(&mut driver, &first, &[]).expect("it is a member");
    sync(&mut driver, &first, generation).expect("it has an assignment");
    driver.pass_ms(500);
    assert_eq!(
        driver.heartbeat(&first, generation),
        ErrorCode::None,
        "no timer of the classic group is left"
    );
}

#[test]
fn groups_that_the_coordinator_does_not_understand_are_refused() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    driver.stable_alone(&["range"]);
    // The assignment of that group is the word "all".
    assert_eq!(refusal(&mut driver), "the embedded consumer protocol is malformed.");

    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let connect = JoinGroupRequest {
        protocol_type: "connect".into(),
        ..join("", &["range"])
    };
    driver.version = 3;
    driver.send_join(&connect);
    let why = "the group does not use the consumer embedded protocol.";
    assert_eq!(refusal(&mut driver), why);

    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let (member, ticket) = join_first(&mut driver);
    driver.pass_ms(20);
    driver.joined(ticket);
    driver.send_sync(&SyncGroupRequest {
        assignments: vec![SyncGroupRequestAssignment {
            member_id: member.clone(),
            assignment: given(&[0], Some(b"secret")),
        }],
        ..syncing(&member, 1)
    });
    let why = refusal(&mut driver);
    assert!(why.starts_with("an unsupported custom assignor is in use."), "{why}");
    assert_eq!(driver.state(), "Stable");
    assert_eq!(driver.heartbeat(&member, 1), ErrorCode::None);
}

#[test]
fn a_group_that_is_too_large_is_refused() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    driver.config.consumer_max_size = 1;
    classic_pair(&mut driver);
    driver.reload();
    assert_eq!(
        refusal(&mut driver),
        "the group size exceeds the consumer group maximum size."
    );
}

#[test]
fn what_the_newcomer_says_wrong_changes_nothing() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let (first, _) = classic_pair(&mut driver);
    let waiting = driver.send_join(&joining_as_classic(&first, &[0, 1]));
    let invalid = ConsumerGroupHeartbeatRequest {
        subscribed_topic_regex: Some("[".into()),
        ..joining("c")
    };
    assert_eq!(
        code(driver.beat(&invalid).error_code),
        ErrorCode::InvalidRegularExpression
    );
    assert!(driver.is_waiting(waiting));
    assert_eq!(driver.state(), "PreparingRebalance");
}

#[test]
fn sessions_go_on_as_their_members_asked() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let (first, second) = classic_pair(&mut driver);
    driver.beat(&joining("c"));
    driver.pass_ms(9_000);
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::RebalanceInProgress);
    driver.beat(&beating("c", 2));
    driver.pass_ms(2_000);
    // The session of the second was 10 s.
    assert_eq!(kinds(&driver), [(first, 0), ("c".into(), 1)].into());
    assert_eq!(driver.heartbeat(&second, 1), ErrorCode::UnknownMemberId);
}
