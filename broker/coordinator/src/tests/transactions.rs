//! Offsets that are committed in transactions: who may, what others see meanwhile, what is left of them.

use super::driver::{Driver, GROUP, commit, join};
use crate::{GroupsConfig, Reply};
use ottla_protocol::{
    ErrorCode,
    ids::{ProducerId, Uuid},
    messages::{
        OffsetCommitRequest, OffsetDeleteRequest,
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
};

const ONE: ProducerId = ProducerId(1);
const OTHER: ProducerId = ProducerId(2);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A commit of whoever does not take part in the group.
fn simple(partition: i32, offset: i64) -> OffsetCommitRequest {
    commit(GROUP, "", -1, partition, offset)
}

/// What a consumer that wants stable offsets is told of partition 0.
fn stable(driver: &Driver) -> Result<i64, ErrorCode> {
    let request = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: vec![0],
            ..Default::default()
        }]),
        ..Default::default()
    };
    let partition = driver
        .groups
        .fetch_offsets(&request, true)
        .topics
        .remove(0)
        .partitions
        .remove(0);
    match ErrorCode::from_code(partition.error_code) {
        Some(ErrorCode::None) => Ok(partition.committed_offset),
        error => Err(error.expect("a code of the protocol")),
    }
}

/// Does it now, and again after a restart.
fn before_and_after_a_reload(mut driver: Driver, check: impl Fn(&Driver)) -> Driver {
    check(&driver);
    driver.reload();
    check(&driver);
    driver
}

#[test]
fn what_is_pending_counts_for_nobody_and_is_not_stable_until_the_marker() {
    let mut driver = Driver::new();
    driver.commit(&simple(0, 5));
    assert_eq!(driver.commit_in_transaction(ONE, &simple(0, 7)), ErrorCode::None);
    let mut driver = before_and_after_a_reload(driver, |driver| {
        assert_eq!(driver.committed(GROUP), [5]);
        assert_eq!(stable(driver), Err(ErrorCode::UnstableOffsetCommit));
    });
    driver.end_transaction(OTHER, true);
    assert_eq!(stable(&driver), Err(ErrorCode::UnstableOffsetCommit));
    driver.end_transaction(ONE, true);
    before_and_after_a_reload(driver, |driver| {
        assert_eq!(driver.committed(GROUP), [7]);
        assert_eq!(stable(driver), Ok(7));
    });
}

#[test]
fn what_is_aborted_never_counted() {
    let mut driver = Driver::new();
    driver.commit(&simple(0, 5));
    driver.commit_in_transaction(ONE, &simple(0, 7));
    driver.end_transaction(ONE, false);
    before_and_after_a_reload(driver, |driver| assert_eq!(stable(driver), Ok(5)));
}

#[test]
fn a_newer_commit_is_not_undone_but_nothing_is_stable_before_the_marker() {
    let mut driver = Driver::new();
    driver.commit_in_transaction(ONE, &simple(0, 7));
    driver.commit(&simple(0, 9));
    assert_eq!(stable(&driver), Err(ErrorCode::UnstableOffsetCommit));
    driver.end_transaction(ONE, true);
    before_and_after_a_reload(driver, |driver| assert_eq!(stable(driver), Ok(9)));
}

#[test]
fn members_commit_in_their_generation_also_in_the_middle_of_a_rebalance() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    let mut try_as =
        |member: &str, generation| driver.commit_in_transaction(ONE, &commit(GROUP, member, generation, 0, 5));
    assert_eq!(try_as("nobody", 1), ErrorCode::UnknownMemberId);
    assert_eq!(try_as(&member, 0), ErrorCode::IllegalGeneration);
    assert_eq!(try_as(&member, -1), ErrorCode::IllegalGeneration);
    assert_eq!(try_as("", 1), ErrorCode::UnknownMemberId);
    // Producers before version 3 cannot say whom they commit for.
    assert_eq!(try_as("", -1), ErrorCode::None);
    assert_eq!(try_as(&member, 1), ErrorCode::None);
    let (_, joining) = driver.join_new(&["range"]);
    let rejoining = driver.send_join(&join(&member, &["range"]));
    driver.joined(rejoining);
    driver.joined(joining);
    let mut try_in = |generation| driver.commit_in_transaction(ONE, &commit(GROUP, &member, generation, 0, 5));
    assert_eq!(try_in(1), ErrorCode::IllegalGeneration);
    assert_eq!(
        try_in(2),
        ErrorCode::None,
        "the members do not have their assignments yet"
    );
}

