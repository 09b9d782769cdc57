//! What group decisions see of the rest of the cluster: topics, and the settings of groups.

use ottla_protocol::{Str, ids::Uuid};
use std::fmt::Debug;

/// A topic that members may subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Another one each time a topic of this name is created.
    pub id: Uuid,
    /// How many partitions it has; their numbers begin at 0.
    pub partition_count: i32,
    /// The racks of each partition's replicas, of those whose broker has one.
    pub racks: Vec<Vec<Str>>,
}

/// The settings of one consumer group (KIP-848), from its own configs or the broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// `consumer.session.timeout.ms`: silence after which a member is removed.
    pub session_timeout_ms: i32,
    /// `consumer.heartbeat.interval.ms`: what members are told.
    pub heartbeat_interval_ms: i32,
    /// `consumer.assignment.interval.ms`: least time between two target assignments (KIP-1263).
    pub assignment_interval_ms: i32,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            assignment_interval_ms: 1_000,
        }
    }
}

/// One unchanging view of the cluster. A later view replaces it, see [`crate::Groups::see`].
pub trait ClusterView: Debug + Send + Sync {
    /// Rises with each view in which a topic came, went, or has other partitions or racks.
    fn version(&self) -> i64;

    /// The topic with this name.
    fn topic(&self, name: &str) -> Option<Topic>;

    /// The name of the topic with this id.
    fn topic_name(&self, id: Uuid) -> Option<Str>;

    /// Calls `visit` with the name of every topic.
    fn visit_topic_names(&self, visit: &mut dyn FnMut(&Str));

    /// The settings of the consumer group with this id, whether there is such a group or not.
    fn consumer_settings(&self, group_id: &str) -> ConsumerSettings;
}

/// A cluster without topics, in which no group has settings of its own.
#[derive(Debug)]
pub(crate) struct EmptyCluster;

impl ClusterView for EmptyCluster {
    fn version(&self) -> i64 {
        -1
    }

    fn topic(&self, _name: &str) -> Option<Topic> {
        None
    }

    fn topic_name(&self, _id: Uuid) -> Option<Str> {
        None
    }

    fn visit_topic_names(&self, _visit: &mut dyn FnMut(&Str)) {}

    fn consumer_settings(&self, _group_id: &str) -> ConsumerSettings {
        ConsumerSettings::default()
    }
}
