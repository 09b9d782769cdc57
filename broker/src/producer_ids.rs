//! Hands out producer ids from blocks that the controller allocates (KIP-730): never the same twice, restarts
//! included.

use crate::broker::Broker;
use ottla_protocol::{ErrorCode, ids::ProducerId};
use std::ops::Range;
use tokio::sync::Mutex;

/// The rest of the block in use.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds(Mutex<Range<i64>>);

impl ProducerIds {
    /// The next id; asks the controller for a block where the last one is used up.
    ///
    /// # Errors
    /// The controller gave no block.
    pub(crate) async fn next(&self, broker: &Broker) -> Result<ProducerId, ErrorCode> {
        let mut block = self.0.lock().await;
        if block.is_empty() {
            *block = broker.allocate_producer_ids().await?;
        }
        block.next().map(ProducerId).ok_or(ErrorCode::CoordinatorNotAvailable)
    }
}
