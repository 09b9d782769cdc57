//! Members of a consumer group that speak the classic protocol (KIP-848): a group under migration has both kinds.
//!
//! Their generation is the member epoch. Nobody leads and nobody waits: JoinGroup does what a heartbeat does for the
//! others (it takes over what the member says, with what it still has, and moves it a step towards its target), and is
//! answered at once; SyncGroup hands out what the member has from then on; Heartbeat tells it to rejoin when there is a
//! step to take. Whoever is told to rejoin and does not, or joins and does not sync, is expelled after its rebalance
//! time-out; a silent one after the session time-out that it has asked for.

mod heartbeat;
mod join;
mod sync;

use super::{current::MemberState, group::ConsumerGroup, member::Member};
use ottla_protocol::{
    ErrorCode, Str,
    messages::consumer_group_member_metadata_value::{ClassicMemberMetadata, ClassicProtocol},
};

/// A classic member that sends a request.
struct ClassicSender<'a> {
    id: &'a Str,
    member: &'a Member,
    classic: &'a ClassicMemberMetadata,
}

impl ClassicSender<'_> {
    /// The protocol that its JoinGroup was answered with: the one that it likes best.
    fn protocol(&self) -> Option<&ClassicProtocol> {
        self.classic.supported_protocols.first()
    }
}

impl ConsumerGroup {
    /// Who sends a Heartbeat or a SyncGroup: a classic member in its epoch, and for a static one the incarnation in
    /// charge.
    fn classic_member(
        &self,
        member_id: &Str,
        instance_id: Option<&Str>,
        generation: i32,
    ) -> Result<ClassicSender<'_>, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let (owner, _) = self.static_member(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
            if owner != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        let found = self.members.get_key_value(member_id);
        let (id, member) = found.ok_or(ErrorCode::UnknownMemberId)?;
        let classic = member.subscription.classic.as_deref();
        let classic = classic.ok_or(ErrorCode::UnknownMemberId)?;
        match generation == member.current.member_epoch {
            true => Ok(ClassicSender { id, member, classic }),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    /// Whether a member has something of its target to come that somebody else has or may have.
    fn waits_for_others(&self, id: &Str, member: &Member) -> bool {
        let target = self.target_of(id);
        let wanted = target
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)));
        member.current.state == MemberState::UnreleasedPartitions
            && wanted
                .filter_map(|partition| self.owners.get(&partition))
                .any(|owner| owner != id)
    }
}
