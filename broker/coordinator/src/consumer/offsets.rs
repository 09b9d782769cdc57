//! Whether a member of a consumer group may commit and fetch offsets.

use super::{current::CurrentAssignment, group::ConsumerGroup};
use ottla_protocol::{ErrorCode, Str, ids::Uuid};

/// From this version on the members of consumer groups commit: the epoch is theirs.
const MEMBER_EPOCH_FROM: i16 = 9;

/// For which partitions a commit counts.
pub(crate) enum CommitRule<'a> {
    /// For all.
    Any,
    /// For those that the member has had since its epoch then (KIP-1251): it has moved on, and this was sent before.
    OwnedSince(&'a CurrentAssignment, i32, ErrorCode),
}

impl CommitRule<'_> {
    pub(crate) fn check(&self, topic: Uuid, partition: i32) -> Result<(), ErrorCode> {
        match self {
            Self::Any => Ok(()),
            Self::OwnedSince(current, epoch, error) => {
                let got = current.assignment_epoch(topic, partition);
                got.filter(|got| got <= epoch).map(|_| ()).ok_or(*error)
            }
        }
    }
}

impl ConsumerGroup {
    /// What of a commit counts.
    ///
    /// # Errors
    /// Nothing of it does.
    pub(crate) fn commit_rule(
        &self,
        member_id: &Str,
        member_epoch: i32,
        version: i16,
    ) -> Result<CommitRule<'_>, ErrorCode> {
        if member_epoch < 0 && self.is_empty() {
            // An administrator, or a consumer that does not take part.
            return Ok(CommitRule::Any);
        }
        let member = self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        let stale = match member.is_classic() {
            true => ErrorCode::IllegalGeneration,
            false if version < MEMBER_EPOCH_FROM => return Err(ErrorCode::UnsupportedVersion),
            false => ErrorCode::StaleMemberEpoch,
        };
        let current = &member.current;
        if member_epoch == current.member_epoch {
            Ok(CommitRule::Any)
        } else if member_epoch > current.member_epoch {
            Err(stale)
        } else {
            Ok(CommitRule::OwnedSince(current, member_epoch, stale))
        }
    }

    /// Whether whoever fetches offsets may: a member in its epoch, or anybody who does not say that it is one.
    pub(crate) fn check_fetch(&self, member_id: Option<&Str>, member_epoch: i32) -> Result<(), ErrorCode> {
        let Some(member_id) = member_id else {
            return match member_epoch < 0 {
                true => Ok(()),
                false => Err(ErrorCode::UnknownMemberId),
            };
        };
        let member = self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if member_epoch == member.current.member_epoch {
            Ok(())
        } else if member.is_classic() {
            Err(ErrorCode::IllegalGeneration)
        } else {
            Err(ErrorCode::StaleMemberEpoch)
        }
    }
}
