//! Who leads the quorum and what is committed.
//!
//! A quorum of one elects itself at each start, in an epoch above every epoch that its disk knows of; whatever it has
//! on disk is committed, since it alone is the majority. Other voters are refused for now: they bring votes, fetches
//! and timers as further events.

use super::{
    control::ControlRecord,
    state::QuorumState,
    voters::{Voter, VoterSet},
};
use ottla_protocol::ids::{LeaderEpoch, NodeId, Offset, Uuid};

/// The voters as the disk knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundVoters {
    /// The last set.
    pub voters: VoterSet,
    /// Whether the log, or a snapshot later than the first, names it. The first leader writes it into the log.
    pub is_in_log: bool,
}

/// Why this node cannot form the quorum by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// The voters on disk are others, or more.
    #[error("the voters of this metadata log are {voters:?}: a quorum of more than node {me} is not implemented yet")]
    NotAlone {
        /// This node.
        me: NodeId,
        /// The ids of the voters.
        voters: Vec<NodeId>,
    },
    /// The only voter is this node with another directory.
    #[error(
        "this metadata log was written in directory {found}, but meta.properties says {me}: one of the two was copied from \
         another node, or meta.properties was lost and made anew"
    )]
    OtherDirectory {
        /// The id of this node's directory.
        me: Uuid,
        /// The id of the voter's.
        found: Uuid,
    },
}

/// What happens to the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node has read its disk: where the log ends, and the last epoch that log and snapshots know of.
    Started {
        /// The offset of the next record.
        log_end_offset: Offset,
        /// The epoch of the last record, 0 without any.
        last_epoch: LeaderEpoch,
    },
    /// Everything before this offset is on disk.
    Synced {
        /// The offset after the last record that is on disk.
        end_offset: Offset,
    },
}

/// What is to be done, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions {
    /// To be written to `quorum-state` and synced **before anything of what follows is done**: a node that forgets an
    /// epoch in which it acted would act in it twice.
    pub persist: Option<QuorumState>,
    /// To be appended as one control batch in the current epoch.
    pub append: Vec<ControlRecord>,
    /// Everything before this offset is committed: answers that wait for it may go.
    pub high_watermark: Option<Offset>,
}

/// The state of this node in the quorum.
#[derive(Clone, Debug)]
pub struct Quorum {
    me: Voter,
    found: FoundVoters,
    stored: Option<QuorumState>,
    /// The epoch that this node leads, once it has started.
    leading: Option<LeaderEpoch>,
    log_end_offset: Offset,
    high_watermark: Offset,
}

impl Quorum {
    /// A node that is about to start. `stored`: its `quorum-state`, if it has one.
    ///
    /// # Errors
    /// This node is not the only voter.
    pub fn new(me: Voter, found: FoundVoters, stored: Option<QuorumState>) -> Result<Self, QuorumError> {
        if !found.voters.is_only(&me) {
            let ids: Vec<_> = found
                .voters
                .iter()
                .map(|voter| (voter.id, voter.directory_id))
                .collect();
            if let [(id, directory)] = ids[..]
                && id == me.id
            {
                let (me, found) = (me.directory_id, directory);
                return Err(QuorumError::OtherDirectory { me, found });
            }
            let voters = found.voters.iter().map(|voter| voter.id).collect();
            return Err(QuorumError::NotAlone { me: me.id, voters });
        }
        Ok(Self {
            me,
            found,
            stored,
            leading: None,
            log_end_offset: 0,
            high_watermark: 0,
        })
    }

    /// Takes one event.
    pub fn step(&mut self, event: Event) -> Actions {
        match event {
            Event::Started {
                log_end_offset,
                last_epoch,
            } => self.start(log_end_offset, last_epoch),
            Event::Synced { end_offset } => self.commit(end_offset),
        }
    }

