use ottla_protocol::records::builder::end_transaction_batch;
use ottla_protocol::records::{BatchBuilder, NewRecord};

use super::*;

/// A batch of `count` records, applied at `base_offset`.
fn apply(state: &mut ProducerState, id: i64, first_sequence: i32, count: usize, base_offset: Offset) {
    let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(3), first_sequence);
    if id == 7 {
        builder = builder.transactional();
    }
    for _ in 0..count {
        builder.append(&NewRecord::of(1_000 + base_offset, b"key", b"value"));
    }
    let bytes = builder.build();
    let header = BatchHeader::parse(&bytes).unwrap();
    state.apply(&ProducerBatch::new(header, &bytes, base_offset));
}

fn some_state() -> ProducerState {
    let mut state = ProducerState::default();
    for round in 0..9 {
        apply(&mut state, 5, round * 2, 2, Offset::from(round) * 10);
    }
    apply(&mut state, 7, 0, 4, 3);
    apply(&mut state, 6, i32::MAX, 2, 50);
    apply(&mut state, 6, 1, 1, 60);
    state
}

#[test]
fn a_snapshot_has_all_that_is_known() {
    let state = some_state();
    let read_back = snapshot::decode(&snapshot::encode(&state)).unwrap();
    assert_eq!(read_back.producers, state.producers);
    assert_eq!(read_back.open, state.open);
    assert_eq!(read_back.first_unstable_offset(), Some(3));
    let empty = snapshot::encode(&ProducerState::default());
    assert_eq!(empty.len(), 10);
    assert_eq!(snapshot::decode(&empty).unwrap().count(), 0);
}

#[test]
fn a_snapshot_as_kafka_writes_it_has_the_last_batch() {
    let state = some_state();
    let mut bytes = snapshot::encode(&state);
    bytes.truncate(10 + 3 * 46);
    let crc = crc32c::crc32c(&bytes[6..]);
    bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    let read_back = snapshot::decode(&bytes).unwrap();
    assert_eq!(read_back.describe(), state.describe());
    let kept: Vec<_> = read_back.producers.values().map(|producer| producer.kept).collect();
    assert_eq!(kept, [1, 1, 1]);
}

#[test]
fn a_harmed_snapshot_is_not_read() {
    let bytes = snapshot::encode(&some_state());
    for len in 0..bytes.len() {
        assert!(snapshot::decode(&bytes[..len]).is_none(), "{len} bytes");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(snapshot::decode(&longer).is_none());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(snapshot::decode(&flipped).is_none(), "byte {at}");
    }
}

#[test]
fn counts_that_lie_are_not_believed() {
    for count in [-1_i32, 4, i32::MAX] {
        let mut bytes = snapshot::encode(&some_state());
        bytes[6..10].copy_from_slice(&count.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        assert!(snapshot::decode(&bytes).is_none(), "{count} producers");
    }
}

#[test]
fn counting_sequences_back_goes_round() {
    let batch = |last_sequence, offset_delta| AppendedBatch {
        last_sequence,
        last_offset: 100,
        offset_delta,
        timestamp: 0,
    };
    assert_eq!(batch(9, 4).first_sequence(), 5);
    assert_eq!(batch(0, 0).first_sequence(), 0);
    assert_eq!(batch(0, 1).first_sequence(), i32::MAX);
    assert_eq!(batch(1, 3).first_sequence(), i32::MAX - 1);
    assert_eq!(batch(9, 4).base_offset(), 96);
}

#[test]
fn a_marker_that_compaction_has_emptied_still_tells_the_epoch() {
    let marker = EndTransactionMarker {
        is_commit: true,
        coordinator_epoch: 2,
    };
    let bytes = end_transaction_batch(marker, ProducerId(8), ProducerEpoch(4), 77);
    let mut header = BatchHeader::parse(&bytes).unwrap();
    header.records_count = 0;
    let mut state = ProducerState::default();
    assert_eq!(
        state.apply(&ProducerBatch::new(header, &bytes[..HEADER_BYTES], 10)),
        None
    );
    let known = state.describe();
    assert_eq!(
        (known[0].producer_id, known[0].producer_epoch, known[0].last_timestamp),
        (ProducerId(8), ProducerEpoch(4), 77)
    );
    let mut late = header;
    late.producer_epoch = ProducerEpoch(3);
    assert!(
        state
            .check(
                &[ProducerBatch::new(late, &[], 11)],
                Terms {
                    origin: AppendOrigin::Replica,
                    transaction: TransactionCheck::Skipped
                }
            )
            .is_err()
    );
}

fn marker_of(state: &mut ProducerState, id: i64, timestamp: TimestampMs) {
    let marker = EndTransactionMarker {
        is_commit: true,
        coordinator_epoch: 0,
    };
    let bytes = end_transaction_batch(marker, ProducerId(id), ProducerEpoch(0), timestamp);
    let header = BatchHeader::parse(&bytes).unwrap();
    state.apply(&ProducerBatch::new(header, &bytes, id));
}

#[test]
fn of_too_many_producers_those_silent_longest_are_forgotten() {
    let mut state = ProducerState::default();
    // In the order of their ids, but for one with an open transaction, which is the most silent of all.
    apply(&mut state, 7, 0, 1, -900);
    for id in 0..PRODUCERS_MAX as i64 {
        marker_of(&mut state, 1_000 + id, 5_000 + id);
    }
    let first_idle_at = |state: &ProducerState| state.describe()[1].producer_id;
    assert_eq!(state.count(), PRODUCERS_MAX - FORGOTTEN_AT_ONCE + 1);
    assert_eq!(first_idle_at(&state), ProducerId(1_000 + FORGOTTEN_AT_ONCE as i64));
    assert_eq!(state.describe()[0].current_txn_start_offset, Some(-900));
    // A producer that is known takes no room.
    let before = state.count();
    marker_of(&mut state, 1_000 + FORGOTTEN_AT_ONCE as i64, 0);
    assert_eq!(state.count(), before);
}

#[test]
fn producers_that_are_silent_as_long_as_each_other_are_not_all_forgotten() {
    let mut state = ProducerState::default();
    for id in 0..=PRODUCERS_MAX as i64 {
        marker_of(&mut state, id, 5);
    }
    assert_eq!(state.count(), PRODUCERS_MAX - FORGOTTEN_AT_ONCE + 1);
}

#[test]
fn those_who_wait_are_bounded() {
    let mut state = ProducerState::default();
    let mut ask = |id: i64| {
        let request = VerificationRequest {
            producer_id: ProducerId(id),
            producer_epoch: ProducerEpoch(0),
            first_sequence: 0,
            bumps_epochs: false,
            now_ms: 0,
        };
        state.begin_verification(&request).unwrap().unwrap()
    };
    let first = ask(0);
    for id in 1..10_000 {
        ask(id);
    }
    assert_eq!(ask(0), first);
    ask(10_000);
    assert_ne!(ask(0), first, "it gave way");
}
