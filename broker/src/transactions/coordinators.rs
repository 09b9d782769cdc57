//! Routes transactional ids to the shards that coordinate them, and starts those.
//!
//! An id belongs to the partition of `__transaction_state` that it hashes to; whoever leads that partition coordinates
//! it.

use crate::{
    broker::Broker,
    config::BrokerConfig,
    coordinators::{leader_for, led_partition, led_partitions},
    partitions::Partition,
    runtime::transaction_shard::{self, Setting, ShardHandle},
    stop::Stop,
};
use hashbrown::HashMap;
use ottla_coordinator::{Decision, Now, TransactionSummary, Transactions, TransactionsConfig};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{NodeId, Uuid},
};
use ottla_replication::config::Layers;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinHandle};

/// The topic that holds transactions.
const STATE_TOPIC: &str = "__transaction_state";

/// Shards that load at the same time.
const LOADING: usize = 2;

/// The coordinators of transactions of this broker.
pub(crate) struct TransactionCoordinators {
    config: TransactionsConfig,
    shards: Mutex<HashMap<(Uuid, i32), Running>>,
    stop: Arc<Stop>,
    loading: Arc<Semaphore>,
}

struct Running {
    handle: ShardHandle,
    task: JoinHandle<()>,
}

impl TransactionCoordinators {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        Self {
            config: transactions_config(config.layers()),
            shards: Mutex::default(),
            stop: Arc::default(),
            loading: Arc::new(Semaphore::new(LOADING)),
        }
    }

    /// Loads what the logs have: what was prepared is ended, what is past its timeout aborted, without being asked.
    pub(crate) fn start(&self, broker: &Arc<Broker>) {
        for partition in led_partitions(broker, STATE_TOPIC) {
            if partition.log().log_end_offset() > partition.log().log_start_offset() {
                self.shard(broker, &partition);
            }
        }
    }

    /// Has the coordinator of `id` decide, and waits until what it decided is committed.
    ///
    /// # Errors
    /// What the client is told: this broker does not coordinate the id, or not yet, or not any more.
    pub(crate) async fn decide<R: Send + 'static>(
        &self,
        broker: &Arc<Broker>,
        id: &Str,
        decide: impl FnOnce(&mut Transactions, Now) -> Decision<R> + Send + 'static,
    ) -> Result<R, ErrorCode> {
        let partition = led_partition(broker, STATE_TOPIC, id)?;
        self.shard(broker, &partition).decide(decide).await
    }

    /// As [`TransactionCoordinators::decide`], once more when the transaction that the id has in hand is complete, if
    /// `is_early` says so of the answer; not later than after `patience`.
    ///
    /// # Errors
    /// As [`TransactionCoordinators::decide`].
    pub(crate) async fn decide_after_end<R: Send + 'static>(
        &self,
        broker: &Arc<Broker>,
        id: &Str,
        patience: Duration,
        decide: impl Fn(&mut Transactions, Now) -> Decision<R> + Clone + Send + 'static,
        is_early: impl Fn(&R) -> bool,
    ) -> Result<R, ErrorCode> {
        let partition = led_partition(broker, STATE_TOPIC, id)?;
        let shard = self.shard(broker, &partition);
        shard.decide_after_end(id, patience, decide, is_early).await
    }

    /// Looks at all transactions that this broker coordinates, once all that was decided before is committed.
    ///
    /// # Errors
    /// As [`TransactionCoordinators::decide`]: one coordinator that cannot be asked leaves no answer.
    pub(crate) async fn look_at_all<R: Send + 'static>(
        &self,
        broker: &Arc<Broker>,
        look: impl Fn(&Transactions, Now) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>, ErrorCode> {
        let look = Arc::new(look);
        let partitions = led_partitions(broker, STATE_TOPIC);
        let shards: Vec<ShardHandle> = partitions
            .iter()
            .map(|partition| self.shard(broker, partition))
            .collect();
        let mut seen = Vec::with_capacity(shards.len());
        for shard in shards {
            let look = look.clone();
            let looked = shard.decide(move |transactions, now| Decision {
                records: Vec::new(),
                reply: look(transactions, now),
            });
            seen.push(looked.await?);
        }
        Ok(seen)
    }

    /// The transactions of all shards that have loaded, in few words; starts none.
    pub(crate) async fn summaries(&self) -> TransactionSummary {
        let shards = {
            let shards = self.shards.lock();
            let handles = shards.values().map(|running| running.handle.clone());
            handles.collect::<Vec<ShardHandle>>()
        };
        let mut all = TransactionSummary::default();
        for shard in shards.into_iter().filter(ShardHandle::is_loaded) {
            let looked = shard.decide(|transactions, _| Decision {
                records: Vec::new(),
                reply: transactions.summary(),
            });
            // One that ends at this moment is counted the next time.
            all.add(looked.await.unwrap_or_default());
        }
        all
    }

    /// The leader of the partition that holds `id`; the topic is created if there is none.
    ///
    /// # Errors
    /// The topic cannot be created, or the partition has no leader.
    pub(crate) async fn leader_for(&self, broker: &Broker, id: &Str) -> Result<NodeId, ErrorCode> {
        leader_for(broker, STATE_TOPIC, id).await
    }

    /// The shard of a partition; one that has ended is replaced.
    fn shard(&self, broker: &Arc<Broker>, partition: &Arc<Partition>) -> ShardHandle {
        let mut shards = self.shards.lock();
        let key = (partition.topic_id, partition.index);
        if let Some(running) = shards.get(&key).filter(|running| !running.handle.has_ended()) {
            return running.handle.clone();
        }
        let (handle, task) = transaction_shard::start(Setting {
            partition: partition.clone(),
            config: self.config.clone(),
            stop: self.stop.clone(),
            loading: self.loading.clone(),
            broker: Arc::downgrade(broker),
        });
        let running = Running {
            handle: handle.clone(),
            task,
        };
        shards.insert(key, running);
        handle
    }

    /// Ends all shards.
    pub(crate) async fn stop(&self) {
        self.stop.request();
        let shards: Vec<Running> = self.shards.lock().drain().map(|(_, running)| running).collect();
        for running in shards {
            // A panic there has been reported by its own hook.
            let _ = running.task.await;
        }
    }
}

fn transactions_config(layers: Layers<'_>) -> TransactionsConfig {
    TransactionsConfig {
        max_timeout_ms: i32::try_from(layers.broker_number("transaction.max.timeout.ms")).unwrap_or(i32::MAX),
        id_expiration_ms: layers.broker_number("transactional.id.expiration.ms"),
        abort_interval_ms: layers.broker_number("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
        expiry_interval_ms: layers.broker_number("transaction.remove.expired.transaction.cleanup.interval.ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_kafkas_unless_the_file_says_otherwise() {
        assert_eq!(transactions_config(Layers::defaults()), TransactionsConfig::default());
    }
}