    fn start(&mut self, log_end_offset: Offset, last_epoch: LeaderEpoch) -> Actions {
        let stored_epoch = self.stored.map_or(LeaderEpoch(0), |state| state.leader_epoch);
        let epoch = LeaderEpoch(last_epoch.max(stored_epoch).0 + 1);
        let state = QuorumState::leader(self.me.id, epoch);
        self.leading = Some(epoch);
        self.stored = Some(state);
        self.log_end_offset = log_end_offset;
        let mut append = vec![ControlRecord::elected_alone(self.me.id)];
        if !self.found.is_in_log {
            append.push(ControlRecord::kraft_version());
            append.push(ControlRecord::voters(&self.found.voters));
            self.found.is_in_log = true;
        }
        // What the log has is committed only with a record of this epoch behind it, as the Raft paper has it.
        Actions {
            persist: Some(state),
            append,
            high_watermark: None,
        }
    }

    fn commit(&mut self, end_offset: Offset) -> Actions {
        self.log_end_offset = self.log_end_offset.max(end_offset);
        if self.leading.is_none() || end_offset <= self.high_watermark {
            return Actions::default();
        }
        self.high_watermark = end_offset;
        Actions {
            high_watermark: Some(end_offset),
            ..Actions::default()
        }
    }

    /// This node as a voter.
    pub fn me(&self) -> &Voter {
        &self.me
    }

    /// The voters.
    pub fn voters(&self) -> &VoterSet {
        &self.found.voters
    }

    /// The epoch that this node leads; `None` before it has started.
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        self.leading
    }

    /// Everything before this offset is committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Everything before this offset is on disk.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::voters::test_voter;

    fn quorum(is_in_log: bool, stored: Option<QuorumState>) -> Quorum {
        let found = FoundVoters {
            voters: VoterSet::of_one(test_voter()),
            is_in_log,
        };
        Quorum::new(test_voter(), found, stored).expect("the only voter")
    }

    fn started(log_end_offset: Offset, last_epoch: i32) -> Event {
        Event::Started {
            log_end_offset,
            last_epoch: LeaderEpoch(last_epoch),
        }
    }

    #[test]
    fn the_first_leader_says_who_leads_which_version_and_who_votes() {
        let mut quorum = quorum(false, None);
        let actions = quorum.step(started(0, 0));
        assert_eq!(actions.persist, Some(QuorumState::leader(NodeId(1), LeaderEpoch(1))));
        let kinds: Vec<_> = actions.append.iter().map(|record| record.control_type().id()).collect();
        assert_eq!(kinds, [2, 5, 6]);
        assert_eq!(quorum.epoch(), Some(LeaderEpoch(1)));
    }

    #[test]
    fn a_later_leader_takes_an_epoch_that_nobody_had() {
        for (stored, last, expected) in [(4, 4, 5), (3, 5, 6), (7, 5, 8)] {
            let mut quorum = quorum(true, Some(QuorumState::leader(NodeId(1), LeaderEpoch(stored))));
            let actions = quorum.step(started(100, last));
            assert_eq!(
                actions.persist.map(|state| state.leader_epoch),
                Some(LeaderEpoch(expected))
            );
            assert_eq!(actions.append, [ControlRecord::elected_alone(NodeId(1))]);
        }
    }

    #[test]
    fn nothing_is_committed_before_a_record_of_the_own_epoch_is_on_disk() {
        let mut quorum = quorum(true, None);
        assert_eq!(quorum.step(started(100, 1)).high_watermark, None);
        assert_eq!(quorum.step(Event::Synced { end_offset: 101 }).high_watermark, Some(101));
        assert_eq!(quorum.step(Event::Synced { end_offset: 101 }), Actions::default());
        assert_eq!(quorum.high_watermark(), 101);
    }

    #[test]
    fn a_node_whose_log_is_of_another_directory_does_not_lead() {
        let error = refusal_beside(Voter {
            directory_id: Uuid([8; 16]),
            ..test_voter()
        });
        let expected = QuorumError::OtherDirectory {
            me: test_voter().directory_id,
            found: Uuid([8; 16]),
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_node_whose_log_has_other_voters_does_not_lead() {
        let error = refusal_beside(Voter {
            id: NodeId(2),
            ..test_voter()
        });
        let expected = QuorumError::NotAlone {
            me: NodeId(1),
            voters: vec![NodeId(2)],
        };
        assert_eq!(error, expected);
    }

    fn refusal_beside(other: Voter) -> QuorumError {
        let found = FoundVoters {
            voters: VoterSet::of_one(other),
            is_in_log: true,
        };
        Quorum::new(test_voter(), found, None).expect_err("another voter")
    }
}
