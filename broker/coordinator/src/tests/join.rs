//! Who may join, and how a joining member is answered.

use super::driver::{Driver, GROUP, code, join};
use crate::{GroupsConfig, config};
use ottla_protocol::{ErrorCode, Str, messages::join_group_request::JoinGroupRequestProtocol};

fn refusal(driver: &mut Driver, request: &ottla_protocol::messages::JoinGroupRequest) -> ErrorCode {
    let ticket = driver.send_join(request);
    code(driver.joined(ticket).error_code)
}

#[test]
fn bad_requests_are_refused_and_leave_no_group_behind() {
    let mut driver = Driver::new();
    let mut request = join("", &["range"]);
    request.group_id = Str::EMPTY;
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InvalidGroupId);
    let mut request = join("", &["range"]);
    request.session_timeout_ms = 5_999;
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InvalidSessionTimeout);
    request.session_timeout_ms = 1_800_001;
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InvalidSessionTimeout);
    assert_eq!(
        refusal(&mut driver, &join("", &[])),
        ErrorCode::InconsistentGroupProtocol
    );
    let mut request = join("", &["range"]);
    request.protocol_type = Str::EMPTY;
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(
        refusal(&mut driver, &join("nobody", &["range"])),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(driver.log, []);
    assert_eq!(driver.groups.list_groups(&[], &[]), []);
}

#[test]
fn what_a_member_brings_is_bounded() {
    let mut driver = Driver::new();
    let many: Vec<String> = (0..=config::MAX_PROTOCOLS).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        refusal(&mut driver, &join("", &many)),
        ErrorCode::InconsistentGroupProtocol
    );
    let mut request = join("", &["range"]);
    request.protocols[0].metadata = vec![0; config::MAX_MEMBER_METADATA_BYTES + 1].into();
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InvalidRequest);
    let long = "x".repeat(config::MAX_NAME_BYTES + 1);
    let mut request = join("", &["range"]);
    request.group_instance_id = Some(Str::from(&long));
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InvalidRequest);
    let mut request = join("", &["range"]);
    request.group_id = Str::from(&long);
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InvalidGroupId);
}

#[test]
fn a_name_offered_twice_counts_once() {
    let mut driver = Driver::new();
    let mut request = join("", &["range"]);
    request.protocols.push(JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: "other".into(),
    });
    driver.version = 3;
    let ticket = driver.send_join(&request);
    driver.pass_ms(10);
    let response = driver.joined(ticket);
    assert_eq!(response.protocol_name, Some("range".into()));
    assert_eq!(response.members[0].metadata, super::driver::subscription("t"));
}

#[test]
fn a_dynamic_member_must_come_again_with_its_id_from_version_4_on() {
    let mut driver = Driver::new();
    driver.version = 4;
    let ticket = driver.send_join(&join("", &["range"]));
    let response = driver.joined(ticket);
    assert_eq!(code(response.error_code), ErrorCode::MemberIdRequired);
    assert_eq!(response.member_id, "client-00000000-0000-0000-0000-000000000001");
    assert_eq!(driver.state(), "Empty");

    let ticket = driver.send_join(&join(&response.member_id, &["range"]));
    driver.pass_ms(10);
    assert_eq!(driver.joined(ticket).member_id, response.member_id);
}

#[test]
fn before_version_4_a_member_is_in_at_once() {
    let mut driver = Driver::new();
    driver.version = 3;
    let ticket = driver.send_join(&join("", &["range"]));
    driver.pass_ms(10);
    let response = driver.joined(ticket);
    assert_eq!(code(response.error_code), ErrorCode::None);
    assert_eq!(response.leader, response.member_id);
}

#[test]
fn an_id_that_is_not_used_in_time_is_forgotten() {
    let mut driver = Driver::new();
    let ticket = driver.send_join(&join("", &["range"]));
    let id = driver.joined(ticket).member_id;
    driver.pass_ms(10_000);
    assert_eq!(refusal(&mut driver, &join(&id, &["range"])), ErrorCode::UnknownMemberId);
}

#[test]
fn an_id_that_waits_to_be_used_holds_up_a_rebalance_until_it_is_given_back() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    let ticket = driver.send_join(&join("", &["range"]));
    let pending = driver.joined(ticket).member_id;
    let rejoin = driver.send_join(&join(&member, &["range"]));
    assert!(driver.is_waiting(rejoin));
    assert_eq!(
        driver.leave(&[(&pending, None)]),
        (ErrorCode::None, vec![ErrorCode::None])
    );
    // The rebalance was not waiting for members but for the id: LeaveGroup went on with it.
    assert_eq!(driver.joined(rejoin).generation_id, 2);
}

#[test]
fn a_given_id_cannot_be_used_by_a_static_member() {
    let mut driver = Driver::new();
    let ticket = driver.send_join(&join("", &["range"]));
    let id = driver.joined(ticket).member_id;
    let mut request = join(&id, &["range"]);
    request.group_instance_id = Some("i".into());
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InvalidRequest);
}

#[test]
fn a_member_must_share_a_protocol_with_all_others() {
    let mut driver = Driver::new();
    driver.stable_alone(&["range", "sticky"]);
    assert_eq!(
        refusal(&mut driver, &join("", &["foo"])),
        ErrorCode::InconsistentGroupProtocol
    );
    let mut request = join("", &["range"]);
    request.protocol_type = "connect".into();
    assert_eq!(refusal(&mut driver, &request), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(driver.state(), "Stable");
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut driver = Driver::with(GroupsConfig {
        initial_rebalance_delay_ms: 10,
        max_size: 2,
        ..Default::default()
    });
    driver.version = 3;
    let first = driver.send_join(&join("", &["range"]));
    let second = driver.send_join(&join("", &["range"]));
    assert_eq!(
        refusal(&mut driver, &join("", &["range"])),
        ErrorCode::GroupMaxSizeReached
    );
    driver.pass_ms(10);
    driver.pass_ms(10);
    assert_eq!(driver.joined(first).members.len(), 2);
    let second = driver.joined(second).member_id;
    assert_eq!(
        refusal(&mut driver, &join("", &["range"])),
        ErrorCode::GroupMaxSizeReached
    );
    // Those who are in may rejoin.
    assert_eq!(refusal(&mut driver, &join(&second, &["range"])), ErrorCode::None);
}

#[test]
fn ids_that_wait_to_be_used_are_bounded() {
    let mut driver = Driver::new();
    for _ in 0..config::MAX_PENDING_MEMBERS {
        assert_eq!(refusal(&mut driver, &join("", &["range"])), ErrorCode::MemberIdRequired);
    }
    assert_eq!(
        refusal(&mut driver, &join("", &["range"])),
        ErrorCode::GroupMaxSizeReached
    );
}

#[test]
fn a_group_that_somebody_asked_to_join_is_logged_once() {
    let mut driver = Driver::new();
    driver.join_new(&["range"]);
    assert_eq!(driver.log.len(), 1);
    driver.reload();
    assert_eq!(driver.state(), "Empty");
    assert_eq!(driver.groups.list_groups(&[], &[])[0].group_id, GROUP);
}
