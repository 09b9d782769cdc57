//! What follows when a log directory fails, is cordoned, or gets logs that the metadata do not know of.

use crate::broker::Broker;
use std::sync::Arc;

/// Waits for news of the directories, and deals with them, until the broker stops.
pub(crate) async fn watch(broker: Arc<Broker>) {
    loop {
        tokio::select! {
            () = broker.logs.siblings().news.notified() => {}
            () = broker.stop.requested() => return,
        }
        take_partitions_offline(&broker);
        // One that has been taken over by a later process has no business with the controller any more.
        for told in [broker.heartbeat().await, broker.assign_directories().await] {
            if let Err(error) = told {
                tracing::debug!(%error, "the controller was not told of the log directories");
            }
        }
    }
}

/// Whoever waits for partitions in a directory that has failed is told.
fn take_partitions_offline(broker: &Broker) {
    let mut failed = broker.partitions.all();
    failed.retain(|partition| partition.is_offline() && !partition.log().is_offline());
    failed.iter().for_each(|partition| partition.fail());
}
