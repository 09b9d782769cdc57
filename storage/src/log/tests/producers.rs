//! Idempotent and transactional producers (BR-08, BR-09, BR-10, BR-13).

use ottla_protocol::records::EndTransactionMarker;
use ottla_protocol::records::builder::end_transaction_batch;

use super::*;

fn transactional(id: i64, first_sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(id), ProducerEpoch(0), first_sequence)
        .transactional();
    builder.append(&NewRecord::of(1_000, b"key", b"value"));
    builder.build()
}

fn end(log: &Log, id: i64, is_commit: bool) -> Appended {
    let marker = EndTransactionMarker {
        is_commit,
        coordinator_epoch: 3,
    };
    let marker = end_transaction_batch(marker, ProducerId(id), ProducerEpoch(0), 1_000);
    log.append(Append {
        origin: AppendOrigin::Coordinator,
        ..client(&marker)
    })
    .unwrap()
}

fn reopened(log: Log, dir: &Scratch) -> Log {
    log.close().unwrap();
    open(dir.path(), &clean())
}

fn killed(log: Log, dir: &Scratch) -> Log {
    drop(log);
    open(dir.path(), &unclean())
}

#[test]
fn the_last_five_batches_are_recognised_after_any_kind_of_restart() {
    type Restart = fn(Log, &Scratch) -> Log;
    let restarts: [Restart; 3] = [|log, _| log, reopened, killed];
    for restart in restarts {
        let dir = scratch("producers");
        let log = open(dir.path(), &clean());
        for round in 0..7 {
            append(&log, &produced(9, 0, round * 3, 3));
            append(&log, &batch(1));
        }
        let log = restart(log, &dir);
        let end = log.log_end_offset();
        for round in 2..7 {
            let again = append(&log, &produced(9, 0, round * 3, 3));
            assert!(again.is_duplicate, "batch {round}");
            let base_offset = Offset::from(round) * 4;
            assert_eq!((again.base_offset, again.last_offset), (base_offset, base_offset + 2));
        }
        assert_eq!(log.log_end_offset(), end);
        let forgotten = log.append(client(&produced(9, 0, 3, 3)));
        assert!(matches!(
            forgotten,
            Err(AppendError::DuplicateSequence { last_sequence: 5, .. })
        ));
        let gap = log.append(client(&produced(9, 0, 22, 1)));
        assert!(matches!(
            gap,
            Err(AppendError::OutOfOrderSequence {
                expected: 21,
                first_sequence: 22,
                ..
            })
        ));
        let resplit = log.append(client(&produced(9, 0, 18, 2)));
        assert!(matches!(
            resplit,
            Err(AppendError::OutOfOrderSequence {
                expected: 21,
                first_sequence: 18,
                ..
            })
        ));
        assert_eq!(append(&log, &produced(9, 0, 21, 1)).base_offset, end);
    }
}

#[test]
fn a_repetition_is_recognised_although_its_data_is_deleted() {
    let dir = scratch("producers");
    let log = open(dir.path(), &clean());
    append(&log, &produced(9, 0, 0, 1));
    fill(&log, 100, &batch(2));
    log.set_high_watermark(log.log_end_offset());
    log.delete_records_before(log.log_end_offset()).unwrap();
    assert!(log.apply_retention(1_000).unwrap() > 0);
    log.remove_doomed_files(i64::MAX).unwrap();
    let log = reopened(log, &dir);
    assert!(log.first_segment_offset() > 0);
    let again = append(&log, &produced(9, 0, 0, 1));
    assert!(again.is_duplicate);
    assert_eq!(again.base_offset, 0);
}

#[test]
fn a_new_epoch_starts_at_sequence_0_and_fences_the_old_one() {
    let dir = scratch("producers");
    let log = open(dir.path(), &clean());
    append(&log, &produced(9, 1, 7, 2));
    let skipped = log.append(client(&produced(9, 2, 9, 1)));
    assert!(matches!(
        skipped,
        Err(AppendError::OutOfOrderSequence { expected: 0, .. })
    ));
    append(&log, &produced(9, 2, 0, 1));
    let fenced = log.append(client(&produced(9, 1, 9, 1)));
    assert!(matches!(
        fenced,
        Err(AppendError::InvalidProducerEpoch {
            current: ProducerEpoch(2),
            ..
        })
    ));
    let end = log.log_end_offset();
    let late = produced(9, 1, 9, 1);
    log.append(Append {
        origin: AppendOrigin::Coordinator,
        ..client(&late)
    })
    .unwrap_err();
    assert_eq!(log.log_end_offset(), end);
}

