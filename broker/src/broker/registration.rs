//! This node's registration with the controller, which runs in the same process.

use super::Broker;
use crate::{
    log_store::{Assignment, Directory, new_id},
    runtime::controller::Turn,
};
use anyhow::Context;
use ottla_protocol::{
    ids::{Offset, Uuid},
    messages::{
        AssignReplicasToDirsRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest,
        assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData},
        broker_registration_request::{Feature, Listener},
    },
};
use ottla_replication::config::{CORDONED_LOG_DIRS, Value, cordoned_log_dirs};
use ottla_replication::controller::{
    BootstrapOptions, Controller, Outcome, RegistrationContext, SUPPORTED_FEATURES, bootstrap_records,
};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

/// Each is a record, and the records of a request are one batch.
const ASSIGNMENTS_PER_REQUEST: usize = 2_000;

/// The number of the security protocol.
const PLAINTEXT: i16 = 0;

impl Broker {
    /// Writes the first records of a new cluster.
    ///
    /// # Errors
    /// The broker stops.
    pub(super) async fn bootstrap(&self, options: BootstrapOptions) -> anyhow::Result<()> {
        let write = move |_: &Controller, _: &mut Turn| Outcome {
            records: bootstrap_records(&options),
            response: (),
        };
        Ok(self.controller.write(write).await?)
    }

    /// Registers this process, and has it unfenced: partitions get their leaders.
    ///
    /// # Errors
    /// The controller refuses this node.
    pub(super) async fn register(&self, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        let request = self.registration(addresses);
        let register = move |controller: &Controller, turn: &mut Turn| {
            // The lock on the log directories shows that no earlier process of this node is alive.
            let context = RegistrationContext {
                next_offset: turn.next_offset,
                has_live_session: false,
            };
            transposed(controller.handle_broker_registration(&request, context))
        };
        let registered = self
            .controller
            .write(register)
            .await?
            .context("the controller refuses this node")?;
        self.broker_epoch.store(registered.broker_epoch, Ordering::Release);
        self.heartbeat().await.context("the controller keeps this node fenced")
    }

    /// Tells the controller that this process is alive, and of its log directories: which have failed, which are
    /// cordoned.
    ///
    /// # Errors
    /// The broker stops, or a later process has taken its place.
    pub(crate) async fn heartbeat(&self) -> anyhow::Result<()> {
        let offline = self.logs.directories().iter().filter(|dir| dir.is_offline());
        let heartbeat = BrokerHeartbeatRequest {
            broker_id: self.node_id.0,
            broker_epoch: self.broker_epoch.load(Ordering::Acquire),
            current_metadata_offset: Offset::MAX,
            offline_log_dirs: offline.filter_map(|dir| dir.id()).collect(),
            cordoned_log_dirs: Some(self.cordoned_ids()),
            ..Default::default()
        };
        let decide =
            move |controller: &Controller, _: &mut Turn| transposed(controller.handle_broker_heartbeat(&heartbeat));
        self.controller.write(decide).await??;
        Ok(())
    }

    /// The ids of the directories that get no new logs (`cordoned.log.dirs`).
    fn cordoned_ids(&self) -> Vec<Uuid> {
        let cordoned = self.cordoned_paths();
        let is_cordoned = |dir: &&Arc<Directory>| cordoned.contains(&dir.path().display().to_string());
        let dirs = self.logs.directories().iter().filter(is_cordoned);
        dirs.filter_map(|dir| dir.id()).collect()
    }

    /// The directories that get no new logs, as tools name them.
    pub(crate) fn cordoned_paths(&self) -> Vec<String> {
        let image = self.image.load();
        if !image.features().can_cordon() {
            return Vec::new();
        }
        let value = match self.layers(&image).broker_value(CORDONED_LOG_DIRS) {
            Some(Value::List(named)) => named.join(","),
            _ => String::new(),
        };
        let names = self.config.log_dir_names();
        // It was checked when it was set.
        let cordoned = cordoned_log_dirs(&value, &names).unwrap_or_default();
        cordoned.into_iter().cloned().collect()
    }

    /// Tells the controller of replicas that lie in other directories than the metadata say.
    ///
    /// # Errors
    /// The broker stops, or a later process has taken its place.
    pub(crate) async fn assign_directories(&self) -> anyhow::Result<()> {
        let unassigned = self.logs.take_unassigned();
        if !self.image.load().features().has_directories() {
            return Ok(());
        }
        for (number, some) in unassigned.chunks(ASSIGNMENTS_PER_REQUEST).enumerate() {
            if let Err(error) = self.assign(some).await {
                // They are told with the next news.
                let left = &unassigned[number * ASSIGNMENTS_PER_REQUEST..];
                self.logs.keep_unassigned(left);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Tells the controller where these replicas lie.
    ///
    /// # Errors
    /// The broker stops, or a later process has taken its place.
    pub(crate) async fn assign(&self, assignments: &[Assignment]) -> anyhow::Result<()> {
        let request = AssignReplicasToDirsRequest {
            broker_id: self.node_id.0,
            broker_epoch: self.broker_epoch.load(Ordering::Acquire),
            directories: assignments.iter().map(directory_data).collect(),
        };
        let decide = move |controller: &Controller, _: &mut Turn| {
            transposed(controller.handle_assign_replicas_to_dirs(&request))
        };
        self.controller.write(decide).await??;
        Ok(())
    }

    fn registration(&self, addresses: &[SocketAddr]) -> BrokerRegistrationRequest {
        let advertised = self.config.advertised_listeners.iter().zip(addresses);
        let listeners = advertised.map(|(endpoint, bound)| Listener {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: if endpoint.port == 0 {
                bound.port()
            } else {
                endpoint.port
            },
            security_protocol: PLAINTEXT,
        });
        let features = SUPPORTED_FEATURES.iter().map(|feature| Feature {
            name: feature.name.into(),
            min_supported_version: feature.min,
            max_supported_version: feature.max,
        });
        BrokerRegistrationRequest {
            broker_id: self.node_id.0,
            cluster_id: self.cluster_id.clone(),
            incarnation_id: new_id(),
            listeners: listeners.collect(),
            features: features.collect(),
            rack: self.config.rack.clone(),
            log_dirs: self.logs.directory_ids(),
            previous_broker_epoch: self.logs.clean_shutdown_epoch(),
            ..Default::default()
        }
    }
}

fn directory_data(assignment: &Assignment) -> DirectoryData {
    let partition = PartitionData {
        partition_index: assignment.index,
    };
    let topic = TopicData {
        topic_id: assignment.topic_id,
        partitions: vec![partition],
    };
    DirectoryData {
        id: assignment.directory,
        topics: vec![topic],
    }
}

/// A refusal changes nothing.
pub(super) fn transposed<R, E>(decided: Result<Outcome<R>, E>) -> Outcome<Result<R, E>> {
    match decided {
        Ok(Outcome { records, response }) => Outcome {
            records,
            response: Ok(response),
        },
        Err(error) => Outcome::unchanged(Err(error)),
    }
}
