//! This node's registration with the controller.

use super::Broker;
use ottla_protocol::messages::{RegisterBrokerRecord, register_broker_record::BrokerEndpoint};
use std::net::SocketAddr;

impl Broker {
    /// Registers this node.
    pub(crate) async fn register(&self, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        let mut r = RegisterBrokerRecord {
            broker_id: self.node_id.0,
            broker_epoch: 1,
            ..Default::default()
        };
        r.fenced = false;
        for (e, a) in self.config.advertised_listeners.iter().zip(addresses) {
            r.end_points.push(BrokerEndpoint {
                name: e.name.clone(),
                host: e.host.clone(),
                port: if e.port == 0 { a.port() } else { e.port },
                security_protocol: 0,
            });
        }
        self.controller.write(move |c, _| c.register_stub(r)).await?;
        Ok(())
    }
}
