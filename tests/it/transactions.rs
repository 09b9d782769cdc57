//! What the leader of a partition and the coordinator of groups do with transactions.
//!
//! Those that another broker has left in the files: the batches are put behind what a killed broker has written. And live
//! ones, whose coordinator is the test, which sends the markers itself.

use ottla_protocol::{
    ErrorCode, Message,
    ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId},
    messages::{
        DescribeProducersRequest, FindCoordinatorRequest, ListOffsetsRequest, OffsetCommitKey, OffsetCommitRequest,
        OffsetCommitValue, OffsetFetchRequest,
        describe_producers_request::TopicRequest,
        describe_producers_response::ProducerState,
        fetch_response::AbortedTransaction,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
    records::{BatchBuilder, EndTransactionMarker, NewRecord, batch::batches, builder::end_transaction_batch},
};
use ottla_tests::{
    client::{Client, batch, fetch_request, now_ms, produce_request},
    process::{Broker, eventually},
    raw::with_broker,
    scratch::Scratch,
    transactional::{PRODUCE_WITHOUT_ADDING, Producer, UNVERIFIED, write_markers},
};
use std::{fs, path::Path};

const READ_COMMITTED: i8 = 1;

/// A log file that others have written to.
struct Tail {
    bytes: Vec<u8>,
    next_offset: Offset,
}

impl Tail {
    /// What the broker has written so far, without preallocated room.
    fn of(path: &Path) -> ottla_tests::Result<Self> {
        let mut bytes = fs::read(path)?;
        let (mut end, mut next_offset) = (0, 0);
        for found in batches(&bytes) {
            let Ok((header, batch)) = found else { break };
            (end, next_offset) = (end + batch.len(), header.next_offset());
        }
        bytes.truncate(end);
        Ok(Self { bytes, next_offset })
    }

    fn append(&mut self, batch: &[u8], records: i64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(batch);
        // Base offset and leader epoch are not under the checksum.
        self.bytes[start..start + 8].copy_from_slice(&self.next_offset.to_be_bytes());
        self.bytes[start + 12..start + 16].copy_from_slice(&LeaderEpoch(0).0.to_be_bytes());
        self.next_offset += records;
    }

    /// A record of a transaction.
    fn record(&mut self, producer: i64, sequence: i32, key: &[u8], value: &[u8]) {
        let mut builder = BatchBuilder::new()
            .producer(ProducerId(producer), ProducerEpoch(0), sequence)
            .transactional();
        builder.append(&NewRecord::of(now_ms(), key, value));
        self.append(&builder.build(), 1);
    }

    fn end(&mut self, producer: i64, is_commit: bool) {
        let marker = EndTransactionMarker {
            is_commit,
            coordinator_epoch: 0,
        };
        let batch = end_transaction_batch(marker, ProducerId(producer), ProducerEpoch(0), now_ms());
        self.append(&batch, 1);
    }
}

fn read_committed(client: &mut Client, offset: Offset) -> ottla_tests::Result<(Vec<AbortedTransaction>, i64, usize)> {
    let mut request = fetch_request("t", 0, offset, 0);
    request.isolation_level = READ_COMMITTED;
    let mut response = client.call(&request, 12)?;
    let partition = response.responses.remove(0).partitions.remove(0);
    let read = partition.records.unwrap_or_default();
    let aborted = partition.aborted_transactions.unwrap_or_default();
    Ok((aborted, partition.last_stable_offset, batches(&read).count()))
}

