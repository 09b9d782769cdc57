//! From members that come, go and are silent to a new generation.

use super::driver::{Driver, code, join, sync};
use crate::{GroupsConfig, Reply, Ticket};
use ottla_protocol::{ErrorCode, Str};

/// A stable group of two: the leader, the follower; the generation is 2.
fn stable_pair(driver: &mut Driver) -> (Str, Str) {
    let leader = driver.stable_alone(&["range", "sticky"]);
    let (follower, joining) = driver.join_new(&["range"]);
    let rejoining = driver.send_join(&join(&leader, &["range", "sticky"]));
    assert_eq!(driver.joined(rejoining).members.len(), 2);
    assert_eq!(driver.joined(joining).members.len(), 0);
    let waiting = driver.send_sync(&sync(&follower, 2, &[]));
    assert!(driver.is_waiting(waiting));
    let leading = driver.send_sync(&sync(
        &leader,
        2,
        &[(&leader, "one"), (&follower, "two"), ("ghost", "x")],
    ));
    assert_eq!(driver.synced(leading).assignment, "one");
    assert_eq!(driver.synced(waiting).assignment, "two");
    (leader, follower)
}

#[test]
fn a_second_member_makes_one_rebalance_and_one_generation() {
    let mut driver = Driver::new();
    let leader = driver.stable_alone(&["range"]);
    let (follower, joining) = driver.join_new(&["range"]);
    assert_eq!(driver.state(), "PreparingRebalance");
    assert_eq!(driver.heartbeat(&leader, 1), ErrorCode::RebalanceInProgress);
    assert!(driver.is_waiting(joining));

    let rejoining = driver.send_join(&join(&leader, &["range"]));
    let response = driver.joined(rejoining);
    assert_eq!((response.generation_id, &response.leader), (2, &leader));
    let members: Vec<&Str> = response.members.iter().map(|member| &member.member_id).collect();
    assert_eq!(members, [&leader, &follower]);
    assert_eq!(driver.joined(joining).generation_id, 2);
    assert_eq!(driver.state(), "CompletingRebalance");
    assert_eq!(driver.heartbeat(&follower, 2), ErrorCode::None);
    assert_eq!(driver.heartbeat(&follower, 1), ErrorCode::IllegalGeneration);
}

#[test]
fn members_get_the_very_bytes_that_the_leader_gave_also_when_they_ask_again() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    assert_eq!(driver.state(), "Stable");
    let again = driver.send_sync(&sync(&follower, 2, &[]));
    assert_eq!(driver.synced(again).assignment, "two");
    // Only the leader assigns, and only while the assignment is awaited.
    let again = driver.send_sync(&sync(&leader, 2, &[(&leader, "other")]));
    assert_eq!(driver.synced(again).assignment, "one");
}

#[test]
fn what_a_follower_brings_as_assignment_is_ignored() {
    let mut driver = Driver::new();
    let leader = driver.stable_alone(&["range"]);
    let (follower, _) = driver.join_new(&["range"]);
    driver.send_join(&join(&leader, &["range"]));
    let waiting = driver.send_sync(&sync(&follower, 2, &[(&follower, "mine"), (&leader, "mine")]));
    assert!(driver.is_waiting(waiting));
    driver.send_sync(&sync(&leader, 2, &[(&leader, "one"), (&follower, "two")]));
    assert_eq!(driver.synced(waiting).assignment, "two");
}

#[test]
fn a_member_that_the_leader_left_out_gets_empty_bytes() {
    let mut driver = Driver::new();
    let leader = driver.stable_alone(&["range"]);
    let (follower, _) = driver.join_new(&["range"]);
    driver.send_join(&join(&leader, &["range"]));
    let waiting = driver.send_sync(&sync(&follower, 2, &[]));
    driver.send_sync(&sync(&leader, 2, &[(&leader, "all")]));
    let response = driver.synced(waiting);
    assert_eq!(
        (code(response.error_code), response.assignment.len()),
        (ErrorCode::None, 0)
    );
}

