//! What is configured at run time, by resource.

use crate::config::ConfigValues;
use ottla_protocol::{
    Str,
    messages::{ConfigRecord, MetadataRecord},
};
use rpds::RedBlackTreeMapSync;
use std::sync::{Arc, LazyLock};

/// The kind of a resource that has configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    /// A topic.
    Topic,
    /// A broker, or with an empty name all of them.
    Broker,
    /// The loggers of a broker: never stored.
    BrokerLogger,
    /// A subscription to client metrics.
    ClientMetrics,
    /// A group.
    Group,
    /// A kind that is not known here; kept, so that nothing is lost.
    Other(i8),
}

impl ResourceType {
    /// The kinds that are known.
    pub const ALL: [Self; 5] = [
        Self::Topic,
        Self::Broker,
        Self::BrokerLogger,
        Self::ClientMetrics,
        Self::Group,
    ];

    /// The number on the wire and in the log.
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
            Self::Other(code) => code,
        }
    }

    /// The kind with this number.
    pub const fn from_code(code: i8) -> Self {
        match code {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            other => Self::Other(other),
        }
    }
}

/// One thing that has configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    /// Its kind.
    pub kind: ResourceType,
    /// Its name: of a broker its id, empty for the default of all brokers.
    pub name: Str,
}

impl ConfigResource {
    /// A resource by kind and name.
    pub fn new(kind: ResourceType, name: &str) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// A topic.
    pub fn topic(name: &str) -> Self {
        Self::new(ResourceType::Topic, name)
    }
}

static NOTHING: LazyLock<Arc<ConfigValues>> = LazyLock::new(Arc::default);

/// The values that were set at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigsImage {
    by_resource: RedBlackTreeMapSync<ConfigResource, Arc<ConfigValues>>,
}

impl ConfigsImage {
    /// What is set for a resource; nothing if it is not known.
    pub fn of(&self, resource: &ConfigResource) -> &Arc<ConfigValues> {
        self.by_resource.get(resource).unwrap_or(&NOTHING)
    }

    /// What is set for a topic.
    pub fn of_topic(&self, name: &str) -> &Arc<ConfigValues> {
        self.of(&ConfigResource::topic(name))
    }

    /// What is set for one broker.
    pub fn of_broker(&self, id: ottla_protocol::ids::NodeId) -> &Arc<ConfigValues> {
        self.of(&ConfigResource::new(ResourceType::Broker, &id.to_string()))
    }

    /// What is set for all brokers.
    pub fn of_all_brokers(&self) -> &Arc<ConfigValues> {
        self.of(&ConfigResource {
            kind: ResourceType::Broker,
            name: Str::EMPTY,
        })
    }

    /// Every resource for which something is set, ascending by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigValues>)> {
        self.by_resource.iter()
    }

    pub(super) fn apply(&mut self, record: &ConfigRecord) {
        let resource = ConfigResource {
            kind: ResourceType::from_code(record.resource_type),
            name: record.resource_name.detached(),
        };
        let mut values = (**self.of(&resource)).clone();
        match &record.value {
            Some(value) => values.insert(record.name.detached(), value.detached()),
            None => values.remove(record.name.as_str()),
        };
        if values.is_empty() {
            self.by_resource.remove_mut(&resource);
        } else {
            self.by_resource.insert_mut(resource, Arc::new(values));
        }
    }

    pub(super) fn remove_all(&mut self, resource: &ConfigResource) {
        self.by_resource.remove_mut(resource);
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        for (resource, values) in self.by_resource.iter() {
            records.extend(values.iter().map(|(name, value)| {
                MetadataRecord::from(ConfigRecord {
                    resource_type: resource.kind.code(),
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                })
            }));
        }
    }
}
