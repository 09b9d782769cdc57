//! From consumer to classic.

use super::*;

/// A classic group of two that was upgraded by "c", which has nothing yet; all is in epoch 2. The ids of the two.
fn upgraded(policy: MigrationPolicy) -> (Driver, Str, Str) {
    let mut driver = driver_with(policy);
    let (first, second) = classic_pair(&mut driver);
    assert_eq!(seen(&driver.beat(&joining("c"))), ok(2, &[][..]));
    (driver, first, second)
}

#[test]
fn the_last_consumer_member_leaves_and_the_others_rebalance() {
    let (mut driver, first, second) = upgraded(MigrationPolicy::Bidirectional);
    driver.beat(&beating("c", -1));
    assert_eq!(driver.state(), "PreparingRebalance");
    let described = describe(&driver);
    assert_eq!(code(described.error_code), ErrorCode::GroupIdNotFound);
    // Who is not in the last epoch is in an old generation.
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::IllegalGeneration);
    let first_ticket = driver.send_join(&joining_as_classic(&first, &[0, 1]));
    assert!(driver.is_waiting(first_ticket));
    let second_ticket = driver.send_join(&joining_as_classic(&second, &[2]));
    let response = driver.joined(first_ticket);
    assert_eq!((response.generation_id, response.members.len()), (3, 2));
    assert_eq!(response.protocol_name.as_deref(), Some("sticky"));
    assert_eq!(driver.joined(second_ticket).generation_id, 3);
    assert_eq!(driver.state(), "CompletingRebalance");
}

#[test]
fn the_log_has_the_classic_group_with_what_each_was_to_have() {
    let (mut driver, first, second) = upgraded(MigrationPolicy::Bidirectional);
    let ticket = driver.send_join(&joining_as_classic(&second, &[2]));
    assert_eq!(driver.joined(ticket).generation_id, 2);
    assert_eq!(driver.heartbeat(&second, 2), ErrorCode::None);
    driver.beat(&beating("c", -1));
    driver.reload();
    assert_eq!(driver.state(), "Stable");
    assert_eq!(driver.groups.list_groups(&[], &[]).len(), 1);
    assert_eq!(driver.heartbeat(&second, 2), ErrorCode::None);
    assert_eq!(sync(&mut driver, &second, 2), Ok(vec![2]));
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::IllegalGeneration);
}

#[test]
fn a_consumer_member_that_is_silent_or_removed_is_gone_too() {
    let (mut driver, first, _) = upgraded(MigrationPolicy::Bidirectional);
    assert_eq!(driver.leave(&[("c", None)]).1, [ErrorCode::None]);
    assert_eq!(driver.state(), "PreparingRebalance");
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::IllegalGeneration);

    let (mut driver, first, second) = upgraded(MigrationPolicy::Bidirectional);
    let mut owned = BTreeMap::from([(first.clone(), vec![0, 1]), (second.clone(), vec![2])]);
    for _ in 0..6 {
        for id in [&first, &second] {
            let generation = rejoin(&mut driver, id, &owned[id]).expect("it is a member");
            let kept = sync(&mut driver, id, generation).expect("it has an assignment");
            owned.insert(id.clone(), kept);
        }
        driver.pass_ms(7_400);
    }
    assert_eq!(kinds(&driver).len(), 3);
    driver.pass_ms(700);
    assert_eq!(driver.state(), "PreparingRebalance", "the session of c was 45 s");
}

#[test]
fn without_leave_the_group_stays_as_it_is_while_a_consumer_member_is_left() {
    let (mut driver, first, _) = upgraded(MigrationPolicy::Bidirectional);
    driver.beat(&joining("d"));
    driver.beat(&beating("c", -1));
    assert_eq!(kinds(&driver).len(), 3);
    assert_eq!(driver.leave(&[(&first, None), ("d", None)]).1, [ErrorCode::None; 2]);
    assert_eq!(driver.state(), "PreparingRebalance");
}

#[test]
fn the_policy_or_the_size_may_forbid_it() {
    let (mut driver, first, _) = upgraded(MigrationPolicy::Upgrade);
    driver.beat(&beating("c", -1));
    assert_eq!(kinds(&driver).len(), 2);
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::RebalanceInProgress);

    let (mut driver, _, _) = upgraded(MigrationPolicy::Bidirectional);
    driver.config.max_size = 1;
    driver.reload();
    driver.beat(&beating("c", -1));
    assert_eq!(kinds(&driver).len(), 2);
}

#[test]
fn classic_members_alone_go_on_in_a_consumer_group() {
    let (mut driver, first, second) = upgraded(MigrationPolicy::Upgrade);
    driver.beat(&beating("c", -1));
    let generation = rejoin(&mut driver, &first, &[0, 1]).expect("it is a member");
    assert_eq!(sync(&mut driver, &first, generation), Ok(vec![0, 1]));
    let generation = rejoin(&mut driver, &second, &[2]).expect("it is a member");
    assert_eq!(sync(&mut driver, &second, generation), Ok(vec![2]));
    driver.leave(&[(&second, None)]);
    // Nobody of the consumer protocol is there to compute what follows: the member is called for it.
    assert_eq!(driver.heartbeat(&first, generation), ErrorCode::RebalanceInProgress);
    let generation = rejoin(&mut driver, &first, &[0, 1]).expect("it is a member");
    assert_eq!(sync(&mut driver, &first, generation), Ok(vec![0, 1, 2]));
    driver.leave(&[(&first, None)]);
    assert_eq!(state(&driver).0, "Empty");
}

fn static_join(owned: &[i32]) -> JoinGroupRequest {
    JoinGroupRequest {
        group_instance_id: Some("i".into()),
        ..joining_as_classic("", owned)
    }
}

/// "a" is static and has all three partitions, alone and of the consumer protocol, in epoch 2.
fn static_alone() -> Driver {
    let mut driver = driver_with(MigrationPolicy::Bidirectional);
    let request = ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..joining("a")
    };
    assert_eq!(seen(&driver.beat(&request)), ok(2, &[0, 1, 2][..]));
    driver
}

#[test]
fn the_classic_self_of_the_last_static_member_takes_over_without_a_rebalance() {
    let mut driver = static_alone();
    let ticket = driver.send_join(&static_join(&[]));
    let response = driver.joined(ticket);
    assert_eq!(
        (code(response.error_code), response.generation_id),
        (ErrorCode::None, 2)
    );
    assert_eq!(driver.state(), "Stable");
    assert_eq!(sync(&mut driver, &response.member_id, 2), Ok(vec![0, 1, 2]));
    let before = driver.describe();
    driver.reload();
    assert_eq!(driver.describe(), before);
}

#[test]
fn it_rebalances_if_it_subscribes_to_something_else() {
    let mut driver = static_alone();
    let mut request = static_join(&[]);
    request.protocols[0].metadata = crate::tests::driver::subscription("u");
    let ticket = driver.send_join(&request);
    let response = driver.joined(ticket);
    assert_eq!(code(response.error_code), ErrorCode::None);
    assert_eq!(driver.state(), "PreparingRebalance");
    let generation = response.generation_id;
    assert_eq!(
        sync(&mut driver, &response.member_id, generation),
        Err(ErrorCode::RebalanceInProgress)
    );
}
