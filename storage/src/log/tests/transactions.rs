//! What a leader takes of a transaction, and from when on (KIP-98, KIP-890).

use ottla_protocol::records::EndTransactionMarker;
use ottla_protocol::records::builder::end_transaction_batch;

use super::*;
use crate::producer_state::verification::{VerificationGuard, VerificationRequest};

const ID: ProducerId = ProducerId(9);
/// `transaction.version` of the markers that have the epoch of their transaction, and of those that have the next one.
const SAME_EPOCH: i8 = 1;
const NEXT_EPOCH: i8 = 2;

fn records(epoch: i16, first_sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new()
        .producer(ID, ProducerEpoch(epoch), first_sequence)
        .transactional();
    builder.append(&NewRecord::of(1_000, b"key", b"value"));
    builder.build()
}

fn produce(log: &Log, epoch: i16, first_sequence: i32, transaction: TransactionCheck) -> Result<Appended, AppendError> {
    log.append(Append {
        transaction,
        ..client(&records(epoch, first_sequence))
    })
}

fn ask(log: &Log, epoch: i16, first_sequence: i32) -> Option<VerificationGuard> {
    ask_as(log, epoch, first_sequence, false).unwrap()
}

fn ask_as(
    log: &Log,
    epoch: i16,
    first_sequence: i32,
    bumps_epochs: bool,
) -> Result<Option<VerificationGuard>, AppendError> {
    log.begin_verification(&VerificationRequest {
        producer_id: ID,
        producer_epoch: ProducerEpoch(epoch),
        first_sequence,
        bumps_epochs,
        now_ms: 1_000,
    })
}

/// Asks, and appends with the answer.
fn produce_verified(log: &Log, epoch: i16, first_sequence: i32) -> Result<Appended, AppendError> {
    let check = ask(log, epoch, first_sequence).map_or(TransactionCheck::Ongoing, TransactionCheck::Verified);
    produce(log, epoch, first_sequence, check)
}

fn end(log: &Log, epoch: i16, coordinator_epoch: i32, transaction_version: i8) -> Result<Appended, AppendError> {
    let marker = EndTransactionMarker {
        is_commit: true,
        coordinator_epoch,
    };
    let marker = end_transaction_batch(marker, ID, ProducerEpoch(epoch), 1_000);
    log.append(Append {
        origin: AppendOrigin::Coordinator,
        transaction: TransactionCheck::Marker { transaction_version },
        ..client(&marker)
    })
}

fn is_no_part(appended: Result<Appended, AppendError>) -> bool {
    matches!(appended, Err(AppendError::NotInTransaction { producer_id: ID }))
}

fn is_old_epoch<T>(result: Result<T, AppendError>) -> bool {
    matches!(result, Err(AppendError::InvalidProducerEpoch { .. }))
}

#[test]
fn the_first_records_of_a_transaction_need_a_guard_and_later_ones_do_not() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    assert!(is_no_part(produce(&log, 0, 0, TransactionCheck::Ongoing)));
    let guard = ask(&log, 0, 0).unwrap();
    assert_eq!(ask(&log, 0, 0), Some(guard), "those that wait together share it");
    produce(&log, 0, 0, TransactionCheck::Verified(guard)).unwrap();
    assert_eq!(ask(&log, 0, 1), None);
    produce(&log, 0, 1, TransactionCheck::Ongoing).unwrap();
    assert!(produce(&log, 0, 0, TransactionCheck::Ongoing).unwrap().is_duplicate);
    assert_eq!(log.log_end_offset(), 2);
}

#[test]
fn the_next_transaction_needs_a_guard_again() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    produce_verified(&log, 0, 0).unwrap();
    end(&log, 0, 0, SAME_EPOCH).unwrap();
    assert!(is_no_part(produce(&log, 0, 1, TransactionCheck::Ongoing)));
    produce_verified(&log, 0, 1).unwrap();
}

