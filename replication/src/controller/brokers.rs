//! Registration, heartbeats and departure of brokers, and registration of controllers.

use super::{Controller, Outcome, elections::BrokerEvent, text};
use crate::image::{BrokerRegistration, is_reserved_directory};
use ottla_protocol::{
    ErrorCode,
    ids::{NodeId, Offset, Uuid},
    messages::{
        BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationChangeRecord, BrokerRegistrationRequest,
        BrokerRegistrationResponse, ControllerRegistrationRequest, ControllerRegistrationResponse, MetadataRecord,
        RegisterBrokerRecord, RegisterControllerRecord, UnregisterBrokerRecord, UnregisterBrokerRequest,
        UnregisterBrokerResponse, UnregisterControllerRecord, UnregisterControllerRequest,
        UnregisterControllerResponse, register_broker_record, register_controller_record,
    },
};
use std::collections::BTreeSet;

/// What a registration depends on besides the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationContext {
    /// The offset that the first record of the outcome will get: the broker's epoch.
    pub next_offset: Offset,
    /// Whether another process with this id sent a heartbeat lately. A node that registers itself knows that its last
    /// process is gone.
    pub has_live_session: bool,
}

/// Why a broker may not register. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum RegistrationError {
    #[error("Expected cluster ID {expected}, but got cluster ID {found}")]
    OtherCluster { expected: String, found: String },
    #[error(
        "Another broker is registered with that broker id. If the broker was recently restarted this should \
         self-resolve once the heartbeat manager expires the broker's session."
    )]
    Duplicate,
    #[error("Controller does not support registering ZK brokers.")]
    ZkBroker,
    #[error("No directories specified in request")]
    NoDirectory,
    #[error("Reserved directory ID in request")]
    ReservedDirectory,
    #[error("Duplicate directory ID in request")]
    RepeatedDirectory,
    #[error("Broker {broker} is already registered with directory {directory}")]
    DirectoryOfOther { broker: NodeId, directory: Uuid },
    #[error(
        "Unable to register because the broker does not support finalized version {level} of {feature}. The broker \
         wants a version between {min} and {max}, inclusive."
    )]
    Feature {
        feature: String,
        level: i16,
        min: i16,
        max: i16,
    },
}

impl RegistrationError {
    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OtherCluster { .. } => ErrorCode::InconsistentClusterId,
            Self::Duplicate => ErrorCode::DuplicateBrokerRegistration,
            Self::ZkBroker => ErrorCode::BrokerIdNotRegistered,
            Self::Feature { .. } => ErrorCode::UnsupportedVersion,
            Self::NoDirectory | Self::ReservedDirectory | Self::RepeatedDirectory | Self::DirectoryOfOther { .. } => {
                ErrorCode::InvalidRegistration
            }
        }
    }
}

/// Why a heartbeat is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum HeartbeatError {
    #[error("No broker registration found for broker id {0}")]
    NotRegistered(NodeId),
    #[error("Expected broker epoch {expected}, but got broker epoch {found}")]
    StaleEpoch { expected: i64, found: i64 },
}

impl HeartbeatError {
    /// The code on the wire.
    pub fn code(self) -> ErrorCode {
        ErrorCode::StaleBrokerEpoch
    }
}

impl Controller {
    /// BrokerRegistration: a broker starts, fenced until its first heartbeats.
    ///
    /// A new process of a known broker takes over: it leads nothing until it is unfenced, and unless the last one
    /// stopped cleanly (it says with which epoch), its replicas no longer count as having everything.
    ///
    /// # Errors
    /// The broker does not belong here, or an older process of it may still be alive.
    pub fn handle_broker_registration(
        &self,
        request: &BrokerRegistrationRequest,
        context: RegistrationContext,
    ) -> Result<Outcome<BrokerRegistrationResponse>, RegistrationError> {
        let id = NodeId(request.broker_id);
        let existing = self.image.brokers().broker(id);
        let same_process = existing.filter(|broker| broker.incarnation_id == request.incarnation_id);
        self.check_registration(
            request,
            existing.is_some() && same_process.is_none() && context.has_live_session,
        )?;
        let mut record = register_record(request);
        let mut records = Vec::new();
        match same_process {
            Some(broker) => {
                record.broker_epoch = broker.epoch;
                record.fenced = broker.is_fenced;
                record.in_controlled_shutdown = broker.is_in_controlled_shutdown;
            }
            None => {
                record.broker_epoch = context.next_offset;
                let was_clean = existing.is_some_and(|broker| broker.epoch == request.previous_broker_epoch);
                let has_no_eligible_replicas = !self.image.features().is_elr_enabled();
                let event = if was_clean || has_no_eligible_replicas {
                    BrokerEvent::Leaves(id)
                } else {
                    BrokerEvent::LostItsTail(id)
                };
                records.extend(self.changes_after(event));
            }
        }
        let broker_epoch = record.broker_epoch;
        records.push(record.into());
        let response = BrokerRegistrationResponse {
            error_code: 0,
            broker_epoch,
            ..Default::default()
        };
        Ok(Outcome { records, response })
    }

