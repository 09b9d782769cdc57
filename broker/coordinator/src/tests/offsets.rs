//! Who may commit, and what is kept.

use super::driver::{Driver, GROUP, code, commit, join, sync};
use crate::{Reply, config};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        OffsetDeleteRequest,
        offset_commit_request::OffsetCommitRequestPartition,
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
};

/// The group's error and that of the partition.
fn delete(driver: &mut Driver, group: &str, topic: &str) -> (ErrorCode, Option<ErrorCode>) {
    let request = OffsetDeleteRequest {
        group_id: group.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    let ticket = driver.ticket();
    let actions = driver.groups.handle_offset_delete(ticket, &request);
    driver.take(actions);
    match driver.answers.remove(&ticket) {
        Some(Reply::OffsetDelete(response)) => {
            let partition = response
                .topics
                .first()
                .map(|topic| code(topic.partitions[0].error_code));
            (code(response.error_code), partition)
        }
        other => panic!("{other:?}"),
    }
}

fn fetch(driver: &Driver, topic_id: Uuid, partitions: &[i32]) -> Vec<(i64, i32, Str)> {
    let request = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![OffsetFetchRequestTopics {
            name: "t".into(),
            topic_id,
            partition_indexes: partitions.to_vec(),
        }]),
        ..Default::default()
    };
    let response = driver.groups.fetch_offsets(&request, false);
    let partitions = response.topics[0].partitions.iter();
    partitions
        .map(|partition| {
            let metadata = partition.metadata.clone().unwrap_or_default();
            (partition.committed_offset, partition.committed_leader_epoch, metadata)
        })
        .collect()
}

#[test]
fn whoever_is_no_member_commits_to_an_unknown_or_empty_group() {
    let mut driver = Driver::new();
    assert_eq!(driver.commit(&commit("simple", "", -1, 0, 5)), ErrorCode::None);
    assert_eq!(driver.commit(&commit("simple", "somebody", -1, 1, 6)), ErrorCode::None);
    assert_eq!(driver.commit(&commit("", "", -1, 0, 7)), ErrorCode::None);
    assert_eq!(driver.committed("simple"), [5, 6]);
    assert_eq!(driver.committed(""), [7]);
    let listed = driver.groups.list_groups(&[], &[]);
    assert_eq!(
        (&listed[1].protocol_type, &listed[1].group_state),
        (&"".into(), &"Empty".into())
    );
    driver.reload();
    assert_eq!(driver.committed("simple"), [5, 6]);
}

#[test]
fn whoever_is_no_member_may_not_commit_while_there_are_members() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    assert_eq!(driver.commit(&commit(GROUP, "", -1, 0, 5)), ErrorCode::UnknownMemberId);
    assert_eq!(
        driver.commit(&commit(GROUP, "nobody", 1, 0, 5)),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        driver.commit(&commit(GROUP, &member, 2, 0, 5)),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(
        driver.commit(&commit(GROUP, &member, -1, 0, 5)),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(driver.committed(GROUP), [0_i64; 0]);
    driver.reload();
    assert_eq!(driver.commit(&commit(GROUP, &member, 1, 0, 5)), ErrorCode::None);
    assert_eq!(driver.committed(GROUP), [5]);
}

#[test]
fn a_member_of_an_unknown_group_learns_it_in_the_words_of_its_version() {
    let mut driver = Driver::new();
    assert_eq!(driver.commit(&commit("lost", "m", 1, 0, 5)), ErrorCode::GroupIdNotFound);
    driver.version = 8;
    assert_eq!(
        driver.commit(&commit("lost", "m", 1, 0, 5)),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(driver.log, []);
    let name = "x".repeat(config::MAX_NAME_BYTES + 1);
    assert_eq!(driver.commit(&commit(&name, "", -1, 0, 5)), ErrorCode::InvalidGroupId);
}

#[test]
fn a_rebalance_takes_commits_of_the_last_generation_until_the_next_begins() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    let (_, joining) = driver.join_new(&["range"]);
    assert_eq!(driver.commit(&commit(GROUP, &member, 1, 0, 5)), ErrorCode::None);
    let rejoining = driver.send_join(&join(&member, &["range"]));
    driver.joined(rejoining);
    driver.joined(joining);
    assert_eq!(
        driver.commit(&commit(GROUP, &member, 1, 0, 6)),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(
        driver.commit(&commit(GROUP, &member, 2, 0, 6)),
        ErrorCode::RebalanceInProgress
    );
    let ticket = driver.send_sync(&sync(&member, 2, &[(&member, "all")]));
    driver.synced(ticket);
    assert_eq!(driver.commit(&commit(GROUP, &member, 2, 0, 6)), ErrorCode::None);
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    for offset in 0..5 {
        driver.pass_ms(9_000);
        assert_eq!(driver.commit(&commit(GROUP, &member, 1, 0, offset)), ErrorCode::None);
    }
    driver.pass_ms(10_000);
    assert_eq!(driver.state(), "Empty");
}

#[test]
fn metadata_that_is_too_long_fails_its_partition_only() {
    let mut driver = Driver::new();
    let mut request = commit(GROUP, "", -1, 0, 5);
    // 4096 units of UTF-16, though 8192 bytes.
    request.topics[0].partitions[0].committed_metadata = Some("ü".repeat(4_096).into());
    request.topics[0].partitions.push(OffsetCommitRequestPartition {
        partition_index: 1,
        committed_offset: 6,
        committed_metadata: Some("x".repeat(4_097).into()),
        ..Default::default()
    });
    let ticket = driver.ticket();
    let actions = driver
        .groups
        .handle_offset_commit(ticket, &request, &driver.caller(), driver.now());
    driver.take(actions);
    let Some(Reply::OffsetCommit(response)) = driver.answers.remove(&ticket) else {
        panic!("no answer");
    };
    let errors: Vec<ErrorCode> = response.topics[0]
        .partitions
        .iter()
        .map(|answer| code(answer.error_code))
        .collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::OffsetMetadataTooLarge]);
    assert_eq!(driver.committed(GROUP), [5]);
}

