//! What goes into a decision and what comes out of it.

use bytes::Bytes;
use ottla_protocol::{
    ids::{TimestampMs, Uuid},
    messages::{
        ConsumerGroupHeartbeatResponse, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse,
        OffsetDeleteResponse, SyncGroupResponse, delete_groups_response::DeletableGroupResult,
    },
};

/// Names a request that waits for its answer; chosen by the caller, each used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The two clocks of a decision.
///
/// Timers run on the monotonic one, so that a step of the wall clock expels nobody; the wall clock only stamps
/// commits and ages offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since any fixed moment; never goes back.
    pub monotonic_ms: i64,
    /// Milliseconds since 1970-01-01 UTC.
    pub wall_ms: TimestampMs,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The version of the request.
    pub version: i16,
    /// `client.id` from the request's header; empty where there is none.
    pub client_id: &'a str,
    /// The address as Kafka writes it into group metadata: a slash, then the address without a port.
    pub client_host: &'a str,
    /// A fresh random UUID, used if the caller needs a member id.
    pub fresh_member_id: Uuid,
}

/// A record of `__consumer_offsets`, encoded as Kafka encodes it: a 16-bit version or type, then the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// The key; its 16-bit number is the record's type.
    pub key: Bytes,
    /// The value; a tombstone has none.
    pub value: Option<Bytes>,
}

impl CoordinatorRecord {
    /// The bytes of its key and its value.
    pub fn len_bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// The answer to a request that went through a decision.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Reply {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    OffsetCommit(OffsetCommitResponse),
    OffsetDelete(OffsetDeleteResponse),
    /// The results of one coordinator; the broker joins those of several.
    DeleteGroups(Vec<DeletableGroupResult>),
}

/// What a decision leads to, in the order in which it must be done.
///
/// Apply the records before the next decision; append them, alone or with those of further decisions; release the
/// replies when all records up to here are committed. A reply without records waits for earlier records all the same:
/// it may rest on them.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Actions {
    /// To be appended and applied, in this order.
    pub records: Vec<CoordinatorRecord>,
    /// To be released afterwards. May answer requests of earlier decisions, and need not answer the one just made.
    pub replies: Vec<(Ticket, Reply)>,
}

impl Actions {
    /// Only an answer.
    pub(crate) fn reply(ticket: Ticket, reply: Reply) -> Self {
        Self {
            records: Vec::new(),
            replies: vec![(ticket, reply)],
        }
    }
}
