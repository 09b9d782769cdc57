//! Control records: what brokers and controllers write between the records of applications.
//!
//! A control batch has the control bit set and its records a key of this shape; the value depends on the type. The
//! values of the quorum's own records are generated messages, so that only the transaction marker is read here.
//!
//! | key   | bytes | | transaction marker | bytes |
//! |-------|-------|-|--------------------|-------|
//! | version, 0 | 2 | | version, 0        | 2     |
//! | type       | 2 | | coordinator epoch | 4     |
//!
//! Higher versions may only add fields behind these, so that they are read like version 0 and the rest is skipped.

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// The transaction of the batch's producer is aborted (KIP-98).
    Abort,
    /// The transaction of the batch's producer is committed (KIP-98).
    Commit,
    /// A leader of the metadata quorum was elected: LeaderChangeMessage (KIP-595).
    LeaderChange,
    /// The first record of a snapshot: SnapshotHeaderRecord (KIP-630).
    SnapshotHeader,
    /// The last record of a snapshot: SnapshotFooterRecord (KIP-630).
    SnapshotFooter,
    /// The version of the quorum's own protocol: KRaftVersionRecord (KIP-853).
    KRaftVersion,
    /// The voters of the quorum: VotersRecord (KIP-853).
    KRaftVoters,
    /// A type of a later version, to be passed over; its id.
    Unknown(i16),
}

impl ControlType {
    /// The type with this id.
    pub const fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            _ => Self::Unknown(id),
        }
    }

    /// The id that stands in the key.
    pub const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(id) => id,
        }
    }

    /// Reads the key of a control record.
    ///
    /// # Errors
    /// A key that is null or too short, or a negative version.
    pub fn parse_key(key: Option<&[u8]>) -> Result<Self, ControlError> {
        let (id, _) = after_version(key)?.split_first_chunk().ok_or(ControlError::CutOff)?;
        Ok(Self::from_id(i16::from_be_bytes(*id)))
    }

    /// The key of a control record of this type.
    pub const fn key(self) -> [u8; 4] {
        let id = self.id().to_be_bytes();
        [0, 0, id[0], id[1]]
    }
}

/// How a transaction ended, as the marker in each of its partitions says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndTransactionMarker {
    /// Whether the records before it count.
    pub is_commit: bool,
    /// The epoch of the transaction coordinator that sent the marker; a lower one than the last is a zombie's.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// The type of the marker's record.
    pub const fn control_type(self) -> ControlType {
        if self.is_commit {
            ControlType::Commit
        } else {
            ControlType::Abort
        }
    }

    /// Reads key and value of a control record; `None` for one that ends no transaction.
    ///
    /// # Errors
    /// A key or value that is null or too short, or a negative version.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Self>, ControlError> {
        let is_commit = match ControlType::parse_key(key)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            _ => return Ok(None),
        };
        let (epoch, _) = after_version(value)?.split_first_chunk().ok_or(ControlError::CutOff)?;
        Ok(Some(Self {
            is_commit,
            coordinator_epoch: i32::from_be_bytes(*epoch),
        }))
    }

    /// The value of the marker's record.
    pub const fn value(self) -> [u8; 6] {
        let epoch = self.coordinator_epoch.to_be_bytes();
        [0, 0, epoch[0], epoch[1], epoch[2], epoch[3]]
    }
}

/// Why a control record could not be read: the log is damaged, or somebody else wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A null key or value.
    #[error("a control record has a null key or value")]
    Null,
    /// Fewer bytes than version 0 has.
    #[error("a control record is cut off")]
    CutOff,
    /// A version below 0.
    #[error("a control record has version {0}")]
    Version(i16),
}

fn after_version(field: Option<&[u8]>) -> Result<&[u8], ControlError> {
    let (version, rest) = field
        .ok_or(ControlError::Null)?
        .split_first_chunk()
        .ok_or(ControlError::CutOff)?;
    match i16::from_be_bytes(*version) {
        version @ ..0 => Err(ControlError::Version(version)),
        _ => Ok(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_apaches_bytes() {
        for id in 0..=6 {
            let control_type = ControlType::from_id(id);
            assert!(!matches!(control_type, ControlType::Unknown(_)));
            assert_eq!(control_type.key(), [0, 0, 0, id as u8]);
            assert_eq!(ControlType::parse_key(Some(&control_type.key())), Ok(control_type));
        }
        assert_eq!(
            ControlType::parse_key(Some(&[0, 9, 1, 0, 7])),
            Ok(ControlType::Unknown(256))
        );
    }

    #[test]
    fn markers_come_back() {
        let marker = EndTransactionMarker {
            is_commit: true,
            coordinator_epoch: 9,
        };
        assert_eq!(marker.value(), [0, 0, 0, 0, 0, 9]);
        for marker in [
            marker,
            EndTransactionMarker {
                is_commit: false,
                coordinator_epoch: i32::MAX,
            },
        ] {
            let parsed = EndTransactionMarker::parse(Some(&marker.control_type().key()), Some(&marker.value()));
            assert_eq!(parsed, Ok(Some(marker)));
        }
        let leader_change = ControlType::LeaderChange.key();
        assert_eq!(EndTransactionMarker::parse(Some(&leader_change), None), Ok(None));
    }

    #[test]
    fn whatever_is_too_short_or_null_is_refused() {
        let key = ControlType::Commit.key();
        let value = EndTransactionMarker {
            is_commit: true,
            coordinator_epoch: 1,
        }
        .value();
        for end in 0..key.len() {
            assert_eq!(
                EndTransactionMarker::parse(Some(&key[..end]), Some(&value)),
                Err(ControlError::CutOff)
            );
        }
        for end in 0..value.len() {
            assert_eq!(
                EndTransactionMarker::parse(Some(&key), Some(&value[..end])),
                Err(ControlError::CutOff)
            );
        }
        assert_eq!(EndTransactionMarker::parse(None, Some(&value)), Err(ControlError::Null));
        assert_eq!(EndTransactionMarker::parse(Some(&key), None), Err(ControlError::Null));
        assert_eq!(
            ControlType::parse_key(Some(&[0xff, 0xfe, 0, 1])),
            Err(ControlError::Version(-2))
        );
    }
}