#[test]
fn an_expired_producer_may_go_on_with_any_sequence() {
    let dir = scratch("producers");
    let log = open(dir.path(), &clean());
    append(&log, &produced(9, 0, 0, 7));
    let expiration_ms = log.config().producer_id_expiration_ms;
    log.expire_producers(999 + expiration_ms);
    assert_eq!(log.producer_count(), 1);
    log.append(client(&produced(9, 0, 8, 1))).unwrap_err();
    log.expire_producers(1_000 + expiration_ms);
    assert_eq!(log.producer_count(), 0);
    append(&log, &produced(9, 0, 8, 1));
}

#[test]
fn sequences_go_round() {
    let dir = scratch("producers");
    let log = open(dir.path(), &clean());
    append(&log, &produced(9, 0, i32::MAX - 1, 4));
    assert_eq!(log.producers()[0].last_sequence, 1);
    assert!(append(&log, &produced(9, 0, i32::MAX - 1, 4)).is_duplicate);
    append(&log, &produced(9, 0, 2, 1));
}

#[test]
fn an_open_transaction_pins_the_last_stable_offset() {
    type Restart = fn(Log, &Scratch) -> Log;
    let restarts: [Restart; 3] = [|log, _| log, reopened, killed];
    for restart in restarts {
        let dir = scratch("producers");
        let log = open(dir.path(), &clean());
        append(&log, &batch(2));
        append(&log, &transactional(1, 0));
        append(&log, &transactional(2, 0));
        append(&log, &batch(3));
        let log = restart(log, &dir);
        log.set_high_watermark(7);
        assert_eq!((log.high_watermark(), log.last_stable_offset()), (7, 2));
        assert_eq!(log.producers()[0].current_txn_start_offset, Some(2));

        end(&log, 1, false);
        assert_eq!(log.last_stable_offset(), 2, "the marker is not replicated yet");
        log.set_high_watermark(8);
        assert_eq!(log.last_stable_offset(), 3, "the other transaction is open");
        end(&log, 2, true);
        log.set_high_watermark(9);
        assert_eq!(log.last_stable_offset(), 9);

        let log = restart(log, &dir);
        let aborted = log.aborted_transactions(0, 9).unwrap();
        assert_eq!(aborted.len(), 1);
        assert_eq!(
            (aborted[0].producer_id, aborted[0].first_offset, aborted[0].last_offset),
            (ProducerId(1), 2, 7)
        );
        assert_eq!(aborted[0].last_stable_offset, 3);
        assert_eq!(log.aborted_transactions(8, 9).unwrap(), []);
        assert_eq!(log.aborted_transactions(0, 2).unwrap(), []);
    }
}

#[test]
fn aborted_transactions_come_in_the_order_of_their_first_offsets() {
    let dir = scratch("producers");
    let log = open(dir.path(), &clean());
    append(&log, &transactional(1, 0));
    append(&log, &transactional(2, 0));
    end(&log, 2, false);
    fill(&log, 100, &batch(2));
    end(&log, 1, false);
    let first_offsets = |log: &Log| {
        let aborted = log.aborted_transactions(0, Offset::MAX).unwrap();
        aborted.iter().map(|aborted| aborted.first_offset).collect::<Vec<_>>()
    };
    assert_eq!(first_offsets(&log), [0, 1]);
    assert_eq!(first_offsets(&killed(log, &dir)), [0, 1]);
}

#[test]
fn a_producer_with_an_open_transaction_writes_into_it() {
    let dir = scratch("producers");
    let log = open(dir.path(), &clean());
    append(&log, &transactional(1, 0));
    let outside = log.append(client(&produced(1, 0, 1, 1)));
    assert!(matches!(outside, Err(AppendError::InvalidTransactionState { .. })));
    end(&log, 1, true);
    append(&log, &produced(1, 0, 1, 1));
    let zombie = EndTransactionMarker {
        is_commit: true,
        coordinator_epoch: 2,
    };
    let zombie = end_transaction_batch(zombie, ProducerId(1), ProducerEpoch(0), 1_000);
    let fenced = log.append(Append {
        origin: AppendOrigin::Coordinator,
        ..client(&zombie)
    });
    assert!(matches!(
        fenced,
        Err(AppendError::TransactionCoordinatorFenced { current: 3, .. })
    ));
}