#[test]
fn consumers_are_told_what_was_aborted_and_wait_before_what_is_open() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transactions");
    let mut broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 1, &[])?;
    client.produce("t", 0, batch(&[b"plain"]), -1)?;
    broker.kill()?;
    let path = broker.data().join("t-0/00000000000000000000.log");
    let mut log = Tail::of(&path)?;
    log.record(1, 0, b"k", b"to be aborted");
    log.record(2, 0, b"k", b"to be committed");
    log.end(1, false);
    log.end(2, true);
    log.record(1, 1, b"k", b"aborted later");
    log.record(3, 0, b"k", b"open");
    log.end(1, false);
    fs::write(&path, &log.bytes)?;
    // Both ways of starting: the index is made anew, and it is taken as it is.
    for _ in 0..2 {
        broker.restart()?;
        let mut client = broker.connect()?;
        let (aborted, last_stable_offset, count) = read_committed(&mut client, 0)?;
        assert_eq!((last_stable_offset, count), (6, 6));
        let aborted: Vec<_> = aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect();
        assert_eq!(aborted, [(1, 1), (1, 5)]);
        assert_eq!(
            read_committed(&mut client, 4)?.0.len(),
            1,
            "the first is behind the reader"
        );
        let all = client.fetch("t", 0, 0, 0)?.responses.remove(0).partitions.remove(0);
        assert_eq!(batches(&all.records.unwrap_or_default()).count(), 8);
        assert_eq!(all.aborted_transactions, None);
        broker.stop()?;
    }
    Ok(())
}

fn key(partition: i32) -> ottla_tests::Result<Vec<u8>> {
    let key = OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition,
    };
    Ok([&1i16.to_be_bytes()[..], &key.to_bytes(0)?].concat())
}

fn value(offset: Offset) -> ottla_tests::Result<Vec<u8>> {
    let value = OffsetCommitValue {
        offset,
        commit_timestamp: now_ms(),
        ..Default::default()
    };
    Ok([&3i16.to_be_bytes()[..], &value.to_bytes(3)?].concat())
}

/// Commits without a group, until the coordinator is there.
fn commit(client: &mut Client, partition: i32, offset: Offset) -> ottla_tests::Result<()> {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    eventually(|| Ok(client.call(&request, 9)?.topics[0].partitions[0].error_code == 0))
}

fn committed(client: &mut Client) -> ottla_tests::Result<Vec<(i32, Offset)>> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: None,
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut group = Default::default();
    eventually(|| {
        group = client.call(&request, 9)?.groups.remove(0);
        Ok(group.error_code == 0)
    })?;
    let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(partitions
        .map(|partition| (partition.partition_index, partition.committed_offset))
        .collect())
}

#[test]
fn offsets_count_as_their_transactions_ended() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transactions");
    let mut broker = Broker::start(scratch.path(), &["offsets.topic.num.partitions=1"])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 4, &[])?;
    let coordinator = FindCoordinatorRequest {
        coordinator_keys: vec!["g".into()],
        ..Default::default()
    };
    client.call(&coordinator, 4)?;
    for partition in 0..4 {
        commit(&mut client, partition, 1)?;
    }
    broker.kill()?;
    let path = broker.data().join("__consumer_offsets-0/00000000000000000000.log");
    let mut log = Tail::of(&path)?;
    log.record(1, 0, &key(0)?, &value(20)?);
    log.record(2, 0, &key(1)?, &value(21)?);
    log.record(3, 0, &key(2)?, &value(22)?);
    log.end(1, true);
    log.end(2, false);
    fs::write(&path, &log.bytes)?;
    broker.restart()?;
    let found = committed(&mut broker.connect()?)?;
    assert_eq!(found, [(0, 20), (1, 1), (2, 1), (3, 1)]);
    // The one that is open can be ended, now that it has been read.
    let mut client = broker.connect()?;
    assert_eq!(stable(&mut client, 2)?, Err(ErrorCode::UnstableOffsetCommit));
    let third = Producer { id: 3, epoch: 0 };
    assert_eq!(third.end(&mut client, true, OFFSETS)?, ErrorCode::None);
    assert_eq!(stable(&mut client, 2)?, Ok(22));
    Ok(())
}

const OFFSETS: (&str, i32) = ("__consumer_offsets", 0);
const ONE: Producer = Producer { id: 1, epoch: 0 };
const OTHER: Producer = Producer { id: 2, epoch: 0 };

