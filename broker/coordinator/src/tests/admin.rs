//! ListGroups, DescribeGroups, DeleteGroups.

use super::driver::{Driver, GROUP, code, commit, subscription};
use crate::{ApplyError, CoordinatorRecord, Reply};
use ottla_protocol::{ErrorCode, Str};

fn delete(driver: &mut Driver, groups: &[&str]) -> Vec<ErrorCode> {
    let ids: Vec<Str> = groups.iter().map(|id| Str::from(*id)).collect();
    let ticket = driver.ticket();
    let actions = driver.groups.handle_delete_groups(ticket, &ids);
    driver.take(actions);
    match driver.answers.remove(&ticket) {
        Some(Reply::DeleteGroups(results)) => results.iter().map(|result| code(result.error_code)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn groups_are_listed_by_state_and_type_in_any_case_of_letters() {
    let mut driver = Driver::new();
    driver.stable_alone(&["range"]);
    driver.commit(&commit("simple", "", -1, 0, 5));
    let list = |states: &[&str], types: &[&str]| {
        let words = |words: &[&str]| -> Vec<Str> { words.iter().map(|word| Str::from(*word)).collect() };
        let listed = driver.groups.list_groups(&words(states), &words(types));
        listed
            .iter()
            .map(|group| group.group_id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&[], &[]), ["simple", GROUP]);
    assert_eq!(list(&["STABLE "], &[]), [GROUP]);
    assert_eq!(list(&["empty", "Dead"], &["Classic"]), ["simple"]);
    assert_eq!(list(&["nonsense"], &[]), [""; 0]);
    assert_eq!(list(&[], &["consumer"]), [""; 0]);
}

#[test]
fn reports_show_groups_with_their_commits_and_rebalances() {
    let mut driver = Driver::new();
    driver.stable_alone(&["range"]);
    driver.commit(&commit("simple", "", -1, 0, 5));
    let summaries = driver.groups.summaries();
    let seen: Vec<_> = summaries
        .iter()
        .map(|group| (&*group.id, group.kind, group.state, group.members, group.commits))
        .collect();
    assert_eq!(
        seen,
        [(GROUP, "classic", "Stable", 1, 0), ("simple", "classic", "Empty", 0, 1)]
    );
    let commits = driver.groups.commits(&"simple".into(), 10);
    assert_eq!(
        (&*commits[0].topic, commits[0].partition, commits[0].offset),
        ("t", 0, 5)
    );
    assert_eq!(driver.groups.commits(&"simple".into(), 0), []);
    assert_eq!(driver.groups.summary(&"unknown".into()), None);
    assert_eq!(driver.groups.rebalances(), 1);
    driver.join_new(&["range"]);
    assert_eq!(driver.groups.rebalances(), 1, "nobody has answered the call yet");
}

#[test]
fn a_stable_group_is_described_with_metadata_and_assignments() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    let group = driver.describe();
    assert_eq!(
        (&group.protocol_type, &group.protocol_data),
        (&"consumer".into(), &"range".into())
    );
    let described = &group.members[0];
    assert_eq!(described.member_id, member);
    assert_eq!(
        (&described.client_id, &described.client_host),
        (&"client".into(), &"/127.0.0.1".into())
    );
    assert_eq!(described.member_metadata, subscription("t"));
    assert_eq!(described.member_assignment, "all");
    driver.join_new(&["range"]);
    let group = driver.describe();
    assert_eq!(
        (group.group_state, group.protocol_data),
        ("PreparingRebalance".into(), "".into())
    );
    assert!(group.members.iter().all(|member| member.member_metadata.is_empty()));
}

#[test]
fn an_unknown_group_is_dead_and_from_version_6_on_an_error() {
    let driver = Driver::new();
    let group = driver.groups.describe_group(&"lost".into(), 5);
    assert_eq!(
        (group.error_code, group.group_state, group.error_message),
        (0, "Dead".into(), None)
    );
    let group = driver.groups.describe_group(&"lost".into(), 6);
    assert_eq!(code(group.error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(group.error_message, Some("Group lost not found.".into()));
}

#[test]
fn only_empty_groups_are_deleted_with_all_that_they_hold() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    driver.commit(&commit(GROUP, &member, 1, 0, 5));
    driver.commit(&commit("simple", "", -1, 0, 5));
    let verdicts = delete(&mut driver, &[GROUP, "simple", "lost", "simple"]);
    let expected = [ErrorCode::NonEmptyGroup, ErrorCode::None, ErrorCode::GroupIdNotFound];
    assert_eq!(verdicts, expected);
    driver.leave(&[(&member, None)]);
    assert_eq!(delete(&mut driver, &[GROUP]), [ErrorCode::None]);
    assert_eq!(driver.committed(GROUP), [0_i64; 0]);
    driver.reload();
    assert_eq!(driver.groups.list_groups(&[], &[]), []);
}

#[test]
fn a_record_that_cannot_be_read_changes_nothing() {
    let mut driver = Driver::new();
    driver.stable_alone(&["range"]);
    let before = driver.describe();
    let mut torn = driver.log.last().expect("a record").clone();
    torn.value = torn.value.map(|value| value.slice(..20));
    assert!(matches!(driver.groups.apply(&torn), Err(ApplyError::Undecodable(_))));
    let unknown = CoordinatorRecord {
        key: vec![0, 77].into(),
        value: None,
    };
    assert_eq!(driver.groups.apply(&unknown), Err(ApplyError::UnknownType(77)));
    assert_eq!(driver.describe(), before);
}