    fn check_registration(
        &self,
        request: &BrokerRegistrationRequest,
        may_be_alive: bool,
    ) -> Result<(), RegistrationError> {
        if request.cluster_id != self.settings.cluster_id.as_str() {
            let (expected, found) = (self.settings.cluster_id.clone(), request.cluster_id.to_string());
            return Err(RegistrationError::OtherCluster { expected, found });
        }
        if may_be_alive {
            return Err(RegistrationError::Duplicate);
        }
        if request.is_migrating_zk_broker {
            return Err(RegistrationError::ZkBroker);
        }
        self.check_directories(request)?;
        self.check_features(request)
    }

    fn check_directories(&self, request: &BrokerRegistrationRequest) -> Result<(), RegistrationError> {
        if request.log_dirs.is_empty() {
            return Err(RegistrationError::NoDirectory);
        }
        if request.log_dirs.iter().copied().any(is_reserved_directory) {
            return Err(RegistrationError::ReservedDirectory);
        }
        if request.log_dirs.iter().collect::<BTreeSet<_>>().len() < request.log_dirs.len() {
            return Err(RegistrationError::RepeatedDirectory);
        }
        let others = self
            .image
            .brokers()
            .iter()
            .filter(|broker| broker.id.0 != request.broker_id);
        for broker in others {
            if let Some(directory) = request.log_dirs.iter().find(|id| broker.directories.contains(id)) {
                return Err(RegistrationError::DirectoryOfOther {
                    broker: broker.id,
                    directory: *directory,
                });
            }
        }
        Ok(())
    }

