//! Sessions, time to give up partitions, time between assignments; what is left of them after a restart.

use super::*;

#[test]
fn a_silent_member_is_expelled() {
    let mut driver = two();
    driver.pass_ms(30_000);
    driver.beat(&beating("b", 3));
    driver.pass_ms(15_000);
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(4, &[0, 1, 2][..]));
    assert_eq!(
        code(driver.beat(&beating("a", 3)).error_code),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn members_that_are_silent_at_the_same_time_go_together() {
    let mut driver = two();
    driver.pass_ms(45_000);
    assert_eq!(state(&driver), ("Empty".to_owned(), 4, 4));
}

#[test]
fn a_member_that_does_not_give_up_partitions_in_time_is_expelled() {
    let mut driver = alone();
    driver.beat(&joining("b"));
    driver.beat(&beating("a", 2));
    // It keeps beating, and does not say that it gave up anything.
    driver.pass_ms(9_000);
    driver.beat(&owning("a", 2, &[0, 1, 2]));
    driver.pass_ms(999);
    assert_eq!(owned(&driver).len(), 2);
    driver.pass_ms(1);
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(seen(&driver.beat(&beating("b", 3))), ok(4, &[0, 1, 2][..]));
}

#[test]
fn a_member_that_gave_up_partitions_in_time_stays() {
    let mut driver = two();
    driver.pass_ms(20_000);
    assert_eq!(owned(&driver).len(), 2);
}

#[test]
fn targets_are_not_computed_more_often_than_wanted() {
    let mut driver = driver(2);
    driver.change_cluster(|cluster| cluster.settings.assignment_interval_ms = 1_000);
    assert_eq!(seen(&driver.beat(&joining("a"))), ok(2, &[0, 1][..]));
    // Who comes within a second shares an assignment with those who come later (KIP-1263).
    assert_eq!(seen(&driver.beat(&joining("b"))), ok(2, &[][..]));
    driver.pass_ms(500);
    assert_eq!(seen(&driver.beat(&joining("c"))), ok(2, &[][..]));
    assert_eq!(state(&driver), ("Assigning".to_owned(), 4, 2));
    driver.pass_ms(500);
    assert_eq!(seen(&driver.beat(&beating("a", 2))), ok(2, &[0][..]));
    assert_eq!(state(&driver), ("Reconciling".to_owned(), 4, 4));
}

#[test]
fn settings_count_from_the_next_heartbeat_on() {
    let mut driver = alone();
    driver.change_cluster(|cluster| {
        cluster.settings.heartbeat_interval_ms = 7_000;
        cluster.settings.session_timeout_ms = 60_000;
    });
    assert_eq!(driver.beat(&beating("a", 2)).heartbeat_interval_ms, 7_000);
    driver.pass_ms(59_999);
    assert_eq!(state(&driver).0, "Stable");
    driver.pass_ms(1);
    assert_eq!(state(&driver).0, "Empty");
}

/// Decision 17.
#[test]
fn whoever_waits_for_a_partition_is_asked_to_come_sooner_until_it_has_it() {
    let mut driver = alone();
    let interval_ms = |response: ConsumerGroupHeartbeatResponse| response.heartbeat_interval_ms;
    assert_eq!(interval_ms(driver.beat(&joining("b"))), 250);
    driver.pass_ms(4_000);
    assert_eq!(interval_ms(driver.beat(&beating("b", 3))), 2_000);
    assert_eq!(interval_ms(driver.beat(&beating("a", 2))), 2_000);
    assert_eq!(interval_ms(driver.beat(&owning("a", 2, &[0, 1]))), 5_000);
    assert_eq!(interval_ms(driver.beat(&beating("b", 3))), 5_000);
}

#[test]
fn whoever_waits_for_a_target_is_asked_to_come_when_it_is_due() {
    let mut driver = alone();
    driver.change_cluster(|cluster| cluster.settings.assignment_interval_ms = 1_000);
    driver.pass_ms(300);
    assert_eq!(driver.beat(&joining("b")).heartbeat_interval_ms, 700);
    driver.pass_ms(700);
    assert_eq!(seen(&driver.beat(&beating("b", 2))), ok(3, None));
}

#[test]
fn after_a_restart_all_is_as_it_was_and_time_begins_anew() {
    let mut driver = alone();
    driver.beat(&joining("b"));
    driver.beat(&beating("a", 2));
    driver.pass_ms(9_000);
    let before = describe(&driver);
    driver.reload();
    assert_eq!(describe(&driver), before);
    driver.pass_ms(9_999);
    assert_eq!(owned(&driver).len(), 2);
    driver.pass_ms(1);
    assert_eq!(owned(&driver).keys().collect::<Vec<_>>(), ["b"]);
    driver.pass_ms(35_000);
    assert_eq!(state(&driver).0, "Empty");
}
