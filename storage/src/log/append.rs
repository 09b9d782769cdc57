//! Appending.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use ottla_protocol::records::batch::{HEADER_BYTES, batches, set_base_offset, set_leader_epoch, set_log_append_time};
use ottla_protocol::records::{BatchError, BatchHeader};

use super::{Appender, Log};
use crate::producer_state::verification::{TransactionCheck, VerificationGuard, VerificationRequest};
use crate::producer_state::{AppendOrigin, AppendedBatch, ProducerBatch, Rejection, Terms};

/// What to append.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// Whole, validated v2 batches, back to back, at least one. Of a client's Produce it is one.
    pub batches: &'a [u8],
    /// Written into each batch; of a replica's fetch the batches carry theirs, and this is not looked at.
    pub leader_epoch: LeaderEpoch,
    /// Who appends.
    pub origin: AppendOrigin,
    /// The time, from which an empty segment's age counts.
    pub now_ms: TimestampMs,
    /// Under LogAppendTime: the timestamp for every batch.
    pub log_append_time: Option<TimestampMs>,
    /// What is known of the transaction that the batches are part of, or end.
    pub transaction: TransactionCheck,
}

/// Where an append ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// The timestamp that the broker gave, under LogAppendTime.
    pub log_append_time: Option<TimestampMs>,
    /// The batch had been appended before, with these offsets: nothing was written now.
    pub is_duplicate: bool,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Not a row of whole v2 batches.
    #[error("not a record batch: {0}")]
    InvalidBatch(#[from] BatchError),
    /// No batch at all.
    #[error("nothing to append")]
    Empty,
    /// More than a segment holds (RECORD_LIST_TOO_LARGE).
    #[error("{size_bytes} bytes of batches do not fit in a segment of {segment_bytes}")]
    TooLarge {
        /// Of the batches together.
        size_bytes: u64,
        /// What is allowed.
        segment_bytes: u64,
    },
    /// A sequence that does not follow the producer's last one (OUT_OF_ORDER_SEQUENCE_NUMBER).
    #[error("producer {producer_id} sent sequence {first_sequence} where {expected} was expected")]
    OutOfOrderSequence {
        /// Who.
        producer_id: ProducerId,
        /// What would have been appended.
        expected: i32,
        /// What came.
        first_sequence: i32,
    },
    /// Appended before, but so long ago that its offsets are forgotten (DUPLICATE_SEQUENCE_NUMBER).
    #[error("producer {producer_id} sent sequences up to {last_sequence} again, whose offsets are forgotten")]
    DuplicateSequence {
        /// Who.
        producer_id: ProducerId,
        /// Of the batch.
        last_sequence: i32,
    },
    /// A newer incarnation of the producer has been here (INVALID_PRODUCER_EPOCH).
    #[error("producer {producer_id} has epoch {current}, the batch {epoch}")]
    InvalidProducerEpoch {
        /// Who.
        producer_id: ProducerId,
        /// The latest epoch.
        current: ProducerEpoch,
        /// The batch's.
        epoch: ProducerEpoch,
    },
    /// A batch outside of the transaction that its producer has open (INVALID_TXN_STATE).
    #[error("producer {producer_id} has a transaction open, the batch is not part of one")]
    InvalidTransactionState {
        /// Who.
        producer_id: ProducerId,
    },
    /// The first records of a transaction whose coordinator does not know that this log is part of it, or has ended it
    /// since it said so (INVALID_TXN_STATE).
    #[error("the batch of producer {producer_id} is not part of an ongoing transaction")]
    NotInTransaction {
        /// Who.
        producer_id: ProducerId,
    },
    /// A marker from a coordinator that has been replaced (TRANSACTION_COORDINATOR_FENCED).
    #[error("the marker for producer {producer_id} is of an older coordinator than epoch {current}")]
    TransactionCoordinatorFenced {
        /// Who.
        producer_id: ProducerId,
        /// The latest coordinator's.
        current: i32,
    },
    /// A replica's batch that does not lie after what is here.
    #[error("a batch at offset {base_offset} cannot follow a log that ends at {log_end_offset}")]
    UnexpectedOffset {
        /// Of the batch.
        base_offset: Offset,
        /// Where the log, or the batch before, ends.
        log_end_offset: Offset,
    },
    /// The log takes no appends any more: closed, or its disk failed.
    #[error("the log is offline")]
    Offline,
    /// The disk refused. Nothing is visible; a full disk may take the next append.
    #[error("the disk refused the append: {0}")]
    Io(#[from] io::Error),
}

impl Log {
    /// Appends batches, in memory that survives the process; durable after [`Log::sync`].
    ///
    /// Assigns offsets and writes them and the leader epoch into the copy in the log, except for a replica, whose
    /// batches stay as the leader made them. A batch that its producer has sent before is not appended again but
    /// answered with the offsets it got then ([`Appended::is_duplicate`]).
    ///
    /// # Errors
    /// In each case nothing was appended.
    pub fn append(&self, append: Append<'_>) -> Result<Appended, AppendError> {
        let mut guard = self.appender.lock();
        if self.is_offline() {
            return Err(AppendError::Offline);
        }
        let appender = &mut *guard;
        let mut batches = std::mem::take(&mut appender.batches);
        batches.clear();
        let outcome = self.append_locked(appender, &append, &mut batches);
        appender.batches = batches;
        if outcome.is_err() && appender.writer.check().is_err() {
            // Not only this append is lost: what else the map has taken may be as well.
            self.take_offline();
        }
        let has_rolled = std::mem::take(&mut appender.has_rolled);
        let retired = appender.writer.take_retired();
        drop(guard);
        drop(retired);
        if has_rolled {
            self.finish_rolls();
        }
        outcome
    }

    fn append_locked(
        &self,
        appender: &mut Appender,
        append: &Append<'_>,
        batches: &mut Vec<ProducerBatch>,
    ) -> Result<Appended, AppendError> {
        let log_end_offset = self.log_end_offset();
        plan(append, log_end_offset, batches)?;
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Err(AppendError::Empty);
        };
        let mut appended = Appended {
            base_offset: first.base_offset,
            last_offset: last.last_offset(),
            log_start_offset: self.log_start_offset(),
            log_append_time: append.log_append_time,
            is_duplicate: false,
        };
        let terms = Terms {
            origin: append.origin,
            transaction: append.transaction,
        };
        if append.origin != AppendOrigin::Replica
            && let Err((batch, rejection)) = appender.producers.check(batches, terms)
        {
            let original = original_of(&batch.header, rejection)?;
            appended.base_offset = original.base_offset();
            appended.last_offset = original.last_offset;
            appended.log_append_time = append.log_append_time.and(Some(original.timestamp));
            appended.is_duplicate = true;
            return Ok(appended);
        }
        self.roll_before(appender, append, batches)?;
        copy(appender, append, batches)?;
        self.make_known(appender, append, batches);
        Ok(appended)
    }

    /// Whether the producer's coordinator has to be asked before its records are appended: the guard to show then in
    /// [`TransactionCheck::Verified`], or `None` where the log says that the transaction is ongoing.
    ///
    /// # Errors
    /// Nothing of the producer may be appended: its epoch is out of date, or the log is offline.
    pub fn begin_verification(&self, request: &VerificationRequest) -> Result<Option<VerificationGuard>, AppendError> {
        let mut appender = self.appender.lock();
        if self.is_offline() {
            return Err(AppendError::Offline);
        }
        let begun = appender.producers.begin_verification(request);
        begun.map_err(|rejection| refused(request.producer_id, request.producer_epoch, rejection))
    }

    /// Indexes the batches that were copied, and shows them to readers.
    fn make_known(&self, appender: &mut Appender, append: &Append<'_>, batches: &[ProducerBatch]) {
        let mut position = appender.writer.segment().size_bytes();
        for batch in batches {
            let interval_bytes = appender.config.index_interval_bytes;
            appender
                .writer
                .index(&batch.header, batch.last_offset(), position, interval_bytes);
            position += batch.header.size_bytes() as u64;
            let epoch = match append.origin {
                AppendOrigin::Replica => batch.header.partition_leader_epoch,
                _ => append.leader_epoch,
            };
            if epoch > appender.latest_epoch {
                self.begin_epoch(appender, epoch, batch.base_offset);
            }
            if batch.header.producer_id.is_some() {
                appender.producers.end_verification(batch, append.transaction);
                if let Some(aborted) = appender.producers.apply(batch) {
                    appender.writer.segment().txns.push(&aborted);
                }
            }
        }
        // A replica's batches were appended when their leader appended them, of which nobody tells.
        if let Some(first) = batches.first().filter(|_| append.origin != AppendOrigin::Replica) {
            appender.append_times.note(first.base_offset, append.now_ms);
        }
        let log_end_offset = batches
            .last()
            .map_or(self.log_end_offset(), |batch| batch.last_offset() + 1);
        self.publish_first_unstable(&appender.producers);
        appender.writer.publish(position);
        self.log_end_offset.store(log_end_offset, Ordering::Release);
    }
}

