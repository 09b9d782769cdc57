//! Commits and fetches of members, and what becomes of offsets.

use super::*;
use crate::tests::driver::commit;
use ottla_protocol::{
    ids::ProducerId,
    messages::{OffsetDeleteRequest, offset_fetch_request::OffsetFetchRequestGroup},
};

fn fetch(driver: &Driver, member_id: Option<&str>, member_epoch: i32) -> ErrorCode {
    let request = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        member_id: member_id.map(Str::from),
        member_epoch,
        topics: None,
    };
    code(driver.groups.fetch_offsets(&request, false).error_code)
}

#[test]
fn members_commit_in_their_epoch() {
    let mut driver = two();
    assert_eq!(driver.commit(&commit(GROUP, "a", 3, 0, 5)), ErrorCode::None);
    assert_eq!(driver.committed(GROUP), [5]);
    assert_eq!(driver.commit(&commit(GROUP, "a", 4, 0, 6)), ErrorCode::StaleMemberEpoch);
    assert_eq!(driver.commit(&commit(GROUP, "c", 3, 0, 6)), ErrorCode::UnknownMemberId);
    assert_eq!(driver.commit(&commit(GROUP, "", -1, 0, 6)), ErrorCode::UnknownMemberId);
    driver.version = 8;
    assert_eq!(
        driver.commit(&commit(GROUP, "a", 3, 0, 6)),
        ErrorCode::UnsupportedVersion
    );
    assert_eq!(driver.committed(GROUP), [5]);
}

#[test]
fn a_commit_from_an_epoch_before_counts_for_what_the_member_has_had_since() {
    let mut driver = two();
    // "a" has had 0 since epoch 2; 2 is not its any more, and "b" got it in epoch 3.
    assert_eq!(driver.commit(&commit(GROUP, "a", 2, 0, 5)), ErrorCode::None);
    assert_eq!(driver.commit(&commit(GROUP, "a", 1, 0, 6)), ErrorCode::StaleMemberEpoch);
    assert_eq!(driver.commit(&commit(GROUP, "a", 2, 2, 6)), ErrorCode::StaleMemberEpoch);
    assert_eq!(driver.commit(&commit(GROUP, "b", 2, 2, 6)), ErrorCode::StaleMemberEpoch);
    assert_eq!(driver.committed(GROUP), [5]);
}

#[test]
fn whoever_says_that_it_is_a_member_must_be_one_to_fetch() {
    let driver = two();
    assert_eq!(fetch(&driver, None, -1), ErrorCode::None);
    assert_eq!(fetch(&driver, Some("a"), 3), ErrorCode::None);
    assert_eq!(fetch(&driver, Some("a"), 2), ErrorCode::StaleMemberEpoch);
    assert_eq!(fetch(&driver, Some("c"), 3), ErrorCode::UnknownMemberId);
    assert_eq!(fetch(&driver, Some(""), -1), ErrorCode::UnknownMemberId);
}

#[test]
fn anybody_commits_to_a_group_without_members() {
    let mut driver = alone();
    driver.beat(&beating("a", -1));
    assert_eq!(driver.commit(&commit(GROUP, "", -1, 0, 5)), ErrorCode::None);
    driver.reload();
    assert_eq!(driver.committed(GROUP), [5]);
    assert_eq!(state(&driver).0, "Empty");
}

#[test]
fn offsets_in_use_are_not_deleted_and_an_empty_group_goes_with_its_offsets() {
    let mut driver = alone();
    driver.commit(&commit(GROUP, "a", 2, 0, 5));
    let request = OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![
            ottla_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic {
                name: "t".into(),
                partitions: vec![
                    ottla_protocol::messages::offset_delete_request::OffsetDeleteRequestPartition {
                        partition_index: 0,
                    },
                ],
            },
        ],
    };
    let ticket = driver.ticket();
    let actions = driver.groups.handle_offset_delete(ticket, &request);
    let Some((_, crate::Reply::OffsetDelete(response))) = actions.replies.first().cloned() else {
        panic!("no answer");
    };
    driver.take(actions);
    assert_eq!(
        code(response.topics[0].partitions[0].error_code),
        ErrorCode::GroupSubscribedToTopic
    );

    let delete = |driver: &mut Driver| {
        let ticket = driver.ticket();
        let actions = driver.groups.handle_delete_groups(ticket, &[GROUP.into()]);
        let Some((_, crate::Reply::DeleteGroups(results))) = actions.replies.first().cloned() else {
            panic!("no answer");
        };
        driver.take(actions);
        code(results[0].error_code)
    };
    assert_eq!(delete(&mut driver), ErrorCode::NonEmptyGroup);
    driver.beat(&beating("a", -1));
    assert_eq!(delete(&mut driver), ErrorCode::None);
    driver.reload();
    assert_eq!(code(describe(&driver).error_code), ErrorCode::GroupIdNotFound);
    assert!(driver.committed(GROUP).is_empty());
    // Nothing is left behind: compaction takes all that was ever written.
    let mut last = BTreeMap::new();
    for record in &driver.log {
        last.insert(record.key.clone(), record.value.is_some());
    }
    assert!(last.values().all(|is_there| !is_there));
    let (_, ticket) = driver.join_new(&["range"]);
    driver.pass_ms(10);
    assert_eq!(code(driver.joined(ticket).error_code), ErrorCode::None);
}

#[test]
fn offsets_of_a_group_in_use_stay_and_others_expire_with_their_group() {
    let mut driver = alone();
    driver.commit(&commit(GROUP, "a", 2, 0, 5));
    driver.change_cluster(|cluster| cluster.settings.session_timeout_ms = i32::MAX);
    driver.beat(&beating("a", 2));
    let eight_days_ms = 8 * 24 * 60 * 60 * 1_000;
    driver.pass_ms(eight_days_ms);
    assert_eq!(driver.committed(GROUP), [5]);
    driver.beat(&beating("a", -1));
    driver.pass_ms(600_000);
    assert!(driver.committed(GROUP).is_empty());
    assert_eq!(code(describe(&driver).error_code), ErrorCode::GroupIdNotFound);
}

#[test]
fn members_commit_in_transactions_in_their_epoch() {
    let mut driver = two();
    let mut try_as = |member: &str, epoch, partition| {
        driver.commit_in_transaction(ProducerId(1), &commit(GROUP, member, epoch, partition, 5))
    };
    assert_eq!(try_as("a", 4, 0), ErrorCode::StaleMemberEpoch);
    assert_eq!(try_as("c", 3, 0), ErrorCode::UnknownMemberId);
    // Producers before version 3 cannot say whom they commit for: they are believed, as in classic groups.
    assert_eq!(try_as("", -1, 0), ErrorCode::None);
    assert_eq!(try_as("", 3, 0), ErrorCode::UnknownMemberId);
    assert_eq!(try_as("a", 2, 2), ErrorCode::StaleMemberEpoch, "it is not its own");
    assert_eq!(try_as("a", 3, 0), ErrorCode::None);
    // Before version 6 producers know of generations only.
    for (epoch, partition) in [(4, 0), (2, 2)] {
        let request = commit(GROUP, "a", epoch, partition, 5);
        let decided = driver.groups.commit_in_transaction(&request, 5, driver.now());
        let told = decided.response.topics[0].partitions[0].error_code;
        assert_eq!(code(told), ErrorCode::IllegalGeneration);
        assert_eq!(decided.records, []);
    }
    driver.end_transaction(ProducerId(1), true);
    driver.reload();
    assert_eq!(driver.committed(GROUP), [5]);
}
