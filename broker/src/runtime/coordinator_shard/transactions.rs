//! Offsets that are committed in transactions, and the markers that end those.
//!
//! Unlike what groups decide, these are appended first and applied then: the log knows whether the transaction is still
//! the one that the producer means, and may refuse.

use super::{Command, Producer, Release, Shard, ShardHandle, log};
use crate::{api::refusal, markers::Marker};
use ottla_coordinator::{Groups, Now, TransactionalCommit};
use ottla_protocol::{ErrorCode, ids::Offset, messages::OffsetCommitResponse};
use ottla_storage::AppendError;
use tokio::sync::oneshot;

type Decide = Box<dyn FnOnce(&Groups, Now) -> TransactionalCommit + Send>;

/// A commit of offsets in a transaction.
pub(super) struct Commit {
    producer: Producer,
    decide: Decide,
    answer: oneshot::Sender<Result<OffsetCommitResponse, ErrorCode>>,
}

/// The end of a transaction.
pub(super) struct End {
    marker: Marker,
    answer: oneshot::Sender<Result<(), ErrorCode>>,
}

impl ShardHandle {
    /// Has the shard decide a commit of offsets in a transaction, and waits until it is in the log and committed there.
    ///
    /// # Errors
    /// As [`ShardHandle::decide`], or why the log refused it.
    pub(crate) async fn commit(
        &self,
        producer: Producer,
        decide: impl FnOnce(&Groups, Now) -> TransactionalCommit + Send + 'static,
    ) -> Result<OffsetCommitResponse, ErrorCode> {
        let (answer, answered) = oneshot::channel();
        let commit = Commit {
            producer,
            decide: Box::new(decide),
            answer,
        };
        self.send(Command::Commit(commit)).await?;
        answered.await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable))
    }

    /// Ends a transaction, and waits until that is in the log and committed there.
    ///
    /// # Errors
    /// As [`ShardHandle::decide`], or why the log refused the marker.
    pub(crate) async fn end_transaction(&self, marker: Marker) -> Result<(), ErrorCode> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::End(End { marker, answer })).await?;
        answered.await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable))
    }
}

impl Shard {
    /// Decides, appends, applies; the answer waits until it is committed.
    ///
    /// # Errors
    /// The disk refused: the shard must end.
    pub(super) fn commit(&mut self, commit: Commit, now: Now) -> Result<(), ErrorCode> {
        let Commit {
            producer,
            decide,
            answer,
        } = commit;
        let TransactionalCommit { records, response } = decide(&self.groups, now);
        if !records.is_empty() {
            let append = |partition: &_| log::append(partition, &records, Some(producer));
            let appended = self.journal.quietly(append);
            match self.verdict(appended)? {
                Ok(end_offset) => self.journal.appended(end_offset),
                Err(refused) => {
                    // Who asked may have gone.
                    let _ = answer.send(Err(refused));
                    return Ok(());
                }
            }
        }
        for record in &records {
            if let Err(error) = self.groups.apply_in_transaction(record, producer.id) {
                self.journal.not_readable(&error);
            }
        }
        self.hold(answer, response);
        Ok(())
    }

    /// As [`Shard::commit`], for a marker.
    ///
    /// # Errors
    /// The disk refused: the shard must end.
    pub(super) fn end_transaction(&mut self, end: End) -> Result<(), ErrorCode> {
        let End { marker, answer } = end;
        let appended = self.journal.quietly(|partition| partition.append_marker(&marker));
        match self.verdict(appended.map(|placed| placed.appended.last_offset + 1))? {
            Ok(end_offset) => {
                self.journal.appended(end_offset);
                self.groups.end_transaction(marker.producer_id, marker.is_commit);
                self.hold(answer, ());
            }
            Err(refused) => {
                // Who asked may have gone.
                let _ = answer.send(Err(refused));
            }
        }
        Ok(())
    }

    /// The offset after what was appended, or why the log refused it and goes on.
    ///
    /// # Errors
    /// The log does not go on.
    fn verdict(&self, appended: Result<Offset, AppendError>) -> Result<Result<Offset, ErrorCode>, ErrorCode> {
        match appended {
            Ok(end_offset) => Ok(Ok(end_offset)),
            Err(error @ (AppendError::Io(_) | AppendError::Offline)) => Err(self.journal.not_written(&error)),
            Err(refused) => Ok(Err(refusal::not_appended(&refused))),
        }
    }

    /// Has the answer go when all that was written is committed.
    fn hold<T: Send + 'static>(&mut self, answer: oneshot::Sender<Result<T, ErrorCode>>, told: T) {
        let release = Release::Other(Box::new(move || {
            // Who asked may have gone.
            let _ = answer.send(Ok(told));
        }));
        self.journal.hold(release);
        self.release();
    }
}
