//! Static members (KIP-345) of consumer groups.

use super::*;

fn with_instance(request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        instance_id: Some("i1".into()),
        ..request
    }
}

/// "m1" with the instance id "i1" and all of three partitions, in epoch 2.
fn alone() -> Driver {
    let mut driver = driver(3);
    let joined = driver.beat(&with_instance(joining("m1")));
    assert_eq!(seen(&joined), ok(2, &[0, 1, 2][..]));
    driver
}

/// BR-37.
#[test]
fn an_instance_id_belongs_to_one_member_until_that_goes_away() {
    let mut driver = alone();
    let response = driver.beat(&with_instance(beating("m2", 2)));
    assert_eq!(code(response.error_code), ErrorCode::FencedInstanceId);
    let message = "Static member m2 with instance id i1 was fenced by member m1.";
    assert_eq!(response.error_message.as_deref(), Some(message));

    let response = driver.beat(&with_instance(joining("m2")));
    assert_eq!(code(response.error_code), ErrorCode::UnreleasedInstanceId);
    let message = "Static member m2 with instance id i1 cannot join the group because the instance id is owned by m1 \
                   member.";
    assert_eq!(response.error_message.as_deref(), Some(message));

    let response = driver.beat(&with_instance(beating("m1", -2)));
    assert_eq!((response.error_code, response.member_epoch), (0, -2));
    assert_eq!(state(&driver), ("Reconciling".to_owned(), 2, 2));
    assert_eq!(seen(&driver.beat(&with_instance(joining("m2")))), ok(2, &[0, 1, 2][..]));
    assert_eq!(state(&driver), ("Stable".to_owned(), 2, 2));
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["m2"]);
}

#[test]
fn while_a_static_member_is_away_nobody_gets_what_it_had() {
    let mut driver = alone();
    driver.beat(&with_instance(beating("m1", -2)));
    assert_eq!(seen(&driver.beat(&joining("b"))), ok(3, &[][..]));
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(3, None));
    // It comes back under another id, and gives up what "b" shall have.
    assert_eq!(seen(&driver.beat(&with_instance(joining("m2")))), ok(3, &[0, 1][..]));
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(3, &[2][..]));
}

#[test]
fn a_static_member_that_does_not_come_back_is_expelled() {
    let mut driver = alone();
    driver.beat(&with_instance(beating("m1", -2)));
    driver.pass_ms(45_000);
    assert_eq!(state(&driver), ("Empty".to_owned(), 3, 3));
    let response = driver.beat(&with_instance(beating("m1", 2)));
    assert_eq!(code(response.error_code), ErrorCode::UnknownMemberId);
    assert_eq!(response.error_message.as_deref(), Some("Instance id i1 is unknown."));
}

#[test]
fn a_static_member_that_comes_back_under_its_own_id_is_watched_too() {
    let mut driver = alone();
    driver.beat(&with_instance(beating("m1", -2)));
    assert_eq!(seen(&driver.beat(&with_instance(joining("m1")))), ok(2, &[0, 1, 2][..]));
    driver.pass_ms(44_999);
    assert_eq!(state(&driver).0, "Stable");
    driver.pass_ms(1);
    assert_eq!(state(&driver).0, "Empty");
}

#[test]
fn a_static_member_may_leave_for_good() {
    let mut driver = alone();
    let response = driver.beat(&with_instance(beating("m2", -1)));
    assert_eq!(code(response.error_code), ErrorCode::FencedInstanceId);
    driver.beat(&with_instance(beating("m1", -1)));
    assert_eq!(state(&driver), ("Empty".to_owned(), 3, 3));
}

#[test]
fn a_member_that_is_back_is_so_after_a_restart_too() {
    let mut driver = alone();
    driver.beat(&with_instance(beating("m1", -2)));
    driver.reload();
    assert_eq!(seen(&driver.beat(&with_instance(joining("m2")))), ok(2, &[0, 1, 2][..]));
    driver.reload();
    let response = driver.beat(&with_instance(beating("m2", 2)));
    assert_eq!(seen(&response), ok(2, None));
    assert_eq!(state(&driver), ("Stable".to_owned(), 2, 2));
}
