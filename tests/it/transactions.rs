//! Transactions that another broker has left in the files: there is nobody here who could write a marker. The batches
//! are put behind what a killed broker has written.

use ottla_protocol::{
    Message,
    ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId},
    messages::{
        FindCoordinatorRequest, OffsetCommitKey, OffsetCommitRequest, OffsetCommitValue, OffsetFetchRequest,
        fetch_response::AbortedTransaction,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
    },
    records::{BatchBuilder, EndTransactionMarker, NewRecord, batch::batches, builder::end_transaction_batch},
};
use ottla_tests::{
    client::{Client, batch, fetch_request, now_ms},
    process::{Broker, eventually},
    scratch::Scratch,
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
    Ok(())
}