/// What a consumer that wants stable offsets is told of a partition.
fn stable(client: &mut Client, partition: i32) -> ottla_tests::Result<Result<Offset, ErrorCode>> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "t".into(),
                partition_indexes: vec![partition],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        require_stable: true,
        ..Default::default()
    };
    let mut group = client.call(&request, 9)?.groups.remove(0);
    assert_eq!(group.error_code, 0);
    let partition = group.topics.remove(0).partitions.remove(0);
    Ok(match ErrorCode::from_code(partition.error_code) {
        Some(ErrorCode::None) => Ok(partition.committed_offset),
        error => Err(error.expect("a code of the protocol")),
    })
}

fn find_coordinator(client: &mut Client) -> ottla_tests::Result<()> {
    let coordinator = FindCoordinatorRequest {
        coordinator_keys: vec!["g".into()],
        ..Default::default()
    };
    client.call(&coordinator, 4)?;
    Ok(())
}

fn producers(client: &mut Client) -> ottla_tests::Result<Vec<ProducerState>> {
    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: "t".into(),
            partition_indexes: vec![0],
        }],
    };
    let mut response = client.call(&request, 0)?;
    Ok(response.topics.remove(0).partitions.remove(0).active_producers)
}

/// The end of what a read_committed consumer may read.
fn stable_end(client: &mut Client) -> ottla_tests::Result<Offset> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: READ_COMMITTED,
        topics: vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![ListOffsetsPartition {
                timestamp: -1,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    Ok(client.call(&request, 7)?.topics.remove(0).partitions.remove(0).offset)
}

#[test]
fn a_marker_wakes_a_consumer_that_waits_for_committed_records() -> ottla_tests::Result<()> {
    with_broker("transactions", &[UNVERIFIED], |broker, client| {
        assert_eq!(ONE.produce(client, ("t", 0), 0)?, (ErrorCode::None, 0));
        assert_eq!(OTHER.produce(client, ("t", 0), 0)?, (ErrorCode::None, 1));
        assert_eq!(stable_end(client)?, 0);
        assert_eq!(client.offset_at("t", 0, -1)?, 2);
        let mut consumer = broker.connect()?;
        let mut request = fetch_request("t", 0, 0, i32::MAX);
        request.isolation_level = READ_COMMITTED;
        let waiting = consumer.send(&request, 12)?;
        assert_eq!(ONE.end(client, false, ("t", 0))?, ErrorCode::None);
        // The last stable offset is where the other one began.
        let mut response = consumer.receive::<ottla_protocol::messages::FetchRequest>(12, waiting)?;
        let partition = response.responses.remove(0).partitions.remove(0);
        assert_eq!((partition.last_stable_offset, partition.high_watermark), (1, 3));
        let aborted = partition.aborted_transactions.unwrap_or_default();
        assert_eq!(
            aborted
                .iter()
                .map(|each| (each.producer_id, each.first_offset))
                .collect::<Vec<_>>(),
            [(1, 0)]
        );
        assert_eq!(batches(&partition.records.unwrap_or_default()).count(), 1);
        assert_eq!(stable_end(client)?, 1);
        assert_eq!(OTHER.end(client, true, ("t", 0))?, ErrorCode::None);
        assert_eq!(stable_end(client)?, 4);
        Ok(())
    })
}

#[test]
fn producers_are_described_with_their_transactions_and_coordinators() -> ottla_tests::Result<()> {
    with_broker("transactions", &[UNVERIFIED], |_, client| {
        client.produce("t", 0, batch(&[b"plain"]), -1)?;
        ONE.produce(client, ("t", 0), 0)?;
        ONE.produce(client, ("t", 0), 1)?;
        let told = producers(client)?;
        let told = told
            .iter()
            .map(|one| (one.producer_id, one.producer_epoch, one.last_sequence));
        assert_eq!(told.collect::<Vec<_>>(), [(1, 0, 1)]);
        let of_transaction = |client: &mut Client| {
            let told = producers(client)?;
            ottla_tests::Result::Ok((told[0].coordinator_epoch, told[0].current_txn_start_offset))
        };
        assert_eq!(of_transaction(client)?, (-1, 1));
        let mut marker = ONE.marker(true, &[("t", 0)]);
        marker.coordinator_epoch = 8;
        assert_eq!(write_markers(client, vec![marker])?, [ErrorCode::None]);
        assert_eq!(of_transaction(client)?, (8, -1));
        Ok(())
    })
}

#[test]
fn markers_are_answered_each_for_itself_and_survive_a_kill() -> ottla_tests::Result<()> {
    with_broker("transactions", &[UNVERIFIED], |broker, client| {
        client.create_topic("flushed", 1, &[("flush.messages", "1")])?;
        for topic in ["t", "flushed"] {
            assert_eq!(ONE.produce(client, (topic, 0), 0)?, (ErrorCode::None, 0));
            assert_eq!(OTHER.produce(client, (topic, 0), 0)?, (ErrorCode::None, 1));
        }
        let one = ONE.marker(true, &[("t", 0), ("flushed", 0), ("t", 7), ("missing", 0)]);
        let other = OTHER.marker(false, &[("flushed", 0)]);
        let unknown = ErrorCode::UnknownTopicOrPartition;
        assert_eq!(
            write_markers(client, vec![one, other])?,
            [ErrorCode::None, ErrorCode::None, unknown, unknown, ErrorCode::None]
        );
        broker.kill_and_restart()?;
        *client = broker.connect()?;
        assert_eq!(stable_end(client)?, 1, "the other one is open in t");
        // It goes on where it was.
        assert_eq!(OTHER.produce(client, ("t", 0), 0)?, (ErrorCode::None, 1), "sent again");
        assert_eq!(OTHER.produce(client, ("t", 0), 1)?, (ErrorCode::None, 3));
        assert_eq!(OTHER.end(client, true, ("t", 0))?, ErrorCode::None);
        assert_eq!(stable_end(client)?, 5);
        Ok(())
    })
}

#[test]
fn offsets_in_a_transaction_count_with_its_marker_also_after_a_kill() -> ottla_tests::Result<()> {
    with_broker(
        "transactions",
        &[UNVERIFIED, "offsets.topic.num.partitions=1"],
        |broker, client| {
            find_coordinator(client)?;
            commit(client, 0, 5)?;
            assert_eq!(ONE.commit(client, "g", 7)?, ErrorCode::None);
            for _ in 0..2 {
                assert_eq!(committed(client)?, [(0, 5)]);
                assert_eq!(stable(client, 0)?, Err(ErrorCode::UnstableOffsetCommit));
                assert_eq!(stable(client, 1)?, Ok(-1), "of another partition nothing is pending");
                broker.kill_and_restart()?;
                *client = broker.connect()?;
            }
            assert_eq!(ONE.end(client, true, OFFSETS)?, ErrorCode::None);
            assert_eq!(stable(client, 0)?, Ok(7));
            assert_eq!(ONE.commit(client, "g", 9)?, ErrorCode::None);
            assert_eq!(ONE.end(client, false, OFFSETS)?, ErrorCode::None);
            assert_eq!(stable(client, 0)?, Ok(7));
            broker.kill_and_restart()?;
            *client = broker.connect()?;
            assert_eq!(committed(client)?, [(0, 7)]);
            Ok(())
        },
    )
}

#[test]
fn batches_of_one_connection_are_appended_in_their_order() -> ottla_tests::Result<()> {
    with_broker("transactions", &[UNVERIFIED], |_, client| {
        let request = |sequence| {
            let mut request = produce_request("t", 0, ONE.batch(sequence, b"value"), -1);
            request.transactional_id = Some("by hand".into());
            request
        };
        let sent: Vec<i32> = (0..20)
            .map(|sequence| client.send(&request(sequence), PRODUCE_WITHOUT_ADDING))
            .collect::<ottla_tests::Result<_>>()?;
        for (offset, correlation_id) in (0..).zip(sent) {
            let response =
                client.receive::<ottla_protocol::messages::ProduceRequest>(PRODUCE_WITHOUT_ADDING, correlation_id)?;
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!((answer.error_code, answer.base_offset), (0, offset));
        }
        ONE.end(client, true, ("t", 0))?;
        Ok(())
    })
}
