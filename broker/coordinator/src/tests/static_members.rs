//! Static members (KIP-345, KIP-814).

use super::driver::{Driver, GROUP, code, join, sync};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{HeartbeatRequest, JoinGroupRequest},
};

fn join_static(instance_id: &str, protocols: &[&str]) -> JoinGroupRequest {
    JoinGroupRequest {
        group_instance_id: Some(instance_id.into()),
        ..join("", protocols)
    }
}

fn beat(driver: &mut Driver, member_id: &Str, generation_id: i32, instance_id: &str) -> ErrorCode {
    driver.heartbeat_of(&HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id,
        member_id: member_id.clone(),
        group_instance_id: Some(instance_id.into()),
    })
}

/// A stable group of the static members i1, who leads, and i2; the generation is 1.
fn stable_pair(driver: &mut Driver) -> (Str, Str) {
    let first = driver.send_join(&join_static("i1", &["range"]));
    let second = driver.send_join(&join_static("i2", &["range", "sticky"]));
    driver.pass_ms(20);
    let (first, second) = (driver.joined(first).member_id, driver.joined(second).member_id);
    assert!(first.starts_with("i1-"), "{first}");
    let waiting = driver.send_sync(&sync(&second, 1, &[]));
    let leading = driver.send_sync(&sync(&first, 1, &[(&first, "one"), (&second, "two")]));
    driver.synced(waiting);
    driver.synced(leading);
    (first, second)
}

