//! The metadata image as the groups see it.

use crate::broker::Broker;
use ottla_coordinator::{ClusterView, ConsumerSettings, Topic};
use ottla_protocol::{
    Str,
    ids::{NodeId, Uuid},
};
use ottla_replication::{
    config::{ConfigValues, Layers, Value},
    image::{Changes, ConfigResource, MetadataImage, ResourceType, TopicImage, feature},
};
use std::sync::Arc;

/// An image, and where in the metadata log its topics last changed.
#[derive(Debug)]
pub(crate) struct ImageView {
    image: Arc<MetadataImage>,
    version: i64,
    node_id: NodeId,
    file: Arc<ConfigValues>,
    /// What the broker's keys say of consumer groups.
    limits: Limits,
    /// Whether there may be consumer groups.
    pub(super) serves_consumer_groups: bool,
}

impl ImageView {
    /// The view of the image that the broker starts with.
    pub(super) fn first(broker: &Broker) -> Self {
        let image = broker.image.load_full();
        Self {
            version: image.position.offset,
            limits: Limits::of(broker.layers(&image)),
            serves_consumer_groups: serves_consumer_groups(&image, broker.layers(&image)),
            image,
            node_id: broker.node_id,
            file: Arc::new(broker.config.file.clone()),
        }
    }

    /// The view of a later image, which `changes` led to.
    pub(super) fn next(&self, image: &Arc<MetadataImage>, changes: &Changes) -> Self {
        let layers = Layers {
            broker: image.configs().of_broker(self.node_id),
            cluster: image.configs().of_all_brokers(),
            file: &self.file,
        };
        Self {
            version: match are_topics_changed(&self.image, image, changes) {
                true => image.position.offset,
                false => self.version,
            },
            limits: match changes.configs.is_empty() {
                true => self.limits,
                false => Limits::of(layers),
            },
            serves_consumer_groups: match changes.features {
                true => serves_consumer_groups(image, layers),
                false => self.serves_consumer_groups,
            },
            image: image.clone(),
            node_id: self.node_id,
            file: self.file.clone(),
        }
    }

    fn racks(&self, topic: &TopicImage) -> Vec<Vec<Str>> {
        let rack = |id: &NodeId| self.image.brokers().broker(*id)?.rack.clone();
        let partitions = topic.partitions();
        partitions
            .map(|(_, partition)| partition.replicas.iter().filter_map(rack).collect())
            .collect()
    }
}

impl ClusterView for ImageView {
    fn version(&self) -> i64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        let topic = self.image.topics().by_name(name)?;
        Some(Topic {
            id: topic.id,
            partition_count: i32::try_from(topic.partition_count()).unwrap_or(i32::MAX),
            racks: self.racks(topic),
        })
    }

    fn topic_name(&self, id: Uuid) -> Option<Str> {
        self.image.topics().by_id(id).map(|topic| topic.name.clone())
    }

    fn visit_topic_names(&self, visit: &mut dyn FnMut(&Str)) {
        self.image.topics().iter().for_each(|topic| visit(&topic.name));
    }

    fn consumer_settings(&self, group_id: &str) -> ConsumerSettings {
        let group = ConfigResource::new(ResourceType::Group, group_id);
        self.limits.within(self.image.configs().of(&group))
    }
}

/// One setting of consumer groups: what may be set for a group, and what counts where nothing is.
#[derive(Clone, Copy, Debug)]
struct Limit {
    least: i64,
    default: i64,
    most: i64,
}

impl Limit {
    fn of(layers: Layers<'_>, name: &str) -> Self {
        let number = |prefix: &str| layers.broker_number(&format!("group.consumer.{prefix}{name}"));
        Self {
            least: number("min."),
            default: number(""),
            most: number("max."),
        }
    }

    /// The value that counts: what was set for a group may be older than the bounds.
    fn within(self, set: Option<&Str>) -> i32 {
        let wanted = set.and_then(|text| text.parse().ok()).unwrap_or(self.default);
        i32::try_from(wanted.min(self.most).max(self.least)).unwrap_or(i32::MAX)
    }
}

/// The settings of consumer groups.
#[derive(Clone, Copy, Debug)]
struct Limits {
    session_timeout: Limit,
    heartbeat_interval: Limit,
    assignment_interval: Limit,
}

impl Limits {
    fn of(layers: Layers<'_>) -> Self {
        Self {
            session_timeout: Limit::of(layers, "session.timeout.ms"),
            heartbeat_interval: Limit::of(layers, "heartbeat.interval.ms"),
            assignment_interval: Limit::of(layers, "assignment.interval.ms"),
        }
    }

    /// The settings of a group with these overrides.
    fn within(&self, overrides: &ConfigValues) -> ConsumerSettings {
        ConsumerSettings {
            session_timeout_ms: self
                .session_timeout
                .within(overrides.get("consumer.session.timeout.ms")),
            heartbeat_interval_ms: self
                .heartbeat_interval
                .within(overrides.get("consumer.heartbeat.interval.ms")),
            assignment_interval_ms: self
                .assignment_interval
                .within(overrides.get("consumer.assignment.interval.ms")),
        }
    }
}

/// Whether the cluster and the broker's file have consumer groups: `group.version` 1 and
/// `group.coordinator.rebalance.protocols`.
fn serves_consumer_groups(image: &MetadataImage, layers: Layers<'_>) -> bool {
    let protocols = layers.broker_value("group.coordinator.rebalance.protocols");
    let is_named = match &protocols {
        Some(Value::List(names)) => names.iter().any(|name| name == "consumer"),
        _ => true,
    };
    is_named && image.features().level(feature::GROUP_VERSION) >= 1
}

/// Whether a topic came or went, or has other partitions or racks than before.
fn are_topics_changed(before: &MetadataImage, after: &MetadataImage, changes: &Changes) -> bool {
    let is_changed = |(id, indexes): (&Uuid, &std::collections::BTreeSet<i32>)| {
        let (before, after) = (before.topics().by_id(*id), after.topics().by_id(*id));
        let replicas = |topic: Option<&Arc<TopicImage>>, index: i32| {
            topic
                .and_then(|topic| topic.partition(index))
                .map(|partition| partition.replicas.clone())
        };
        let mut indexes = indexes.iter();
        before.is_none() || indexes.any(|index| replicas(before, *index) != replicas(after, *index))
    };
    let racks = |image: &MetadataImage| -> Vec<(NodeId, Option<Str>)> {
        let brokers = image.brokers().iter();
        brokers.map(|broker| (broker.id, broker.rack.clone())).collect()
    };
    !changes.deleted_topics.is_empty()
        || changes
            .topics
            .iter()
            .map(|(id, change)| (id, &change.partitions))
            .any(is_changed)
        || (!changes.brokers.is_empty() && racks(before) != racks(after))
}
