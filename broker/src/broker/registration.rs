//! This node's registration with the controller, which runs in the same process.

use super::Broker;
use crate::{log_store::new_id, runtime::controller::Turn};
use anyhow::Context;
use ottla_protocol::{
    ids::Offset,
    messages::{
        BrokerHeartbeatRequest, BrokerRegistrationRequest,
        broker_registration_request::{Feature, Listener},
    },
};
use ottla_replication::controller::{
    BootstrapOptions, Controller, Outcome, RegistrationContext, SUPPORTED_FEATURES, bootstrap_records,
};
use std::{net::SocketAddr, sync::atomic::Ordering};

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
        let heartbeat = BrokerHeartbeatRequest {
            broker_id: self.node_id.0,
            broker_epoch: registered.broker_epoch,
            current_metadata_offset: Offset::MAX,
            ..Default::default()
        };
        let unfence =
            move |controller: &Controller, _: &mut Turn| transposed(controller.handle_broker_heartbeat(&heartbeat));
        self.controller
            .write(unfence)
            .await?
            .context("the controller keeps this node fenced")?;
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