#[test]
fn a_sync_is_refused_for_a_wrong_member_generation_or_protocol() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    let mut refused = |request| {
        let ticket = driver.send_sync(&request);
        code(driver.synced(ticket).error_code)
    };
    assert_eq!(refused(sync("nobody", 1, &[])), ErrorCode::UnknownMemberId);
    assert_eq!(refused(sync(&member, 2, &[])), ErrorCode::IllegalGeneration);
    let mut request = sync(&member, 1, &[]);
    request.protocol_name = Some("sticky".into());
    assert_eq!(refused(request), ErrorCode::InconsistentGroupProtocol);
    let mut request = sync(&member, 1, &[]);
    request.protocol_type = Some("connect".into());
    assert_eq!(refused(request), ErrorCode::InconsistentGroupProtocol);
    let mut request = sync(&member, 1, &[]);
    request.group_id = Str::EMPTY;
    assert_eq!(refused(request), ErrorCode::InvalidGroupId);
    let mut request = sync(&member, 1, &[]);
    request.group_id = "other".into();
    assert_eq!(refused(request), ErrorCode::UnknownMemberId);
}

#[test]
fn the_protocol_with_the_most_first_votes_among_those_all_speak_is_chosen() {
    let mut driver = Driver::new();
    driver.version = 3;
    let tickets = [
        driver.send_join(&join("", &["range", "sticky"])),
        driver.send_join(&join("", &["sticky", "range"])),
        driver.send_join(&join("", &["sticky"])),
    ];
    driver.pass_ms(30);
    for ticket in tickets {
        assert_eq!(driver.joined(ticket).protocol_name, Some("sticky".into()));
    }
}

#[test]
fn a_member_that_does_not_rejoin_in_time_is_out() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    let rejoining = driver.send_join(&join(&leader, &["range", "sticky"]));
    for _ in 0..12 {
        driver.pass_ms(5_000);
        if driver.state() == "PreparingRebalance" {
            assert_eq!(driver.heartbeat(&follower, 2), ErrorCode::RebalanceInProgress);
        }
    }
    let response = driver.joined(rejoining);
    assert_eq!((response.generation_id, response.members.len()), (3, 1));
    assert_eq!(driver.heartbeat(&follower, 2), ErrorCode::UnknownMemberId);
}

#[test]
fn another_member_leads_if_the_leader_does_not_rejoin() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    let rejoining = driver.send_join(&join(&follower, &["range", "new"]));
    driver.leave(&[(&leader, None)]);
    let response = driver.joined(rejoining);
    assert_eq!((response.leader, response.members.len()), (follower, 1));
}

#[test]
fn a_member_that_joins_and_never_syncs_is_expelled() {
    let mut driver = Driver::new();
    let leader = driver.stable_alone(&["range"]);
    let (silent, joining) = driver.join_new(&["range"]);
    let rejoining = driver.send_join(&join(&leader, &["range"]));
    driver.joined(joining);
    driver.joined(rejoining);
    let leading = driver.send_sync(&sync(&leader, 2, &[(&leader, "a"), (&silent, "b")]));
    driver.synced(leading);
    for _ in 0..12 {
        assert_eq!(driver.heartbeat(&silent, 2), ErrorCode::None);
        assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::None);
        driver.pass_ms(5_000);
    }
    assert_eq!(driver.heartbeat(&silent, 2), ErrorCode::UnknownMemberId);
    assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_silent_member_is_expelled_when_its_session_ends() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    driver.pass_ms(9_000);
    assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::None);
    driver.pass_ms(999);
    assert_eq!(driver.state(), "Stable");
    driver.pass_ms(1);
    assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.heartbeat(&follower, 2), ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_whose_join_waits_is_not_silent() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    let rejoining = driver.send_join(&join(&leader, &["range", "sticky"]));
    for _ in 0..5 {
        driver.pass_ms(9_000);
        driver.heartbeat(&follower, 2);
    }
    assert!(driver.is_waiting(rejoining));
    let last = driver.send_join(&join(&follower, &["range"]));
    assert_eq!(driver.joined(rejoining).members.len(), 2);
    assert_eq!(driver.joined(last).generation_id, 3);
}

