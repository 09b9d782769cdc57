//! Control records of the quorum: who leads, who votes, where a snapshot begins and ends.

use super::voters::{KRAFT_VERSION, VoterSet};
use bytes::Bytes;
use ottla_protocol::{
    Message,
    ids::{NodeId, TimestampMs},
    messages::{
        KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
        leader_change_message::Voter,
    },
    primitives::{DecodeError, EncodeError},
    records::{ControlType, control::ControlError},
};

/// What the quorum writes between the records of the controller.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    /// A leader was elected: the first record of its epoch (KIP-595).
    LeaderChange(LeaderChangeMessage),
    /// The version of the quorum's own protocol (KIP-853).
    KRaftVersion(KRaftVersionRecord),
    /// The voters (KIP-853).
    KRaftVoters(VotersRecord),
    /// A snapshot begins (KIP-630).
    SnapshotHeader(SnapshotHeaderRecord),
    /// A snapshot ends: without it the file is cut off (KIP-630).
    SnapshotFooter(SnapshotFooterRecord),
}

/// A control record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum ControlRecordError {
    #[error(transparent)]
    Key(#[from] ControlError),
    #[error(transparent)]
    Value(#[from] DecodeError),
}

impl ControlRecord {
    /// The leader `id` was elected by itself alone.
    pub fn elected_alone(id: NodeId) -> Self {
        let voter = Voter {
            voter_id: id.0,
            ..Voter::default()
        };
        Self::LeaderChange(LeaderChangeMessage {
            version: 0,
            leader_id: id.0,
            voters: vec![voter.clone()],
            granting_voters: vec![voter],
        })
    }

    /// The version of the quorum's own protocol.
    pub fn kraft_version() -> Self {
        Self::KRaftVersion(KRaftVersionRecord {
            version: 0,
            k_raft_version: KRAFT_VERSION,
        })
    }

    /// The voters.
    pub fn voters(voters: &VoterSet) -> Self {
        Self::KRaftVoters(voters.to_record())
    }

    /// A snapshot begins that stands for a log whose last record was appended at `last_ms`.
    pub fn snapshot_header(last_ms: TimestampMs) -> Self {
        Self::SnapshotHeader(SnapshotHeaderRecord {
            version: 0,
            last_contained_log_timestamp: last_ms,
        })
    }

    /// A snapshot ends.
    pub fn snapshot_footer() -> Self {
        Self::SnapshotFooter(SnapshotFooterRecord { version: 0 })
    }

    /// The type that stands in the record's key.
    pub fn control_type(&self) -> ControlType {
        match self {
            Self::LeaderChange(_) => ControlType::LeaderChange,
            Self::KRaftVersion(_) => ControlType::KRaftVersion,
            Self::KRaftVoters(_) => ControlType::KRaftVoters,
            Self::SnapshotHeader(_) => ControlType::SnapshotHeader,
            Self::SnapshotFooter(_) => ControlType::SnapshotFooter,
        }
    }

    /// The record's value.
    ///
    /// # Errors
    /// A field holds a value that the encoding cannot carry.
    pub fn value(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::LeaderChange(record) => record.to_bytes(record.version),
            Self::KRaftVersion(record) => record.to_bytes(record.version),
            Self::KRaftVoters(record) => record.to_bytes(record.version),
            Self::SnapshotHeader(record) => record.to_bytes(record.version),
            Self::SnapshotFooter(record) => record.to_bytes(record.version),
        }
    }

    /// Reads a record of a control batch of the metadata log. `None` for a type that is not the quorum's, or later.
    ///
    /// # Errors
    /// Key or value are cut off or malformed.
    pub fn parse(key: Option<&[u8]>, value: Bytes) -> Result<Option<Self>, ControlRecordError> {
        Ok(match ControlType::parse_key(key)? {
            ControlType::LeaderChange => Some(Self::LeaderChange(read(value)?)),
            ControlType::KRaftVersion => Some(Self::KRaftVersion(read(value)?)),
            ControlType::KRaftVoters => Some(Self::KRaftVoters(read(value)?)),
            ControlType::SnapshotHeader => Some(Self::SnapshotHeader(read(value)?)),
            ControlType::SnapshotFooter => Some(Self::SnapshotFooter(read(value)?)),
            ControlType::Abort | ControlType::Commit | ControlType::Unknown(_) => None,
        })
    }
}

/// Every one of these values starts with its version; a later version only adds fields behind the known ones.
fn read<M: Message>(value: Bytes) -> Result<M, DecodeError> {
    let version = value.first_chunk().map_or(0, |bytes| i16::from_be_bytes(*bytes));
    M::from_bytes(value, version.min(M::VERSIONS.last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::voters::test_voter;

    #[test]
    fn records_come_back_from_key_and_value() {
        let records = [
            ControlRecord::elected_alone(NodeId(1)),
            ControlRecord::kraft_version(),
            ControlRecord::voters(&VoterSet::of_one(test_voter())),
            ControlRecord::snapshot_header(7),
            ControlRecord::snapshot_footer(),
        ];
        for record in records {
            let value = record.value().expect("it can be written");
            let key = record.control_type().key();
            assert_eq!(ControlRecord::parse(Some(&key), value), Ok(Some(record)));
        }
    }

    #[test]
    fn values_are_as_long_as_those_of_kafka() {
        let length = |record: ControlRecord| record.value().expect("it can be written").len();
        assert_eq!(length(ControlRecord::elected_alone(NodeId(1))), 19);
        assert_eq!(length(ControlRecord::kraft_version()), 5);
        assert_eq!(length(ControlRecord::snapshot_header(0)), 11);
        assert_eq!(length(ControlRecord::snapshot_footer()), 3);
    }

    #[test]
    fn what_is_not_the_quorums_is_passed_over_and_what_is_cut_off_is_an_error() {
        assert_eq!(
            ControlRecord::parse(Some(&ControlType::Commit.key()), Bytes::new()),
            Ok(None)
        );
        assert!(ControlRecord::parse(None, Bytes::new()).is_err());
        let key = ControlType::KRaftVoters.key();
        assert!(ControlRecord::parse(Some(&key), Bytes::from_static(&[0, 0])).is_err());
    }
}