#[test]
fn epoch_and_metadata_are_kept_and_nothing_reads_as_minus_one() {
    let mut driver = Driver::new();
    let mut request = commit(GROUP, "", -1, 0, 5);
    request.topics[0].partitions[0].committed_leader_epoch = 4;
    request.topics[0].partitions[0].committed_metadata = Some("m".into());
    driver.commit(&request);
    driver.reload();
    let expected = [(5, 4, "m".into()), (-1, -1, "".into())];
    assert_eq!(fetch(&driver, Uuid::ZERO, &[0, 9]), expected);
    // The topic was made anew: the commit was for another one.
    assert_eq!(fetch(&driver, Uuid([8; 16]), &[0]), [(-1, -1, "".into())]);
    assert_eq!(fetch(&driver, Uuid([7; 16]), &[0]), [(5, 4, "m".into())]);
}

#[test]
fn offsets_of_topics_that_are_read_cannot_be_deleted() {
    let mut driver = Driver::new();
    let member = driver.stable_alone(&["range"]);
    driver.commit(&commit(GROUP, &member, 1, 0, 5));
    let in_use = (ErrorCode::None, Some(ErrorCode::GroupSubscribedToTopic));
    assert_eq!(delete(&mut driver, GROUP, "t"), in_use);
    assert_eq!(
        delete(&mut driver, GROUP, "other"),
        (ErrorCode::None, Some(ErrorCode::None))
    );
    driver.leave(&[(&member, None)]);
    assert_eq!(
        delete(&mut driver, GROUP, "t"),
        (ErrorCode::None, Some(ErrorCode::None))
    );
    assert_eq!(driver.committed(GROUP), [0_i64; 0]);
    driver.reload();
    assert_eq!(driver.committed(GROUP), [0_i64; 0]);
    assert_eq!(delete(&mut driver, "lost", "t"), (ErrorCode::GroupIdNotFound, None));
    assert_eq!(delete(&mut driver, "", "t"), (ErrorCode::InvalidGroupId, None));
}

#[test]
fn offsets_of_an_active_group_of_another_kind_cannot_be_deleted() {
    let mut driver = Driver::new();
    driver.version = 3;
    let mut request = join("", &["worker"]);
    request.protocol_type = "connect".into();
    driver.send_join(&request);
    assert_eq!(delete(&mut driver, GROUP, "t"), (ErrorCode::NonEmptyGroup, None));
}

#[test]
fn the_offsets_of_a_deleted_topic_go_but_not_those_of_its_namesake() {
    let mut driver = Driver::new();
    driver.commit(&commit(GROUP, "", -1, 0, 5));
    let actions = driver.groups.on_topics_deleted(&[("t".into(), Uuid([8; 16]))]);
    driver.take(actions);
    assert_eq!(driver.committed(GROUP), [5]);
    let actions = driver.groups.on_topics_deleted(&[("t".into(), Uuid([7; 16]))]);
    driver.take(actions);
    assert_eq!(driver.committed(GROUP), [0_i64; 0]);
}