#[test]
fn a_new_member_whose_join_waits_too_long_is_asked_to_come_again() {
    let mut driver = Driver::new();
    let leader = driver.stable_alone(&["range"]);
    let mut request = join(&leader, &["range"]);
    request.rebalance_timeout_ms = 1_000_000;
    let rejoining = driver.send_join(&request);
    let response = driver.joined(rejoining);
    let leading = driver.send_sync(&sync(&leader, response.generation_id, &[(&leader, "all")]));
    driver.synced(leading);
    let (_, joining) = driver.join_new(&["range"]);
    for _ in 0..60 {
        driver.pass_ms(5_000);
        driver.heartbeat(&leader, response.generation_id);
    }
    assert_eq!(code(driver.joined(joining).error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn the_first_rebalance_waits_longer_while_members_come_but_not_for_ever() {
    let mut driver = Driver::with(GroupsConfig {
        initial_rebalance_delay_ms: 3_000,
        ..Default::default()
    });
    driver.version = 3;
    let mut request = join("", &["range"]);
    request.rebalance_timeout_ms = 7_000;
    let mut tickets = vec![driver.send_join(&request)];
    for _ in 0..3 {
        driver.pass_ms(2_000);
        tickets.push(driver.send_join(&request));
    }
    driver.pass_ms(999);
    assert!(driver.is_waiting(tickets[0]));
    driver.pass_ms(1);
    assert_eq!(driver.joined(tickets[0]).members.len(), 4);
}

#[test]
fn without_initial_delay_the_first_generation_begins_at_once() {
    let mut driver = Driver::with(GroupsConfig {
        initial_rebalance_delay_ms: 0,
        ..Default::default()
    });
    let (_, joining) = driver.join_new(&["range"]);
    driver.pass_ms(0);
    assert_eq!(driver.joined(joining).generation_id, 1);
}

#[test]
fn a_follower_that_changes_nothing_learns_the_running_generation() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    let again = driver.send_join(&join(&follower, &["range"]));
    let response = driver.joined(again);
    assert_eq!(
        (response.generation_id, response.leader, response.members.len()),
        (2, leader, 0)
    );
    assert_eq!(driver.state(), "Stable");
}

#[test]
fn a_leader_that_rejoins_or_a_follower_that_changes_makes_a_rebalance() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    driver.send_join(&join(&leader, &["range", "sticky"]));
    assert_eq!(driver.state(), "PreparingRebalance");

    let mut driver = Driver::new();
    let (_, follower_too) = stable_pair(&mut driver);
    assert_eq!(follower, follower_too);
    driver.send_join(&join(&follower, &["range", "more"]));
    assert_eq!(driver.state(), "PreparingRebalance");
}

#[test]
fn those_who_wait_for_an_assignment_are_called_again_when_the_group_changes() {
    let mut driver = Driver::new();
    let leader = driver.stable_alone(&["range"]);
    let (follower, joining) = driver.join_new(&["range"]);
    driver.send_join(&join(&leader, &["range"]));
    driver.joined(joining);
    let waiting = driver.send_sync(&sync(&follower, 2, &[]));
    driver.join_new(&["range"]);
    assert_eq!(code(driver.synced(waiting).error_code), ErrorCode::RebalanceInProgress);
    let late = driver.send_sync(&sync(&leader, 2, &[(&leader, "all")]));
    assert_eq!(code(driver.synced(late).error_code), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_request_that_is_sent_again_supersedes_the_one_that_waits() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    let first = driver.send_join(&join(&leader, &["range"]));
    let second = driver.send_join(&join(&leader, &["range"]));
    assert_eq!(code(driver.joined(first).error_code), ErrorCode::RebalanceInProgress);
    driver.send_join(&join(&follower, &["range"]));
    assert_eq!(driver.joined(second).generation_id, 3);
    let first = driver.send_sync(&sync(&follower, 3, &[]));
    let second = driver.send_sync(&sync(&follower, 3, &[]));
    assert_eq!(code(driver.synced(first).error_code), ErrorCode::RebalanceInProgress);
    assert!(driver.is_waiting(second));
}

#[test]
fn members_leave_alone_or_in_a_batch() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    assert_eq!(
        driver.leave(&[("nobody", None)]),
        (ErrorCode::None, vec![ErrorCode::UnknownMemberId])
    );
    assert_eq!(driver.state(), "Stable");
    driver.version = 2;
    assert_eq!(driver.leave(&[("nobody", None)]), (ErrorCode::UnknownMemberId, vec![]));
    driver.version = 3;
    let both = [(leader.as_str(), None), ("nobody", None), (follower.as_str(), None)];
    let verdicts = vec![ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::None];
    assert_eq!(driver.leave(&both), (ErrorCode::None, verdicts));
    assert_eq!(driver.state(), "Empty");
    assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::UnknownMemberId);
}