    fn check_features(&self, request: &BrokerRegistrationRequest) -> Result<(), RegistrationError> {
        for (feature, level) in self.image.features().levels() {
            let offered = request.features.iter().find(|offered| offered.name == *feature);
            let (min, max) = offered.map_or((0, 0), |offered| {
                (offered.min_supported_version, offered.max_supported_version)
            });
            if !(min..=max).contains(level) {
                let feature = feature.to_string();
                return Err(RegistrationError::Feature {
                    feature,
                    level: *level,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }

    /// BrokerHeartbeat: the broker is alive, has read the metadata log to some offset, and may want to stop.
    ///
    /// A fenced broker that has read its own registration is unfenced and may lead. One that wants to stop first gives
    /// up what it leads, and is told to stop by its next heartbeat, once it leads nothing.
    ///
    /// # Errors
    /// The broker is not registered, or a later process of it is.
    pub fn handle_broker_heartbeat(
        &self,
        request: &BrokerHeartbeatRequest,
    ) -> Result<Outcome<BrokerHeartbeatResponse>, HeartbeatError> {
        let id = NodeId(request.broker_id);
        let broker = self.registered(id, request.broker_epoch)?;
        let is_caught_up = request.current_metadata_offset >= broker.epoch;
        let mut response = BrokerHeartbeatResponse {
            is_caught_up,
            is_fenced: broker.is_fenced,
            should_shut_down: false,
            ..Default::default()
        };
        let mut records = Vec::new();
        if request.want_shut_down {
            response.should_shut_down = broker.is_fenced || !self.leads_anything(id);
            match (broker.is_fenced, response.should_shut_down) {
                (true, _) => {}
                (false, true) => records = self.fence(broker),
                (false, false) => records = self.enter_controlled_shutdown(broker),
            }
        } else if request.want_fence && !broker.is_fenced {
            records = self.fence(broker);
        } else if !request.want_fence && broker.is_fenced && is_caught_up {
            records = self.unfence(broker);
            response.is_fenced = false;
        }
        response.is_fenced |= records.iter().any(is_fencing);
        records.extend(self.cordoning(broker, request));
        records.extend(self.failed_directories(broker, request));
        Ok(Outcome { records, response })
    }

    /// The registration that a request is of.
    pub(super) fn registered(&self, id: NodeId, epoch: i64) -> Result<&BrokerRegistration, HeartbeatError> {
        let broker = self.image.brokers().broker(id);
        let broker = broker.ok_or(HeartbeatError::NotRegistered(id))?;
        match broker.epoch == epoch {
            true => Ok(broker),
            false => Err(HeartbeatError::StaleEpoch {
                expected: broker.epoch,
                found: epoch,
            }),
        }
    }

    /// The cordoned directories that a heartbeat tells (KIP-1066), where they are news and can be written down.
    fn cordoning(&self, broker: &BrokerRegistration, request: &BrokerHeartbeatRequest) -> Option<MetadataRecord> {
        let told = request.cordoned_log_dirs.as_ref()?;
        let is_news = broker.cordoned_directories.as_ref() != Some(told) && self.image.features().can_cordon();
        is_news.then(|| {
            BrokerRegistrationChangeRecord {
                cordoned_log_dirs: Some(told.clone()),
                ..change_of(broker)
            }
            .into()
        })
    }

    /// A broker that has been silent for `broker.session.timeout.ms`: others take over what it leads.
    pub fn handle_session_timeout(&self, id: NodeId) -> Outcome<()> {
        let active = self.image.brokers().broker(id).filter(|broker| !broker.is_fenced);
        Outcome {
            records: active.map(|broker| self.fence(broker)).unwrap_or_default(),
            response: (),
        }
    }

    fn leads_anything(&self, id: NodeId) -> bool {
        self.image
            .topics()
            .iter()
            .any(|topic| topic.partitions().any(|(_, partition)| partition.leader == id))
    }

    fn fence(&self, broker: &BrokerRegistration) -> Vec<MetadataRecord> {
        let mut records = self.changes_after(BrokerEvent::Leaves(broker.id));
        records.push(
            BrokerRegistrationChangeRecord {
                fenced: 1,
                ..change_of(broker)
            }
            .into(),
        );
        records
    }

    fn unfence(&self, broker: &BrokerRegistration) -> Vec<MetadataRecord> {
        let mut records = vec![
            BrokerRegistrationChangeRecord {
                fenced: -1,
                ..change_of(broker)
            }
            .into(),
        ];
        records.extend(self.changes_after(BrokerEvent::Joins(broker.id)));
        records
    }

    fn enter_controlled_shutdown(&self, broker: &BrokerRegistration) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if !broker.is_in_controlled_shutdown {
            records.push(
                BrokerRegistrationChangeRecord {
                    in_controlled_shutdown: 1,
                    ..change_of(broker)
                }
                .into(),
            );
        }
        records.extend(self.changes_after(BrokerEvent::Leaves(broker.id)));
        records
    }

    /// UnregisterBroker: forgets a broker for good.
    pub fn handle_unregister_broker(&self, request: &UnregisterBrokerRequest) -> Outcome<UnregisterBrokerResponse> {
        let id = NodeId(request.broker_id);
        let Some(broker) = self.image.brokers().broker(id) else {
            return Outcome::unchanged(UnregisterBrokerResponse {
                error_code: ErrorCode::BrokerIdNotRegistered as i16,
                error_message: text(format!("Broker ID {id} is not currently registered")),
                ..Default::default()
            });
        };
        let mut records = self.changes_after(BrokerEvent::Leaves(id));
        records.push(
            UnregisterBrokerRecord {
                broker_id: id.0,
                broker_epoch: broker.epoch,
            }
            .into(),
        );
        Outcome {
            records,
            response: UnregisterBrokerResponse {
                error_message: None,
                ..Default::default()
            },
        }
    }

    /// ControllerRegistration: what a controller is and supports.
    pub fn handle_controller_registration(
        &self,
        request: &ControllerRegistrationRequest,
    ) -> Outcome<ControllerRegistrationResponse> {
        let end_points = request
            .listeners
            .iter()
            .map(|listener| register_controller_record::ControllerEndpoint {
                name: listener.name.clone(),
                host: listener.host.clone(),
                port: listener.port,
                security_protocol: listener.security_protocol,
            });
        let features = request
            .features
            .iter()
            .map(|feature| register_controller_record::ControllerFeature {
                name: feature.name.clone(),
                min_supported_version: feature.min_supported_version,
                max_supported_version: feature.max_supported_version,
            });
        let record = RegisterControllerRecord {
            controller_id: request.controller_id,
            incarnation_id: request.incarnation_id,
            zk_migration_ready: request.zk_migration_ready,
            end_points: end_points.collect(),
            features: features.collect(),
        };
        let response = ControllerRegistrationResponse {
            error_message: None,
            ..Default::default()
        };
        Outcome {
            records: vec![record.into()],
            response,
        }
    }

    /// UnregisterController (KIP-1312): forgets a controller.
    pub fn handle_unregister_controller(
        &self,
        request: &UnregisterControllerRequest,
    ) -> Outcome<UnregisterControllerResponse> {
        let id = NodeId(request.controller_id);
        if self.image.brokers().controller(id).is_none() {
            return Outcome::unchanged(UnregisterControllerResponse {
                error_code: ErrorCode::ControllerIdNotRegistered as i16,
                error_message: text(format!("Controller ID {id} is not currently registered.")),
                ..Default::default()
            });
        }
        let records = vec![UnregisterControllerRecord { controller_id: id.0 }.into()];
        Outcome {
            records,
            response: UnregisterControllerResponse {
                error_message: None,
                ..Default::default()
            },
        }
    }
}

fn register_record(request: &BrokerRegistrationRequest) -> RegisterBrokerRecord {
    let end_points = request
        .listeners
        .iter()
        .map(|listener| register_broker_record::BrokerEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
    let features = request
        .features
        .iter()
        .map(|feature| register_broker_record::BrokerFeature {
            name: feature.name.clone(),
            min_supported_version: feature.min_supported_version,
            max_supported_version: feature.max_supported_version,
        });
    RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        end_points: end_points.collect(),
        features: features.collect(),
        rack: request.rack.clone(),
        log_dirs: request.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    }
}

pub(super) fn change_of(broker: &BrokerRegistration) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch,
        ..Default::default()
    }
}

fn is_fencing(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::BrokerRegistrationChange(change) if change.fenced > 0)
}

#[cfg(test)]
mod tests;
