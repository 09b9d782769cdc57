//! How long offsets are kept (KIP-211).

use super::driver::{Driver, GROUP, commit};
use crate::GroupsConfig;
use ottla_protocol::ErrorCode;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn driver() -> Driver {
    Driver::with(GroupsConfig {
        initial_rebalance_delay_ms: 10,
        max_session_timeout_ms: i32::MAX,
        offsets_retention_ms: DAY_MS,
        offsets_retention_check_interval_ms: 1_000,
        ..Default::default()
    })
}

#[test]
fn offsets_of_a_simple_group_age_from_their_commit_and_the_group_goes_with_the_last() {
    let mut driver = driver();
    driver.commit(&commit("simple", "", -1, 0, 5));
    driver.pass_ms(DAY_MS / 2);
    driver.commit(&commit("simple", "", -1, 1, 6));
    driver.pass_ms(DAY_MS / 2 + 1_000);
    assert_eq!(driver.committed("simple"), [6]);
    driver.pass_ms(DAY_MS / 2);
    assert_eq!(driver.committed("simple"), [0_i64; 0]);
    assert_eq!(driver.groups.list_groups(&[], &[]), []);
}

#[test]
fn offsets_of_a_left_group_age_from_the_moment_it_was_left() {
    let mut driver = driver();
    let member = driver.stable_alone(&["range"]);
    driver.commit(&commit(GROUP, &member, 1, 0, 5));
    for _ in 0..20_000 {
        driver.pass_ms(9_000);
        assert_eq!(driver.heartbeat(&member, 1), ErrorCode::None);
    }
    driver.leave(&[(&member, None)]);
    driver.pass_ms(DAY_MS - 1);
    assert_eq!(driver.committed(GROUP), [5]);
    // Also over a restart.
    driver.reload();
    driver.pass_ms(1_001);
    assert_eq!(driver.committed(GROUP), [0_i64; 0]);
    assert_eq!(driver.state(), "Dead");
    driver.reload();
    assert_eq!(driver.state(), "Dead");
}

#[test]
fn a_group_with_members_keeps_what_it_reads_and_loses_the_rest() {
    let mut driver = driver();
    let member = driver.stable_alone(&["range"]);
    let mut request = commit(GROUP, &member, 1, 0, 5);
    driver.commit(&request);
    request.topics[0].name = "formerly read".into();
    driver.commit(&request);
    for _ in 0..10_000 {
        driver.pass_ms(9_000);
        assert_eq!(driver.heartbeat(&member, 1), ErrorCode::None);
    }
    assert_eq!(driver.committed(GROUP), [5]);
}

#[test]
fn a_retention_that_an_old_client_asked_for_is_kept() {
    let mut driver = driver();
    let mut request = commit("simple", "", -1, 0, 5);
    request.retention_time_ms = 3 * DAY_MS;
    driver.commit(&request);
    driver.reload();
    driver.pass_ms(3 * DAY_MS - 1_000);
    assert_eq!(driver.committed("simple"), [5]);
    driver.pass_ms(2_000);
    assert_eq!(driver.committed("simple"), [0_i64; 0]);
}

#[test]
fn an_empty_group_without_offsets_goes_unless_somebody_is_about_to_join() {
    let mut driver = driver();
    driver.commit(&commit("other", "", -1, 0, 5));
    let ticket = driver.send_join(&super::driver::join("", &["range"]));
    driver.joined(ticket);
    driver.pass_ms(2_000);
    assert_eq!(driver.state(), "Empty");
    driver.pass_ms(10_000);
    assert_eq!(driver.state(), "Dead");
    assert_eq!(driver.committed("other"), [5]);
}
