//! One member of a classic group.

use crate::{outcome::Ticket, timers::Deadline};
use bytes::Bytes;
use ottla_protocol::{Str, messages::join_group_request::JoinGroupRequestProtocol};

/// A member; its id is the key under which the group keeps it.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// `group.instance.id` of a static member (KIP-345).
    pub(crate) instance_id: Option<Str>,
    pub(crate) client_id: Str,
    pub(crate) client_host: Str,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// Name and metadata, the best liked first; never empty, no name twice.
    pub(crate) protocols: Vec<(Str, Bytes)>,
    /// What the leader gave it in the last logged generation.
    pub(crate) assignment: Bytes,
    /// The JoinGroup that waits for the others.
    pub(crate) awaiting_join: Option<Ticket>,
    /// The SyncGroup that waits for the leader's.
    pub(crate) awaiting_sync: Option<Ticket>,
    /// Has not been in a generation yet: it cannot send heartbeats and expires even while its JoinGroup waits.
    pub(crate) is_new: bool,
    /// When it is expelled unless it is heard of.
    pub(crate) session: Deadline,
}

impl Member {
    /// What it said under `protocol`; empty if it does not speak it.
    pub(crate) fn metadata(&self, protocol: &Str) -> Bytes {
        let offered = self.protocols.iter().find(|(name, _)| name == protocol);
        offered.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Whether its silence is excused: an answer that it waits for is due from us.
    pub(crate) fn is_excused(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// The protocols of a request, copied out of its frame; a name that comes again is ignored, as in Kafka.
pub(crate) fn offered_protocols(protocols: &[JoinGroupRequestProtocol]) -> Vec<(Str, Bytes)> {
    let mut offered: Vec<(Str, Bytes)> = Vec::with_capacity(protocols.len());
    for protocol in protocols {
        if !offered.iter().any(|(name, _)| *name == protocol.name) {
            let metadata = Bytes::copy_from_slice(&protocol.metadata);
            offered.push((protocol.name.detached(), metadata));
        }
    }
    offered
}
