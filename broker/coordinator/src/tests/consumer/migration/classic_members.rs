//! Members that speak the classic protocol, in a consumer group.

use super::*;

/// "a" of the consumer protocol with all of three partitions in epoch 2, and a classic member that has an id. Its id.
fn guest(driver: &mut Driver) -> Str {
    assert_eq!(seen(&driver.beat(&joining("a"))), ok(2, &[0, 1, 2][..]));
    let ticket = driver.send_join(&joining_as_classic("", &[]));
    let response = driver.joined(ticket);
    assert_eq!(code(response.error_code), ErrorCode::MemberIdRequired);
    response.member_id
}

/// "a" with one or two partitions and a classic member with the rest, in epoch 3.
fn mixed(driver: &mut Driver) -> Str {
    let member_id = guest(driver);
    assert_eq!(rejoin(driver, &member_id, &[]), Ok(3));
    assert_eq!(sync(driver, &member_id, 3), Ok(vec![]));
    let (_, _, kept) = seen(&driver.beat(&beating("a", 2)));
    let kept = kept.expect("it is told what to keep");
    assert_eq!(
        driver.heartbeat(&member_id, 3),
        ErrorCode::None,
        "nothing is free for it yet"
    );
    assert_eq!(seen(&driver.beat(&owning("a", 2, &kept))), ok(3, None));
    assert_eq!(
        driver.heartbeat(&member_id, 3),
        ErrorCode::RebalanceInProgress,
        "something is free for it"
    );
    assert_eq!(rejoin(driver, &member_id, &[]), Ok(3));
    let given = sync(driver, &member_id, 3).expect("it has an assignment");
    assert_eq!(kept.len() + given.len(), 3);
    assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::None);
    assert_eq!(state(driver), ("Stable".to_owned(), 3, 3));
    member_id
}

fn mixed_group(policy: MigrationPolicy) -> (Driver, Str) {
    let mut driver = driver_with(policy);
    let member_id = mixed(&mut driver);
    (driver, member_id)
}

#[test]
fn a_group_under_migration_has_members_of_both_kinds() {
    for policy in [
        MigrationPolicy::Upgrade,
        MigrationPolicy::Downgrade,
        MigrationPolicy::Bidirectional,
    ] {
        let (mut driver, member_id) = mixed_group(policy);
        assert_eq!(kinds(&driver), [(member_id.clone(), 0), ("a".into(), 1)].into());
        let before = describe(&driver);
        driver.reload();
        assert_eq!(describe(&driver), before);
        assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::None);
    }
}

#[test]
fn without_migration_a_consumer_group_cannot_be_joined_in_the_classic_way() {
    let mut driver = driver_with(MigrationPolicy::Disabled);
    driver.beat(&joining("a"));
    assert_eq!(rejoin(&mut driver, "", &[]), Err(ErrorCode::InconsistentGroupProtocol));
    assert_eq!(driver.heartbeat("a", 2), ErrorCode::UnknownMemberId);
    assert_eq!(sync(&mut driver, "a", 2), Err(ErrorCode::UnknownMemberId));
    let described = driver.describe();
    assert_eq!(code(described.error_code), ErrorCode::GroupIdNotFound);
    let message = format!("Group {GROUP} is not a classic group.");
    assert_eq!(described.error_message.as_deref(), Some(message.as_str()));
    assert_eq!(described.group_state, "Dead");
}

#[test]
fn the_answer_to_a_join_names_the_members_own_first_protocol_and_no_leader() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let member_id = guest(&mut driver);
    let mut request = joining_as_classic(&member_id, &[]);
    let metadata = request.protocols[0].metadata.clone();
    request.protocols.push(JoinGroupRequestProtocol {
        name: "range".into(),
        metadata,
    });
    let ticket = driver.send_join(&request);
    let response = driver.joined(ticket);
    assert_eq!(response.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(response.protocol_name.as_deref(), Some("sticky"));
    assert_eq!((response.leader.as_str(), response.members.len()), ("", 0));
    // The next one must share a protocol with it.
    let mut other = join("", &["roundrobin"]);
    let ticket = driver.send_join(&other);
    assert_eq!(
        code(driver.joined(ticket).error_code),
        ErrorCode::InconsistentGroupProtocol
    );
    other = join("", &["range"]);
    let ticket = driver.send_join(&other);
    assert_eq!(code(driver.joined(ticket).error_code), ErrorCode::MemberIdRequired);
}

