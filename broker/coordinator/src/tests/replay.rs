//! Offsets that transactions commit or abort, as they are read from the log.

use crate::{CoordinatorRecord, Groups, GroupsConfig, record};
use ottla_protocol::{
    ids::{Offset, ProducerId},
    messages::{OffsetCommitKey, OffsetCommitValue, offset_fetch_request::OffsetFetchRequestGroup},
};

const ONE: Option<ProducerId> = Some(ProducerId(1));
const OTHER: Option<ProducerId> = Some(ProducerId(2));

/// A log that is being read.
struct Reading {
    groups: Groups,
}

impl Reading {
    fn new() -> Self {
        Self {
            groups: Groups::new(GroupsConfig::default()),
        }
    }

    fn commits(&mut self, producer: Option<ProducerId>, partition: i32, offset: Offset) -> &mut Self {
        let key = OffsetCommitKey {
            group: "g".into(),
            topic: "t".into(),
            partition,
        };
        let value = OffsetCommitValue {
            offset,
            ..Default::default()
        };
        self.take(producer, record::offset_commit(&key, &value))
    }

    fn take(&mut self, producer: Option<ProducerId>, record: CoordinatorRecord) -> &mut Self {
        match producer {
            Some(producer) => self.groups.apply_in_transaction(&record, producer).unwrap(),
            None => self.groups.apply(&record).unwrap(),
        }
        self
    }

    fn ends(&mut self, producer: Option<ProducerId>, is_commit: bool) -> &mut Self {
        self.groups.end_transaction(producer.unwrap(), is_commit);
        self
    }

    /// What is committed, by partition.
    fn committed(&self) -> Vec<(i32, Offset)> {
        let request = OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: None,
            ..Default::default()
        };
        let answer = self.groups.fetch_offsets(&request, false);
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|partition| (partition.partition_index, partition.committed_offset))
            .collect()
    }
}

#[test]
fn offsets_of_a_transaction_count_from_its_commit_on() {
    let mut log = Reading::new();
    log.commits(None, 0, 5).commits(ONE, 0, 7).commits(ONE, 1, 8);
    assert_eq!(log.committed(), [(0, 5)]);
    log.ends(ONE, true);
    assert_eq!(log.committed(), [(0, 7), (1, 8)]);
}

#[test]
fn offsets_of_an_aborted_transaction_never_count() {
    let mut log = Reading::new();
    log.commits(ONE, 0, 7).ends(ONE, false);
    assert_eq!(log.committed(), []);
    // The next transaction of the producer has nothing of the last one.
    log.commits(ONE, 1, 8).ends(ONE, true);
    assert_eq!(log.committed(), [(1, 8)]);
}

#[test]
fn a_marker_ends_the_transaction_of_its_producer_alone() {
    let mut log = Reading::new();
    log.commits(ONE, 0, 7).commits(OTHER, 1, 8).ends(OTHER, true);
    assert_eq!(log.committed(), [(1, 8)]);
}

#[test]
fn what_was_written_later_is_not_undone_by_a_commit() {
    let mut log = Reading::new();
    log.commits(ONE, 0, 7).commits(None, 0, 9).ends(ONE, true);
    assert_eq!(log.committed(), [(0, 9)]);
    let mut log = Reading::new();
    log.commits(ONE, 0, 7).commits(OTHER, 0, 9);
    log.ends(OTHER, true).ends(ONE, true);
    assert_eq!(log.committed(), [(0, 9)]);
    let mut log = Reading::new();
    log.commits(ONE, 0, 7).commits(OTHER, 0, 9);
    log.ends(ONE, true).ends(OTHER, true);
    assert_eq!(log.committed(), [(0, 9)]);
}

#[test]
fn a_tombstone_takes_away_what_is_pending() {
    let mut log = Reading::new();
    log.commits(None, 0, 5).commits(ONE, 0, 7).commits(ONE, 1, 8);
    log.take(None, record::offset_tombstone(&"g".into(), &"t".into(), 0));
    log.ends(ONE, true);
    assert_eq!(log.committed(), [(1, 8)]);
}
