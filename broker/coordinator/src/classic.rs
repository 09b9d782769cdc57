//! Groups of the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.
//!
//! A rebalance runs so: a join, a leave or a silent member makes the group prepare; heartbeats then answer
//! REBALANCE_IN_PROGRESS and JoinGroups are held until every member has rejoined or the longest rebalance time-out has
//! passed. Then the generation rises, the leader learns all members' metadata, and SyncGroups are held until the
//! leader's brings the assignment. That assignment is the one thing that is logged: when its record is applied the
//! group is stable. All the rest is volatile, and lost on a restart: the group then stands in its last logged
//! generation, and members that know a later one are sent to join again.
//!
//! KIP-345 (static members), KIP-394 (member id required), KIP-559 (protocol type and name), KIP-800 (reasons, which
//! are ignored), KIP-814 (a returning static leader skips the assignment).

mod converted;
mod describe;
mod group;
mod heartbeat;
mod join;
mod leave;
mod load;
mod member;
mod rebalance;
mod static_member;
mod sync;
mod timeouts;

pub(crate) use group::{CONSUMER_PROTOCOL, ClassicGroup, GroupState};
pub(crate) use join::Join;
pub(crate) use member::{Member as ClassicMember, offered_protocols};

use crate::{
    config::GroupsConfig,
    outcome::{Actions, Now, Reply, Ticket},
    timers::Timers,
};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{JoinGroupResponse, SyncGroupResponse},
};

/// What one decision reads and what it leads to.
pub(crate) struct Step<'a> {
    pub(crate) config: &'a GroupsConfig,
    pub(crate) timers: &'a mut Timers,
    pub(crate) rebalances: &'a mut u64,
    pub(crate) now: Now,
    pub(crate) actions: &'a mut Actions,
}

impl Step<'_> {
    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.actions.replies.push((ticket, reply));
    }

    fn refuse_join(&mut self, ticket: Ticket, member_id: &Str, error: ErrorCode) {
        self.reply(ticket, Reply::JoinGroup(refused_join(member_id, error)));
    }

    fn refuse_sync(&mut self, ticket: Ticket, error: ErrorCode) {
        self.reply(ticket, Reply::SyncGroup(refused_sync(error)));
    }
}

/// A JoinGroup response that only says why not. It names no protocol; before version 7 the wire has no null for that.
pub(crate) fn refused_join(member_id: &Str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error as i16,
        member_id: member_id.clone(),
        protocol_name: None,
        ..Default::default()
    }
}

/// A SyncGroup response that only says why not.
pub(crate) fn refused_sync(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: error as i16,
        ..Default::default()
    }
}