#[test]
fn a_group_that_is_left_by_all_is_logged_as_empty_in_its_next_generation() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    driver.leave(&[(&member, None)]);
    driver.reload();
    assert_eq!(driver.state(), "Empty");
    driver.version = 3;
    let ticket = driver.send_join(&join("", &["range"]));
    driver.pass_ms(10);
    assert_eq!(driver.joined(ticket).generation_id, 3);
}

#[test]
fn membership_generation_protocol_and_assignments_survive_a_restart() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    let before = driver.describe();
    driver.reload();
    assert_eq!(driver.describe(), before);
    let again = driver.send_sync(&sync(&follower, 2, &[]));
    assert_eq!(driver.synced(again).assignment, "two");
    assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::None);
    // Sessions begin anew.
    driver.pass_ms(9_999);
    assert_eq!(driver.state(), "Stable");
    driver.pass_ms(1);
    assert_eq!(driver.state(), "Empty");
}

#[test]
fn a_rebalance_that_a_restart_cut_short_begins_again_from_the_last_logged_generation() {
    let mut driver = Driver::new();
    let leader = driver.stable_alone(&["range"]);
    let (follower, _) = driver.join_new(&["range"]);
    driver.send_join(&join(&leader, &["range"]));
    assert_eq!(driver.state(), "CompletingRebalance");
    driver.reload();
    assert_eq!(driver.state(), "Stable");
    assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::IllegalGeneration);
    assert_eq!(driver.heartbeat(&follower, 2), ErrorCode::UnknownMemberId);
    assert_eq!(driver.heartbeat(&leader, 1), ErrorCode::None);
}

#[test]
fn a_group_that_is_over_a_lowered_limit_shrinks_after_a_restart() {
    let mut driver = Driver::new();
    let (leader, follower) = stable_pair(&mut driver);
    driver.config.max_size = 1;
    driver.reload();
    assert_eq!(driver.heartbeat(&leader, 2), ErrorCode::RebalanceInProgress);
    let first = driver.send_join(&join(&follower, &["range"]));
    let second = driver.send_join(&join(&leader, &["range"]));
    assert_eq!(code(driver.joined(second).error_code), ErrorCode::GroupMaxSizeReached);
    driver.pass_ms(60_000);
    assert_eq!(driver.joined(first).members.len(), 1);
}

#[test]
fn everybody_who_waits_is_told_when_the_coordinator_moves() {
    let mut driver = Driver::new();
    let (leader, _) = stable_pair(&mut driver);
    let rejoining = driver.send_join(&join(&leader, &["range"]));
    let actions = driver.groups.fail_all(ErrorCode::NotCoordinator);
    assert_eq!(actions.records, []);
    let answered: Vec<(Ticket, ErrorCode)> = actions
        .replies
        .into_iter()
        .map(|(ticket, reply)| match reply {
            Reply::JoinGroup(response) => (ticket, code(response.error_code)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(answered, [(rejoining, ErrorCode::NotCoordinator)]);
}

#[test]
fn static_members_of_which_none_comes_are_waited_for_without_spinning() {
    let mut driver = Driver::new();
    driver.version = 5;
    let mut request = join("", &["range"]);
    request.group_instance_id = Some("i".into());
    request.rebalance_timeout_ms = 1;
    let ticket = driver.send_join(&request);
    driver.pass_ms(10);
    let id = driver.joined(ticket).member_id;
    let ticket = driver.send_sync(&sync(&id, 1, &[(&id, "all")]));
    driver.synced(ticket);
    // A dynamic member comes and goes: a rebalance runs in which nobody joins.
    driver.version = 3;
    let joining = driver.send_join(&join("", &["range"]));
    let gone = driver.groups.classic[super::driver::GROUP]
        .members
        .keys()
        .next()
        .cloned();
    driver.leave(&[(&gone.expect("the newcomer, whose id sorts first"), None)]);
    assert_eq!(code(driver.joined(joining).error_code), ErrorCode::UnknownMemberId);
    for _ in 0..12 {
        driver.heartbeat(&id, 1);
        driver.pass_ms(5_000);
    }
    assert_eq!(driver.state(), "PreparingRebalance");
    assert!(driver.groups.next_deadline_ms() > Some(driver.now_ms));
    driver.pass_ms(10_000);
    assert_eq!(driver.state(), "Empty");
}
