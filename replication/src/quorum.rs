//! The metadata quorum (KRaft, KIP-595 with dynamic voters of KIP-853), as far as a quorum of one needs it.
//!
//! | part | what |
//! |---|---|
//! | [`Quorum`] | who leads in which epoch, what is committed: events in, [`Actions`] out |
//! | [`QuorumState`] | what the file `quorum-state` holds |
//! | [`VoterSet`] | who may vote, and how records say so |
//! | [`ControlRecord`] | what the quorum itself writes into the log |
//! | [`SnapshotId`], [`snapshot_bytes`] | what stands for the log's beginning |
//!
//! Nothing here touches a disk or a clock. The one rule that the caller must keep is written on [`Actions`]: what is to
//! be persisted is on disk before anything else of the same step is done.

mod batches;
mod control;
mod describe;
mod election;
mod snapshot;
mod state;
mod voters;

pub use batches::{control_batch, metadata_batch};
pub use control::{ControlRecord, ControlRecordError};
pub use election::{Actions, Event, FoundVoters, Quorum, QuorumError};
pub use snapshot::{SnapshotId, SnapshotPolicy, bootstrap_snapshot_bytes, snapshot_bytes};
pub use state::{MalformedQuorumState, QuorumState};
pub use voters::{KRAFT_VERSION, Voter, VoterEndpoint, VoterSet};