/// Decides which offset each batch gets, and collects them in `planned`.
fn plan(append: &Append<'_>, log_end_offset: Offset, planned: &mut Vec<ProducerBatch>) -> Result<(), AppendError> {
    let mut next_offset = log_end_offset;
    for batch in batches(append.batches) {
        let (mut header, bytes) = batch?;
        let base_offset = match append.origin {
            AppendOrigin::Replica => header.base_offset,
            _ => next_offset,
        };
        if base_offset < next_offset {
            return Err(AppendError::UnexpectedOffset {
                base_offset,
                log_end_offset: next_offset,
            });
        }
        if let Some(append_time) = append.log_append_time {
            header.max_timestamp = append_time;
        }
        let batch = ProducerBatch::new(header, bytes, base_offset);
        next_offset = batch.last_offset().saturating_add(1);
        planned.push(batch);
    }
    Ok(())
}

/// The original of a batch that was sent again; any other rejection is an error.
fn original_of(header: &BatchHeader, rejection: Rejection) -> Result<AppendedBatch, AppendError> {
    match rejection {
        Rejection::Duplicate(original) => Ok(original),
        rejection => Err(refused(header.producer_id, header.producer_epoch, rejection)),
    }
}

fn refused(producer_id: ProducerId, epoch: ProducerEpoch, rejection: Rejection) -> AppendError {
    match rejection {
        Rejection::Duplicate(AppendedBatch { last_sequence, .. }) => AppendError::DuplicateSequence {
            producer_id,
            last_sequence,
        },
        Rejection::DuplicateOfForgotten { last_sequence } => AppendError::DuplicateSequence {
            producer_id,
            last_sequence,
        },
        Rejection::OutOfOrderSequence {
            expected,
            first_sequence,
        } => AppendError::OutOfOrderSequence {
            producer_id,
            expected,
            first_sequence,
        },
        Rejection::InvalidProducerEpoch { current } => AppendError::InvalidProducerEpoch {
            producer_id,
            current,
            epoch,
        },
        Rejection::TransactionIsOpen => AppendError::InvalidTransactionState { producer_id },
        Rejection::NotVerified => AppendError::NotInTransaction { producer_id },
        Rejection::CoordinatorFenced { current } => AppendError::TransactionCoordinatorFenced { producer_id, current },
    }
}