#[test]
fn a_group_that_does_not_exist_is_named_in_the_words_of_the_version() {
    let driver = Driver::new();
    let refused = |version| {
        let decided = driver
            .groups
            .commit_in_transaction(&commit("lost", "m", 1, 0, 5), version, driver.now());
        assert_eq!(decided.records, []);
        ErrorCode::from_code(decided.response.topics[0].partitions[0].error_code)
    };
    assert_eq!(refused(5), Some(ErrorCode::IllegalGeneration));
    assert_eq!(refused(6), Some(ErrorCode::GroupIdNotFound));
}

#[test]
fn nothing_is_pending_any_more_in_a_group_that_was_deleted() {
    let mut driver = Driver::new();
    driver.commit_in_transaction(ONE, &simple(0, 7));
    let ticket = driver.ticket();
    let actions = driver.groups.handle_delete_groups(ticket, &[GROUP.into()]);
    driver.take(actions);
    driver.end_transaction(ONE, true);
    before_and_after_a_reload(driver, |driver| {
        assert_eq!(stable(driver), Ok(-1));
        assert_eq!(driver.groups.list_groups(&[], &[]), []);
    });
}

#[test]
fn offsets_that_are_deleted_are_not_pending_any_more() {
    let mut driver = Driver::new();
    driver.commit_in_transaction(ONE, &simple(0, 7));
    let request = OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    let ticket = driver.ticket();
    let actions = driver.groups.handle_offset_delete(ticket, &request);
    driver.take(actions);
    assert!(matches!(driver.answers.remove(&ticket), Some(Reply::OffsetDelete(answer)) if answer.error_code == 0));
    assert_eq!(stable(&driver), Ok(-1));
    driver.end_transaction(ONE, true);
    before_and_after_a_reload(driver, |driver| assert_eq!(stable(driver), Ok(-1)));
}

#[test]
fn what_is_pending_for_a_deleted_topic_is_not_for_its_namesake() {
    for (deleted, left) in [(Uuid([8; 16]), 7), (Uuid([7; 16]), -1)] {
        let mut driver = Driver::new();
        driver.commit_in_transaction(ONE, &simple(0, 7));
        let actions = driver.groups.on_topics_deleted(&[("t".into(), deleted)]);
        driver.take(actions);
        driver.end_transaction(ONE, true);
        before_and_after_a_reload(driver, |driver| assert_eq!(stable(driver), Ok(left)));
    }
}

#[test]
fn neither_an_offset_nor_its_group_expires_while_a_transaction_has_another_one() {
    let mut driver = Driver::with(GroupsConfig {
        offsets_retention_ms: DAY_MS,
        offsets_retention_check_interval_ms: 1_000,
        ..Default::default()
    });
    driver.commit(&simple(0, 5));
    driver.commit(&simple(1, 6));
    driver.commit_in_transaction(ONE, &simple(0, 7));
    driver.pass_ms(DAY_MS + 1_000);
    assert_eq!(driver.committed(GROUP), [5], "nothing was pending for partition 1");
    driver.end_transaction(ONE, false);
    driver.pass_ms(1_000);
    assert_eq!(driver.groups.list_groups(&[], &[]), []);
}

#[test]
fn a_group_whose_only_offset_is_pending_does_not_expire() {
    let mut driver = Driver::with(GroupsConfig {
        offsets_retention_check_interval_ms: 1_000,
        ..Default::default()
    });
    driver.commit_in_transaction(ONE, &simple(0, 7));
    driver.pass_ms(2_000);
    assert_eq!(driver.groups.list_groups(&[], &[]).len(), 1);
    driver.end_transaction(ONE, true);
    assert_eq!(stable(&driver), Ok(7));
}