#[test]
fn a_marker_between_the_verification_and_the_append_makes_the_append_fail() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    let guard = ask(&log, 0, 0).unwrap();
    end(&log, 0, 0, SAME_EPOCH).unwrap();
    assert!(is_no_part(produce(&log, 0, 0, TransactionCheck::Verified(guard))));
    // Nor does the word for the last transaction count in the next one.
    let next = ask(&log, 0, 0).unwrap();
    assert_ne!(next, guard);
    assert!(is_no_part(produce(&log, 0, 0, TransactionCheck::Verified(guard))));
    produce(&log, 0, 0, TransactionCheck::Verified(next)).unwrap();
}

#[test]
fn a_batch_does_not_overtake_one_that_waits() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    let guard = TransactionCheck::Verified(ask(&log, 0, 0).unwrap());
    ask(&log, 0, 1).unwrap();
    let early = produce(&log, 0, 1, guard);
    assert!(matches!(
        early,
        Err(AppendError::OutOfOrderSequence {
            expected: 0,
            first_sequence: 1,
            ..
        })
    ));
    produce(&log, 0, 0, guard).unwrap();
    produce(&log, 0, 1, TransactionCheck::Ongoing).unwrap();
}

#[test]
fn where_epochs_rise_with_each_transaction_sequences_begin_at_0() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    let guard = TransactionCheck::Verified(ask_as(&log, 0, 5, true).unwrap().unwrap());
    assert!(matches!(
        produce(&log, 0, 5, guard),
        Err(AppendError::OutOfOrderSequence { expected: 0, .. })
    ));
    produce(&log, 0, 0, guard).unwrap();
}

#[test]
fn an_old_epoch_is_refused_before_anybody_is_asked() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    produce_verified(&log, 3, 0).unwrap();
    assert!(is_old_epoch(ask_as(&log, 2, 0, false)));
    assert!(is_old_epoch(produce(&log, 2, 0, TransactionCheck::Skipped)));
    // A newer one is asked about, although a transaction is ongoing: it is not its own.
    assert!(ask(&log, 4, 0).is_some());
    assert!(is_no_part(produce(&log, 4, 0, TransactionCheck::Ongoing)));
}

#[test]
fn a_marker_with_the_next_epoch_fences_the_last_one() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    produce_verified(&log, 0, 0).unwrap();
    assert!(is_old_epoch(end(&log, 0, 0, NEXT_EPOCH)), "it would end the wrong one");
    end(&log, 1, 0, NEXT_EPOCH).unwrap();
    assert!(is_old_epoch(ask_as(&log, 0, 1, true)));
    // The same marker once more, as after an answer that was lost.
    end(&log, 1, 0, NEXT_EPOCH).unwrap();
    produce_verified(&log, 1, 0).unwrap();
    assert!(is_old_epoch(end(&log, 1, 0, NEXT_EPOCH)), "late, after its transaction");
    assert_eq!(log.producers()[0].current_txn_start_offset, Some(3));
}

#[test]
fn a_marker_ends_what_is_not_known_here_and_the_coordinators_epoch_only_rises() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    end(&log, 5, 7, NEXT_EPOCH).unwrap();
    assert_eq!(log.producers()[0].coordinator_epoch, 7);
    assert!(matches!(
        end(&log, 6, 6, NEXT_EPOCH),
        Err(AppendError::TransactionCoordinatorFenced { current: 7, .. })
    ));
    assert!(is_old_epoch(end(&log, 4, 8, SAME_EPOCH)));
    assert_eq!(log.log_end_offset(), 1);
}

#[test]
fn verifications_do_not_outlive_the_process_and_expire_like_producers() {
    let dir = scratch("transactions");
    let log = open(dir.path(), &clean());
    let guard = ask(&log, 0, 0).unwrap();
    log.expire_producers(1_000 + log.config().producer_id_expiration_ms);
    assert!(is_no_part(produce(&log, 0, 0, TransactionCheck::Verified(guard))));
    produce_verified(&log, 0, 0).unwrap();
    drop(log);
    let log = open(dir.path(), &unclean());
    // That a transaction is ongoing is in the log.
    produce(&log, 0, 1, TransactionCheck::Ongoing).unwrap();
}
