//! Registered brokers and controllers.

use super::raw::owned;
use ottla_protocol::{
    Str,
    ids::{NodeId, Uuid},
    messages::{
        BrokerRegistrationChangeRecord, MetadataRecord, RegisterBrokerRecord, RegisterControllerRecord,
        UnregisterBrokerRecord, UnregisterControllerRecord,
        register_broker_record::{BrokerEndpoint, BrokerFeature},
    },
};
use rpds::RedBlackTreeMapSync;
use std::sync::Arc;

/// Where a broker can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: Str,
    /// The host.
    pub host: Str,
    /// The port.
    pub port: u16,
    /// The security protocol by its number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The levels of a feature that a node can work at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// The feature.
    pub name: Str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// Whether an id stands for no directory: one that is not known, not chosen yet, or lost (KIP-858). The first hundred ids
/// are Kafka's own.
pub fn is_reserved_directory(id: Uuid) -> bool {
    u128::from_be_bytes(id.0) < 100
}

/// What a broker said of itself when it registered, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Its id.
    pub id: NodeId,
    /// Which registration this is: an offset of the metadata log, so that a later one is always larger.
    pub epoch: i64,
    /// Which process it is.
    pub incarnation_id: Uuid,
    /// Its listeners, in the order of its registration.
    pub endpoints: Vec<Endpoint>,
    /// What it supports, ascending by name: the order of its registration means nothing.
    pub features: Vec<FeatureRange>,
    /// Its rack.
    pub rack: Option<Str>,
    /// Whether it is kept from leading and from clients: just registered, or silent for too long.
    pub is_fenced: bool,
    /// Whether it is about to stop.
    pub is_in_controlled_shutdown: bool,
    /// Its log directories that work.
    pub directories: Vec<Uuid>,
    /// Those of them that get no new partitions (KIP-1066); `None` where the broker never said.
    pub cordoned_directories: Option<Vec<Uuid>>,
}

impl BrokerRegistration {
    /// Whether it may lead partitions and serve clients.
    pub fn is_active(&self) -> bool {
        !self.is_fenced && !self.is_in_controlled_shutdown
    }

    /// Whether new partitions may be placed on it.
    pub fn has_uncordoned_directory(&self) -> bool {
        self.directories.is_empty() || self.uncordoned_directories().next().is_some()
    }

    /// The directories that may get new partitions.
    pub fn uncordoned_directories(&self) -> impl Iterator<Item = Uuid> {
        let cordoned = self.cordoned_directories.as_deref().unwrap_or_default();
        self.directories.iter().copied().filter(|id| !cordoned.contains(id))
    }

    /// Whether this is one of its directories that work.
    pub fn has_directory(&self, id: Uuid) -> bool {
        self.directories.contains(&id)
    }

    /// Its address for a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.listener.as_str() == listener)
    }

    fn to_record(&self) -> RegisterBrokerRecord {
        let end_points = self.endpoints.iter().map(|endpoint| BrokerEndpoint {
            name: endpoint.listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
        let features = self.features.iter().map(|range| BrokerFeature {
            name: range.name.clone(),
            min_supported_version: range.min,
            max_supported_version: range.max,
        });
        RegisterBrokerRecord {
            broker_id: self.id.0,
            is_migrating_zk_broker: false,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: end_points.collect(),
            features: features.collect(),
            rack: self.rack.clone(),
            fenced: self.is_fenced,
            in_controlled_shutdown: self.is_in_controlled_shutdown,
            log_dirs: self.directories.clone(),
            cordoned_log_dirs: self.cordoned_directories.clone(),
        }
    }
}

impl From<&RegisterBrokerRecord> for BrokerRegistration {
    fn from(record: &RegisterBrokerRecord) -> Self {
        let endpoints = record.end_points.iter().map(|endpoint| Endpoint {
            listener: endpoint.name.detached(),
            host: endpoint.host.detached(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
        let features = record.features.iter().map(|feature| FeatureRange {
            name: feature.name.detached(),
            min: feature.min_supported_version,
            max: feature.max_supported_version,
        });
        let mut features: Vec<_> = features.collect();
        features.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            id: NodeId(record.broker_id),
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: endpoints.collect(),
            features,
            rack: record.rack.as_ref().map(Str::detached),
            is_fenced: record.fenced,
            is_in_controlled_shutdown: record.in_controlled_shutdown,
            directories: record.log_dirs.clone(),
            cordoned_directories: record.cordoned_log_dirs.clone(),
        }
    }
}

/// The brokers and controllers that are registered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokersImage {
    brokers: RedBlackTreeMapSync<NodeId, Arc<BrokerRegistration>>,
    controllers: RedBlackTreeMapSync<NodeId, Arc<RegisterControllerRecord>>,
}

impl BrokersImage {
    /// The registration of a broker.
    pub fn broker(&self, id: NodeId) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&id)
    }

    /// Whether a broker may lead partitions.
    pub fn is_active(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// Every broker, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values()
    }

    /// The registration of a controller.
    pub fn controller(&self, id: NodeId) -> Option<&RegisterControllerRecord> {
        self.controllers.get(&id).map(|record| &**record)
    }

    /// Every controller, ascending by id.
    pub fn controllers(&self) -> impl Iterator<Item = &RegisterControllerRecord> {
        self.controllers.values().map(|record| &**record)
    }

    pub(super) fn apply_register(&mut self, record: &RegisterBrokerRecord) {
        self.brokers
            .insert_mut(NodeId(record.broker_id), Arc::new(record.into()));
    }

    pub(super) fn apply_unregister(&mut self, record: &UnregisterBrokerRecord) {
        self.brokers.remove_mut(&NodeId(record.broker_id));
    }

    pub(super) fn apply_fence(&mut self, id: i32, is_fenced: bool) {
        self.change(NodeId(id), |broker| broker.is_fenced = is_fenced);
    }

    /// Numbers: -1 is no longer, 0 is no change, 1 is from now on.
    pub(super) fn apply_change(&mut self, record: &BrokerRegistrationChangeRecord) {
        self.change(NodeId(record.broker_id), |broker| {
            if record.fenced != 0 {
                broker.is_fenced = record.fenced > 0;
            }
            if record.in_controlled_shutdown != 0 {
                broker.is_in_controlled_shutdown = record.in_controlled_shutdown > 0;
            }
            if !record.log_dirs.is_empty() {
                broker.directories = record.log_dirs.clone();
            }
            if let Some(cordoned) = &record.cordoned_log_dirs {
                broker.cordoned_directories = Some(cordoned.clone());
            }
        });
    }

    fn change(&mut self, id: NodeId, change: impl FnOnce(&mut BrokerRegistration)) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            change(Arc::make_mut(broker));
        }
    }

    pub(super) fn apply_register_controller(&mut self, record: &RegisterControllerRecord) {
        self.controllers
            .insert_mut(NodeId(record.controller_id), Arc::new(owned(record)));
    }

    pub(super) fn apply_unregister_controller(&mut self, record: &UnregisterControllerRecord) {
        self.controllers.remove_mut(&NodeId(record.controller_id));
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.iter().map(|broker| MetadataRecord::from(broker.to_record())));
        records.extend(self.controllers().cloned().map(MetadataRecord::from));
    }
}