/// Copies the batches to the end of the active segment, each with its offset, epoch and append time.
fn copy(appender: &mut Appender, append: &Append<'_>, batches: &[ProducerBatch]) -> io::Result<()> {
    let len = append.batches.len() as u64;
    let segment_bytes = appender.config.segment_bytes;
    if append.origin == AppendOrigin::Replica {
        return appender
            .writer
            .append(&[IoSlice::new(append.batches)], len, segment_bytes);
    }
    if let ([batch], None) = (batches, append.log_append_time) {
        let (header, records) = append.batches.split_at(HEADER_BYTES);
        let mut stamped = [0; HEADER_BYTES];
        stamped.copy_from_slice(header);
        set_base_offset(&mut stamped, batch.base_offset);
        set_leader_epoch(&mut stamped, append.leader_epoch);
        return appender
            .writer
            .append(&[IoSlice::new(&stamped), IoSlice::new(records)], len, segment_bytes);
    }
    let mut stamped = append.batches.to_vec();
    let mut rest = &mut stamped[..];
    for batch in batches {
        let (bytes, after) = rest.split_at_mut(batch.header.size_bytes());
        set_base_offset(bytes, batch.base_offset);
        set_leader_epoch(bytes, append.leader_epoch);
        if let Some(append_time) = append.log_append_time {
            set_log_append_time(bytes, append_time);
        }
        rest = after;
    }
    appender.writer.append(&[IoSlice::new(&stamped)], len, segment_bytes)
}