#[test]
fn a_static_member_that_returns_keeps_its_assignment_without_a_rebalance() {
    let mut driver = Driver::new();
    let (_, former) = stable_pair(&mut driver);
    let ticket = driver.send_join(&join_static("i2", &["range", "sticky"]));
    let response = driver.joined(ticket);
    assert_eq!(
        (code(response.error_code), response.generation_id),
        (ErrorCode::None, 1)
    );
    assert_ne!(response.member_id, former);
    assert!(!response.skip_assignment);
    assert_eq!(driver.state(), "Stable");
    let ticket = driver.send_sync(&sync(&response.member_id, 1, &[]));
    assert_eq!(driver.synced(ticket).assignment, "two");
    // Also after a restart.
    driver.reload();
    let ticket = driver.send_sync(&sync(&response.member_id, 1, &[]));
    assert_eq!(driver.synced(ticket).assignment, "two");
    assert_eq!(driver.heartbeat(&former, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn the_session_of_a_returned_static_member_runs_out_like_any_other() {
    let mut driver = Driver::new();
    let (first, _) = stable_pair(&mut driver);
    driver.pass_ms(8_000);
    driver.heartbeat(&first, 1);
    let ticket = driver.send_join(&join_static("i2", &["range", "sticky"]));
    let id = driver.joined(ticket).member_id;
    driver.pass_ms(9_999);
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::None);
    driver.pass_ms(1);
    assert_eq!(driver.heartbeat(&id, 1), ErrorCode::UnknownMemberId);
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn the_former_self_is_fenced_whatever_it_asks() {
    let mut driver = Driver::new();
    let (_, former) = stable_pair(&mut driver);
    let ticket = driver.send_join(&join_static("i2", &["range", "sticky"]));
    let id = driver.joined(ticket).member_id;
    assert_eq!(beat(&mut driver, &former, 1, "i2"), ErrorCode::FencedInstanceId);
    assert_eq!(beat(&mut driver, &id, 1, "i2"), ErrorCode::None);
    assert_eq!(beat(&mut driver, &id, 1, "i9"), ErrorCode::UnknownMemberId);
    let mut request = join_static("i2", &["range"]);
    request.member_id = former.clone();
    let ticket = driver.send_join(&request);
    assert_eq!(code(driver.joined(ticket).error_code), ErrorCode::FencedInstanceId);
    assert_eq!(driver.leave(&[(&former, Some("i2"))]).1, [ErrorCode::FencedInstanceId]);
    let mut request = super::driver::commit(GROUP, &former, 1, 0, 5);
    request.group_instance_id = Some("i2".into());
    assert_eq!(driver.commit(&request), ErrorCode::FencedInstanceId);
}

#[test]
fn a_returning_leader_skips_the_assignment_from_version_9_on() {
    let mut driver = Driver::new();
    stable_pair(&mut driver);
    let ticket = driver.send_join(&join_static("i1", &["range"]));
    let response = driver.joined(ticket);
    assert!(response.skip_assignment);
    assert_eq!(response.leader, response.member_id);
    assert_eq!(response.members.len(), 2);
}

#[test]
fn an_older_returning_leader_is_told_that_its_former_self_leads() {
    let mut driver = Driver::new();
    let (former, _) = stable_pair(&mut driver);
    driver.version = 8;
    let ticket = driver.send_join(&join_static("i1", &["range"]));
    let response = driver.joined(ticket);
    assert_eq!(
        (response.leader, response.members.len(), response.skip_assignment),
        (former, 0, false)
    );
    // In truth it leads: what it does as a leader counts.
    let id = response.member_id;
    driver.send_join(&JoinGroupRequest {
        member_id: id,
        ..join_static("i1", &["range"])
    });
    assert_eq!(driver.state(), "PreparingRebalance");
}

#[test]
fn a_return_that_changes_the_chosen_protocol_makes_a_rebalance() {
    let mut driver = Driver::new();
    let ticket = driver.send_join(&join_static("i1", &["range", "sticky"]));
    driver.pass_ms(10);
    let id = driver.joined(ticket).member_id;
    let ticket = driver.send_sync(&sync(&id, 1, &[(&id, "all")]));
    driver.synced(ticket);
    let ticket = driver.send_join(&join_static("i1", &["sticky", "range"]));
    let response = driver.joined(ticket);
    assert_eq!(
        (response.generation_id, response.protocol_name),
        (2, Some("sticky".into()))
    );
}

#[test]
fn a_return_while_the_leader_assigns_makes_all_join_again() {
    let mut driver = Driver::new();
    let first = driver.send_join(&join_static("i1", &["range"]));
    let second = driver.send_join(&join_static("i2", &["range"]));
    driver.pass_ms(20);
    let (first, second) = (driver.joined(first).member_id, driver.joined(second).member_id);
    let waiting = driver.send_sync(&sync(&second, 1, &[]));
    let returning = driver.send_join(&join_static("i2", &["range"]));
    assert_eq!(code(driver.synced(waiting).error_code), ErrorCode::FencedInstanceId);
    assert_eq!(driver.state(), "PreparingRebalance");
    assert!(driver.is_waiting(returning));
    let mut request = join_static("i1", &["range"]);
    request.member_id = first;
    let rejoining = driver.send_join(&request);
    assert_eq!(driver.joined(rejoining).members.len(), 2);
    assert_eq!(driver.joined(returning).generation_id, 2);
}

#[test]
fn a_static_member_that_does_not_rejoin_keeps_its_place_until_its_session_ends() {
    let mut driver = Driver::new();
    let (first, second) = stable_pair(&mut driver);
    let rejoin = |driver: &mut Driver| {
        let mut request = join_static("i1", &["range"]);
        request.member_id = first.clone();
        request.rebalance_timeout_ms = 3_000;
        driver.send_join(&request)
    };
    let mut request = join_static("i2", &["range"]);
    request.member_id = second.clone();
    request.rebalance_timeout_ms = 3_000;
    driver.send_join(&request);
    let ticket = rejoin(&mut driver);
    assert_eq!(driver.joined(ticket).members.len(), 2);
    let ticket = driver.send_sync(&sync(&first, 2, &[(&first, "one"), (&second, "two")]));
    driver.synced(ticket);
    let ticket = driver.send_sync(&sync(&second, 2, &[]));
    driver.synced(ticket);

    let ticket = rejoin(&mut driver);
    driver.pass_ms(3_000);
    // The rebalance went on without it, but it is still counted.
    assert_eq!(driver.joined(ticket).members.len(), 2);
    let ticket = driver.send_sync(&sync(&first, 3, &[(&first, "one"), (&second, "two")]));
    driver.synced(ticket);
}

#[test]
fn an_administrator_expels_a_static_member_by_its_instance_id() {
    let mut driver = Driver::new();
    let (first, second) = stable_pair(&mut driver);
    let verdicts = driver.leave(&[("", Some("i2")), ("", Some("i9")), ("", None)]).1;
    assert_eq!(
        verdicts,
        [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::UnknownMemberId]
    );
    assert_eq!(driver.heartbeat(&second, 1), ErrorCode::UnknownMemberId);
    assert_eq!(driver.heartbeat(&first, 1), ErrorCode::RebalanceInProgress);
}
