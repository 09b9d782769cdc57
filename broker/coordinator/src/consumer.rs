//! Groups of the consumer protocol (KIP-848): ConsumerGroupHeartbeat, ConsumerGroupDescribe.
//!
//! There is one request, and no barrier for all. Three numbers say how far a group is:
//!
//! ```text
//! group epoch        rises when a member comes, goes or subscribes to something else, or a topic changes
//! assignment epoch   the group epoch for which the target assignment was computed
//! member epoch       the assignment epoch that a member has reached
//! ```
//!
//! A heartbeat takes over what the member says of itself, computes a new target assignment if one is due, and moves
//! the member a step towards it: first it gives up what it shall not have, and stays in its epoch until it says that it
//! has; then it gets what it shall have, as far as nobody else still has it. So a partition never has two owners.
//!
//! All of a group is logged but the timers of its members and which view of the cluster it has seen. A decision reads
//! the group and returns records; [`ConsumerGroup::apply`] alone makes them true.

mod classic_member;
mod current;
mod delete;
mod describe;
mod embedded;
mod group;
mod haste;
mod heartbeat;
mod join;
mod leave;
mod load;
mod member;
mod metadata_hash;
mod migration;
mod offsets;
mod partitions;
mod reconcile;
mod refusal;
mod regex;
mod settle;
mod target;
mod timeouts;
mod update;
mod validate;

pub(crate) use group::ConsumerGroup;
pub use heartbeat::check_consumer_group_heartbeat;
pub(crate) use metadata_hash::TopicHashes;
pub(crate) use offsets::CommitRule;
pub(crate) use partitions::Partitions;
pub(crate) use regex::compile_pattern;

use crate::{
    GroupsConfig,
    cluster::{ClusterView, ConsumerSettings},
    outcome::Now,
};

/// What a decision about a consumer group reads besides the group.
pub(crate) struct World<'a> {
    pub(crate) config: &'a GroupsConfig,
    pub(crate) cluster: &'a dyn ClusterView,
    /// Of the group.
    pub(crate) settings: ConsumerSettings,
    pub(crate) hashes: &'a mut TopicHashes,
    pub(crate) now: Now,
}
