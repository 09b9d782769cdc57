//! Decisions about the cluster's metadata: what an admin's or a broker's request leads to.
//!
//! Each `handle_*` reads the image and returns an [`Outcome`]: the records that make the answer true, and the answer.
//! The caller appends the records as one batch, applies them once they are committed (or at once, if it alone writes
//! and answers later), and then releases the answer. Nothing here authorises: a request holds only what its sender may
//! ask for. Records are written in the version that [`record_version`] chooses.

mod bootstrap;
mod brokers;
mod configs;
mod delete_topics;
mod describe_configs;
mod directories;
mod elections;
mod features;
mod partitions;
mod placement;
mod producer_ids;
mod random;
mod reassignments;
mod record_version;
mod topic_names;
mod topics;

use crate::{
    config::{ConfigScope, ConfigValues, Layers, Value, definition},
    image::MetadataImage,
};
use ottla_protocol::{Str, ids::NodeId, messages::MetadataRecord};

pub use bootstrap::{BootstrapOptions, bootstrap_records, formatted_records};
pub use brokers::{HeartbeatError, RegistrationContext, RegistrationError};
pub use configs::AlterConfigError;
pub use delete_topics::DeleteTopicError;
pub use elections::ElectionError;
pub use features::{
    FeatureError, LATEST_METADATA_VERSION, SUPPORTED_FEATURES, SupportedFeature, default_levels, default_levels_at,
};
pub use partitions::{AssignmentError, CreatePartitionsError};
pub use placement::PlacementError;
pub use producer_ids::{AllocateProducerIdsError, PRODUCER_ID_BLOCK_SIZE};
pub use random::Random;
pub use reassignments::ReassignmentError;
pub use record_version::record_version;
pub use topic_names::{InvalidTopicName, check_topic_name};
pub use topics::CreateTopicError;

/// The most records that one request may lead to: they are one batch, and a batch is written as a whole.
pub const MAX_RECORDS_PER_OPERATION: usize = 10_000;

/// What a request leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<R> {
    /// To be appended as one batch, before the response is sent.
    pub records: Vec<MetadataRecord>,
    /// The answer.
    pub response: R,
}

impl<R> Outcome<R> {
    /// An answer that changes nothing.
    pub fn unchanged(response: R) -> Self {
        Self {
            records: Vec::new(),
            response,
        }
    }
}

/// What the node was started with and its decisions depend on.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The id of this node.
    pub node_id: i32,
    /// The id of the cluster.
    pub cluster_id: String,
    /// The broker keys of the node's file.
    pub file: ConfigValues,
    /// The node's log directories, as `log.dirs` names them.
    pub log_dirs: Vec<String>,
}

/// The controller: an image, and what the node was started with.
#[derive(Clone, Debug)]
pub struct Controller {
    image: MetadataImage,
    settings: Settings,
}

impl Controller {
    /// A controller that goes on from `image`.
    pub fn new(image: MetadataImage, settings: Settings) -> Self {
        Self { image, settings }
    }

    /// What the controller's decisions rest on.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The same, for the caller to move the position after a batch.
    pub fn image_mut(&mut self) -> &mut MetadataImage {
        &mut self.image
    }

    /// What the node was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes one record true, whether new or read again after a restart.
    pub fn apply(&mut self, record: &MetadataRecord) {
        self.image.apply(record);
    }

    /// The values of this node's broker keys, by place.
    pub fn layers(&self) -> Layers<'_> {
        Layers {
            broker: self.image.configs().of_broker(NodeId(self.settings.node_id)),
            cluster: self.image.configs().of_all_brokers(),
            file: &self.settings.file,
        }
    }

    /// `min.insync.replicas` of a topic, but never more than `replica_count`.
    fn effective_min_isr(&self, topic: &str, replica_count: usize) -> usize {
        let wanted = self.topic_value(topic, "min.insync.replicas");
        let wanted = wanted.as_ref().and_then(Value::as_number).unwrap_or(1);
        usize::try_from(wanted).unwrap_or(1).min(replica_count)
    }

    /// Whether a replica outside the ISR may lead a partition of this topic as a last resort.
    fn is_unclean_election_enabled(&self, topic: &str) -> bool {
        let value = self.topic_value(topic, "unclean.leader.election.enable");
        value.as_ref().and_then(Value::as_bool).unwrap_or(false)
    }

    fn topic_value(&self, topic: &str, name: &str) -> Option<Value> {
        let key = definition(ConfigScope::Topic, name)?;
        self.layers().topic_value(self.image.configs().of_topic(topic), key).0
    }
}

/// The text of a refusal as it goes into a response.
fn text(message: impl std::fmt::Display) -> Option<Str> {
    Some(Str::from(message.to_string()))
}

#[cfg(test)]
mod fixture;
