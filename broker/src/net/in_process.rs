//! A broker that is handed frames instead of reading them from sockets, to count what a request costs.
//!
//! A frame takes the way that it takes in a connection, from the table of the APIs to the encoded answer. What is missing
//! is the socket: without it everything happens in the thread of the caller, once and in the same order each time, so
//! instructions can be counted. broker/examples/costs.rs does; the binary has no use for this.

use super::{
    connection::Peer,
    in_flight::{InFlight, Progress},
    reply::{Piece, Reply},
};
use crate::{
    api::table,
    broker::{self, Running},
    config::BrokerConfig,
    runtime::housekeeping,
};
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// A broker in this process, and one client of it.
pub struct InProcess {
    running: Running,
    peer: Arc<Peer>,
}

/// An answer as it would be sent.
pub struct Answer(Reply);

impl Answer {
    /// How many bytes it has, its length included.
    pub fn len_bytes(&self) -> usize {
        self.0.len()
    }

    /// All of it, unless a part would be sent from a file.
    pub fn into_bytes(self) -> Option<Bytes> {
        let mut whole = BytesMut::new();
        for piece in self.0.pieces {
            match piece {
                Piece::Bytes(bytes) => whole.extend_from_slice(&bytes),
                Piece::File(_) => return None,
            }
        }
        Some(whole.freeze())
    }
}

impl InProcess {
    /// Starts a broker with these values (`KEY=VALUE`), within a runtime, which should have one thread.
    ///
    /// # Errors
    /// As of `ottla serve`.
    pub async fn start(overrides: &[String]) -> anyhow::Result<Self> {
        let (config, _) = BrokerConfig::load(None, overrides)?;
        let listener = config.listeners.first().context("there is a listener")?.name.clone();
        let running = broker::start(config).await?;
        let address = running.addresses().first().copied();
        let peer = Peer {
            address: address.context("the listener has an address")?,
            listener: listener.as_str().into(),
            metrics: running.broker().metrics.clone(),
        };
        Ok(Self {
            running,
            peer: Arc::new(peer),
        })
    }

    /// The answer to a request; `frame` is what follows the length. None to a produce with acks=0.
    ///
    /// # Errors
    /// The connection would be closed.
    pub async fn answer(&self, frame: Bytes) -> anyhow::Result<Option<Answer>> {
        let mut in_flight = InFlight::default();
        let mut begun = table::begin(self.running.broker(), &self.peer, frame)?;
        loop {
            let answered = in_flight.take(begun)?;
            if answered.is_some() || in_flight.is_empty() {
                return Ok(answered.map(Answer));
            }
            match in_flight.progress().await? {
                Progress::Answered(reply) => return Ok(reply.map(Answer)),
                Progress::Begun(next) => begun = next,
            }
        }
    }

    /// One round of housekeeping in which everything is due.
    pub fn keep_house(&self) {
        housekeeping::round(self.running.broker());
    }

    /// Stops.
    ///
    /// # Errors
    /// The logs could not be closed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await
    }
}