#[test]
fn a_join_of_another_type_or_with_metadata_that_cannot_be_read_is_refused() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let member_id = guest(&mut driver);
    let mut request = joining_as_classic(&member_id, &[]);
    request.protocols[0].metadata = Bytes::from_static(b"\0\0\0");
    let ticket = driver.send_join(&request);
    let refused = driver.joined(ticket);
    assert_eq!(code(refused.error_code), ErrorCode::InconsistentGroupProtocol);
    let connect = JoinGroupRequest {
        protocol_type: "connect".into(),
        ..joining_as_classic(&member_id, &[])
    };
    let ticket = driver.send_join(&connect);
    let refused = driver.joined(ticket);
    assert_eq!(code(refused.error_code), ErrorCode::InconsistentGroupProtocol);
    // As with Apache Kafka it names nobody.
    assert_eq!(refused.member_id, Str::EMPTY);
    assert_eq!(kinds(&driver).len(), 1);
}

#[test]
fn the_group_has_room_for_its_own_members_only() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    driver.config.consumer_max_size = 2;
    driver.reload();
    assert_eq!(rejoin(&mut driver, "", &[]), Err(ErrorCode::GroupMaxSizeReached));
    assert!(rejoin(&mut driver, &member_id, &[]).is_ok());
}

#[test]
fn a_sync_must_fit_the_join() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    assert_eq!(sync(&mut driver, &member_id, 2), Err(ErrorCode::IllegalGeneration));
    assert_eq!(sync(&mut driver, "nobody", 3), Err(ErrorCode::UnknownMemberId));
    assert_eq!(sync(&mut driver, "a", 3), Err(ErrorCode::UnknownMemberId));
    for (protocol_type, protocol_name) in [("connect", "sticky"), ("consumer", "range")] {
        let ticket = driver.send_sync(&SyncGroupRequest {
            protocol_type: Some(protocol_type.into()),
            protocol_name: Some(protocol_name.into()),
            ..syncing(&member_id, 3)
        });
        assert_eq!(synced(&mut driver, ticket), Err(ErrorCode::InconsistentGroupProtocol));
    }
    driver.beat(&joining("b"));
    assert_eq!(sync(&mut driver, &member_id, 3), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn an_old_member_joins_without_an_id_and_gives_up_everything_first() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    driver.beat(&joining("a"));
    driver.version = 3;
    let ticket = driver.send_join(&join("", &["range"]));
    let response = driver.joined(ticket);
    assert_eq!(
        (code(response.error_code), response.generation_id),
        (ErrorCode::None, 3)
    );
    assert_eq!(sync(&mut driver, &response.member_id, 3), Ok(vec![]));
    let (_, _, kept) = seen(&driver.beat(&beating("a", 2)));
    driver.beat(&owning("a", 2, &kept.expect("it is told what to keep")));
    let ticket = driver.send_join(&join(&response.member_id, &["range"]));
    let response = driver.joined(ticket);
    let had = sync(&mut driver, &response.member_id, 3).expect("it has an assignment");
    driver.beat(&joining("b"));
    driver.pass_ms(1);
    let ticket = driver.send_join(&join(&response.member_id, &["range"]));
    assert_eq!(
        driver.joined(ticket).generation_id,
        4,
        "{had:?} is given up with the join"
    );
}

#[test]
fn commits_carry_the_member_epoch_as_generation() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    let had = owned(&driver).remove(&member_id).expect("a member");
    let partition = *had.first().expect("it has one");
    driver.version = 8;
    assert_eq!(
        driver.commit(&commit(GROUP, &member_id, 3, partition, 5)),
        ErrorCode::None
    );
    let early = commit(GROUP, &member_id, 4, partition, 5);
    assert_eq!(driver.commit(&early), ErrorCode::IllegalGeneration);
}

