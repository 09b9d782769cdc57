//! A consumer as its client library behaves.

use crate::{Reply, Ticket};
use ottla_protocol::{ErrorCode, Str, messages::JoinGroupResponse};

pub(super) const PARTITIONS: u8 = 6;

/// Where a client is in the protocol.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Must join.
    Outside,
    Joining(Ticket),
    /// Has joined; knows the members if it leads and must assign.
    Joined(Vec<Str>),
    Syncing(Ticket),
    Inside,
}

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) instance_id: Option<Str>,
    pub(super) member_id: Str,
    pub(super) generation: i32,
    pub(super) phase: Phase,
    /// The partitions it may read.
    pub(super) owned: Vec<u8>,
}

impl Client {
    pub(super) fn new(instance_id: Option<Str>) -> Self {
        Self {
            instance_id,
            member_id: Str::EMPTY,
            generation: -1,
            phase: Phase::Outside,
            owned: Vec::new(),
        }
    }

    /// Who it is over restarts of its process: the name by which ownership is checked.
    pub(super) fn identity(&self) -> Str {
        self.instance_id.clone().unwrap_or_else(|| self.member_id.clone())
    }

    pub(super) fn waits_for(&self, ticket: Ticket) -> bool {
        self.phase == Phase::Joining(ticket) || self.phase == Phase::Syncing(ticket)
    }

    /// Takes an answer. Returns what it owns if it has just been told.
    pub(super) fn take(&mut self, reply: &Reply) -> Option<Vec<u8>> {
        match reply {
            Reply::JoinGroup(response) if response.error_code == 0 => self.joined(response),
            Reply::JoinGroup(response) => {
                self.on_error(response.error_code);
                if response.error_code == ErrorCode::MemberIdRequired as i16 {
                    self.member_id = response.member_id.clone();
                }
            }
            Reply::SyncGroup(response) if response.error_code == 0 => {
                self.phase = Phase::Inside;
                self.owned = response.assignment.to_vec();
                return Some(self.owned.clone());
            }
            Reply::SyncGroup(response) => self.on_error(response.error_code),
            Reply::Heartbeat(response) => self.on_error(response.error_code),
            _ => {}
        }
        None
    }

    fn joined(&mut self, response: &JoinGroupResponse) {
        self.member_id = response.member_id.clone();
        self.generation = response.generation_id;
        let assigns = response.leader == response.member_id && !response.skip_assignment;
        let members = response.members.iter().map(|member| member.member_id.clone());
        self.phase = Phase::Joined(if assigns { members.collect() } else { Vec::new() });
    }

    /// Goes on as client libraries do.
    pub(super) fn on_error(&mut self, error: i16) {
        let Some(error) = ErrorCode::from_code(error).filter(|error| *error != ErrorCode::None) else {
            return;
        };
        if matches!(error, ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) {
            self.forget();
        }
        self.phase = Phase::Outside;
    }

    /// Its process starts anew, or it must.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.instance_id.clone());
    }
}

/// Spreads the partitions over the members.
pub(super) fn assign(members: &[Str]) -> Vec<(String, Vec<u8>)> {
    let share = |index: usize| (0..PARTITIONS).filter(move |number| usize::from(*number) % members.len() == index);
    let members = members.iter().enumerate();
    members
        .map(|(index, id)| (id.to_string(), share(index).collect()))
        .collect()
}
