//! TxnOffsetCommit, and the end of the transaction that it is part of (KIP-98).

use super::{commit::commit_refused, pending::Ended};
use crate::{
    groups::Groups,
    outcome::{CoordinatorRecord, Now},
    record::{self, ApplyError, Record},
};
use ottla_protocol::{
    ErrorCode,
    ids::ProducerId,
    messages::{OffsetCommitRequest, OffsetCommitResponse},
};

/// From this version on the producer is told of unknown groups and stale member epochs as such (KIP-848).
const OWN_ERRORS_FROM: i16 = 6;

/// What a commit in a transaction leads to: the records are to be appended as the producer's, and only then applied by
/// [`Groups::apply_in_transaction`].
#[derive(Debug)]
pub struct TransactionalCommit {
    /// May be none.
    pub records: Vec<CoordinatorRecord>,
    /// To be told when the records are committed.
    pub response: OffsetCommitResponse,
}

impl Groups {
    /// Decides a TxnOffsetCommit, given in the words of an OffsetCommit; `version` is that of the TxnOffsetCommit.
    /// Topics and partitions as for [`Groups::handle_offset_commit`].
    ///
    /// Nothing is true before the log has taken the records: it refuses them where the transaction is not the
    /// producer's last one. The member need not be in a finished rebalance, and its session does not begin anew, as in
    /// Kafka.
    pub fn commit_in_transaction(&self, request: &OffsetCommitRequest, version: i16, now: Now) -> TransactionalCommit {
        let mut records = Vec::new();
        let mut response = match self.check_transactional_commit(request) {
            Ok(rule) => OffsetCommitResponse {
                topics: request
                    .topics
                    .iter()
                    .map(|topic| self.commit_topic(request, topic, &rule, now, &mut records))
                    .collect(),
                ..Default::default()
            },
            Err(error) => commit_refused(request, error),
        };
        if version < OWN_ERRORS_FROM {
            let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.error_code = in_old_words(partition.error_code));
        }
        TransactionalCommit { records, response }
    }

    /// Takes a record that is part of a producer's transaction: an offset counts when its marker comes.
    ///
    /// # Errors
    /// It cannot be understood, and changes nothing.
    pub fn apply_in_transaction(&mut self, record: &CoordinatorRecord, producer: ProducerId) -> Result<(), ApplyError> {
        match record::decode(record)? {
            Record::Offset(key, Some(value)) => {
                self.make_group_for_offsets(&key.group);
                self.pending.put(producer, &key, &value);
                Ok(())
            }
            _ => self.apply(record),
        }
    }

    /// Takes a marker: what the producer has committed since the last one counts from now on, or never did.
    pub fn end_transaction(&mut self, producer: ProducerId, is_commit: bool) {
        for ended in self.pending.end(producer, is_commit) {
            let Ended {
                group,
                topic,
                partition,
                committed,
            } = ended;
            self.make_group_for_offsets(&group);
            self.offsets.put(&group, &topic, partition, committed);
        }
    }
}

/// The error as producers know it that do not know consumer groups.
fn in_old_words(error_code: i16) -> i16 {
    match ErrorCode::from_code(error_code) {
        Some(ErrorCode::StaleMemberEpoch | ErrorCode::GroupIdNotFound) => ErrorCode::IllegalGeneration as i16,
        _ => error_code,
    }
}