#[test]
fn whoever_is_told_to_rejoin_and_does_not_is_expelled() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    driver.beat(&joining("b"));
    for _ in 0..7 {
        assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::RebalanceInProgress);
        driver.beat(&beating("b", 4));
        driver.beat(&beating("a", 3));
        driver.pass_ms(9_000);
    }
    // Its rebalance time-out is 60 s, however lively it is.
    assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::UnknownMemberId);
    assert!(!kinds(&driver).contains_key(&member_id));
}

#[test]
fn whoever_joins_and_does_not_sync_is_expelled() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    assert_eq!(rejoin(&mut driver, &member_id, &[]), Ok(3));
    for _ in 0..6 {
        driver.pass_ms(9_500);
        assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::None);
        driver.beat(&beating("a", 3));
    }
    driver.pass_ms(5_000);
    assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::UnknownMemberId);
}

#[test]
fn whoever_has_synced_stays_as_long_as_it_beats() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    for _ in 0..10 {
        driver.pass_ms(9_500);
        assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::None);
        driver.beat(&beating("a", 3));
    }
    driver.pass_ms(10_001);
    assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::UnknownMemberId);
}

#[test]
fn whoever_was_expelled_must_give_up_what_it_had_before_it_joins_again() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    let had: Vec<i32> = owned(&driver)
        .remove(&member_id)
        .expect("a member")
        .into_iter()
        .collect();
    driver.leave(&[(&member_id, None)]);
    assert_eq!(rejoin(&mut driver, &member_id, &had), Err(ErrorCode::UnknownMemberId));
    assert!(rejoin(&mut driver, &member_id, &[]).is_ok());
}

#[test]
fn whoever_leaves_is_gone() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    assert_eq!(driver.leave(&[(&member_id, None)]).1, [ErrorCode::None]);
    assert_eq!(kinds(&driver), [("a".into(), 1)].into());
    assert_eq!(seen(&driver.beat(&beating("a", 3))), ok(4, &[0, 1, 2][..]));
}

#[test]
fn a_static_member_is_replaced_without_a_word() {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    driver.beat(&joining("a"));
    let with_instance = |member_id: &str| JoinGroupRequest {
        group_instance_id: Some("i".into()),
        ..joining_as_classic(member_id, &[])
    };
    let ticket = driver.send_join(&with_instance(""));
    let first = driver.joined(ticket).member_id;
    let ticket = driver.send_join(&with_instance(""));
    let second = driver.joined(ticket);
    assert_eq!(code(second.error_code), ErrorCode::None);
    assert_ne!(second.member_id, first);
    assert_eq!(kinds(&driver).len(), 2);
    for (member_id, error) in [
        (first.as_str(), ErrorCode::FencedInstanceId),
        (second.member_id.as_str(), ErrorCode::None),
    ] {
        let ticket = driver.send_join(&with_instance(member_id));
        assert_eq!(code(driver.joined(ticket).error_code), error);
        let beat = crate::tests::driver::heartbeat(member_id, 3, Some("i"));
        assert_eq!(driver.heartbeat_of(&beat), error);
    }
    let unknown = JoinGroupRequest {
        group_instance_id: Some("j".into()),
        ..joining_as_classic("x", &[])
    };
    let ticket = driver.send_join(&unknown);
    assert_eq!(code(driver.joined(ticket).error_code), ErrorCode::UnknownMemberId);
    // Its next self speaks the other protocol, and takes over what it had.
    let upgraded = ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..joining("b")
    };
    assert_eq!(code(driver.beat(&upgraded).error_code), ErrorCode::None);
    assert_eq!(kinds(&driver), [("a".into(), 1), ("b".into(), 1)].into());
}

#[test]
fn a_member_that_changes_its_protocol_is_no_longer_called_to_rejoin() {
    let (mut driver, member_id) = mixed_group(MigrationPolicy::Bidirectional);
    driver.beat(&joining("b"));
    assert_eq!(driver.heartbeat(&member_id, 3), ErrorCode::RebalanceInProgress);
    driver.beat(&joining(&member_id));
    for _ in 0..7 {
        driver.pass_ms(9_000);
        for id in ["a", "b", &member_id] {
            driver.beat(&beating(id, 0));
            let epoch = describe(&driver).group_epoch;
            driver.beat(&beating(id, epoch));
        }
    }
    assert_eq!(kinds(&driver).get(&member_id), Some(&1));
}
