//! Routes groups to the shards that coordinate them, and starts those.
//!
//! A group belongs to the partition of `__consumer_offsets` that its id hashes to; whoever leads that partition
//! coordinates the group.

mod view;

pub(crate) use view::ImageView;

use crate::{
    broker::Broker,
    config::BrokerConfig,
    markers::Marker,
    partitions::Partition,
    runtime::coordinator_shard::{self, Producer, Setting, ShardHandle},
    stop::Stop,
};
use hashbrown::HashMap;
use ottla_coordinator::{
    Actions, Assignor, GroupCommit, GroupSummary, Groups, GroupsConfig, MigrationPolicy, Now, Reply, Ticket,
    TransactionalCommit, partition_for,
};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{NodeId, Uuid},
    messages::OffsetCommitResponse,
};
use ottla_replication::{
    config::{Layers, Value},
    image::{Changes, MetadataImage, TopicImage},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// The topic that holds groups and offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Shards that load at the same time.
const LOADING: usize = 2;

/// The coordinators of this broker.
pub(crate) struct Coordinators {
    config: GroupsConfig,
    shards: Mutex<HashMap<(Uuid, i32), Running>>,
    stop: Arc<Stop>,
    loading: Arc<Semaphore>,
    /// What the groups see of the cluster.
    view: watch::Sender<Arc<ImageView>>,
}

/// What the shards have shown of their groups.
#[derive(Default)]
pub(crate) struct GroupsSeen {
    /// Each with what it has committed, of which some may be left out.
    pub(crate) groups: Vec<(GroupSummary, Vec<GroupCommit>)>,
    pub(crate) rebalances: u64,
    /// Shards that cannot be asked now.
    pub(crate) unavailable: usize,
}

struct Running {
    handle: ShardHandle,
    task: JoinHandle<()>,
}

impl Coordinators {
    /// Coordinators of a broker that starts with this image.
    pub(crate) fn new(config: &BrokerConfig, image: Arc<MetadataImage>) -> Self {
        Self {
            config: groups_config(config.layers()),
            shards: Mutex::default(),
            stop: Arc::default(),
            loading: Arc::new(Semaphore::new(LOADING)),
            view: watch::Sender::new(Arc::new(ImageView::first(config, image))),
        }
    }

    /// The settings that groups are held against.
    pub(crate) fn config(&self) -> &GroupsConfig {
        &self.config
    }

    /// Loads what the logs have, so that it is there when it is asked for, and ages without being asked for.
    pub(crate) fn start(&self, broker: &Broker) {
        for partition in led_partitions(broker, OFFSETS_TOPIC) {
            if partition.log().log_end_offset() > partition.log().log_start_offset() {
                self.shard(&partition);
            }
        }
    }

    /// Has the coordinator of `group` decide, and waits for the answer, or for when it comes later.
    ///
    /// # Errors
    /// What the client is told: this broker does not coordinate the group, or not yet, or not any more.
    pub(crate) async fn decide(
        &self,
        broker: &Broker,
        group: &Str,
        decide: impl FnOnce(&mut Groups, Ticket, Now) -> Actions + Send + 'static,
    ) -> Result<Reply, ErrorCode> {
        self.shard_of(broker, group)?.decide(decide).await
    }

    /// Looks at the groups among which `group` is, once all that was decided before is committed.
    ///
    /// # Errors
    /// As [`Coordinators::decide`].
    pub(crate) async fn look<R: Send + 'static>(
        &self,
        broker: &Broker,
        group: &Str,
        look: impl FnOnce(&Groups) -> R + Send + 'static,
    ) -> Result<R, ErrorCode> {
        self.shard_of(broker, group)?.look(look).await
    }

    /// Ends a transaction in a partition of `__consumer_offsets`, for its log and its groups in one step.
    ///
    /// # Errors
    /// What the transaction's coordinator is told: the marker is out of date; or NOT_LEADER_OR_FOLLOWER, where it is to
    /// try again.
    pub(crate) async fn end_transaction(&self, partition: &Arc<Partition>, marker: Marker) -> Result<(), ErrorCode> {
        let ended = self.shard(partition).end_transaction(marker).await;
        ended.map_err(|error| match error {
            ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {
                ErrorCode::NotLeaderOrFollower
            }
            error => error,
        })
    }

    /// Looks at all groups that this broker coordinates.
    ///
    /// # Errors
    /// As [`Coordinators::decide`]: one coordinator that cannot be asked leaves no answer.
    pub(crate) async fn look_at_all<R: Send + 'static>(
        &self,
        broker: &Broker,
        look: impl Fn(&Groups) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>, ErrorCode> {
        let look = Arc::new(look);
        let partitions = led_partitions(broker, OFFSETS_TOPIC);
        let shards: Vec<ShardHandle> = partitions.iter().map(|partition| self.shard(partition)).collect();
        let mut seen = Vec::with_capacity(shards.len());
        for shard in shards {
            let look = look.clone();
            seen.push(shard.look(move |groups| look(groups)).await?);
        }
        Ok(seen)
    }

    /// Looks at the groups of all shards that have loaded; starts none, since what has no shard has no groups. Of each
    /// shard at most `commits_max` committed offsets are shown.
    pub(crate) async fn see_groups(&self, commits_max: usize) -> GroupsSeen {
        let shards = {
            let shards = self.shards.lock();
            let handles = shards.values().map(|running| running.handle.clone());
            handles.collect::<Vec<ShardHandle>>()
        };
        let mut seen = GroupsSeen::default();
        for shard in shards {
            if !shard.is_loaded() {
                seen.unavailable += 1;
                continue;
            }
            match shard.look(move |groups| show(groups, commits_max)).await {
                Ok((groups, rebalances)) => {
                    seen.groups.extend(groups);
                    seen.rebalances += rebalances;
                }
                Err(_) => seen.unavailable += 1,
            }
        }
        seen
    }

    /// The groups among `groups` that share a coordinator, together.
    pub(crate) fn by_shard(&self, broker: &Broker, groups: &[Str]) -> Vec<Vec<Str>> {
        let image = broker.image.load();
        let partitions = image
            .topics()
            .by_name(OFFSETS_TOPIC)
            .map_or(1, |topic| partition_count(topic));
        let mut by_partition: BTreeMap<i32, Vec<Str>> = BTreeMap::new();
        for group in groups {
            let index = partition_for(group, partitions);
            by_partition.entry(index).or_default().push(group.clone());
        }
        by_partition.into_values().collect()
    }

    /// The leader of the partition that holds `group`; the topic is created if there is none.
    ///
    /// # Errors
    /// The topic cannot be created, or the partition has no leader.
    pub(crate) async fn leader_for(&self, broker: &Broker, group: &Str) -> Result<NodeId, ErrorCode> {
        leader_for(broker, OFFSETS_TOPIC, group).await
    }

    /// Has the coordinator of the groups in `partition` decide a commit of offsets in a transaction.
    ///
    /// # Errors
    /// As [`Coordinators::decide`], or why the log refused it.
    pub(crate) async fn commit(
        &self,
        partition: &Arc<Partition>,
        producer: Producer,
        decide: impl FnOnce(&Groups, Now) -> TransactionalCommit + Send + 'static,
    ) -> Result<OffsetCommitResponse, ErrorCode> {
        self.shard(partition).commit(producer, decide).await
    }

    fn shard_of(&self, broker: &Broker, group: &Str) -> Result<ShardHandle, ErrorCode> {
        Ok(self.shard(&led_partition(broker, OFFSETS_TOPIC, group)?))
    }

    /// The partition of `__consumer_offsets` that holds `group`.
    ///
    /// # Errors
    /// This broker does not lead it.
    pub(crate) fn partition_of(&self, broker: &Broker, group: &Str) -> Result<Arc<Partition>, ErrorCode> {
        led_partition(broker, OFFSETS_TOPIC, group)
    }

    /// The shard of a partition; one that has ended is replaced.
    fn shard(&self, partition: &Arc<Partition>) -> ShardHandle {
        let mut shards = self.shards.lock();
        let key = (partition.topic_id, partition.index);
        if let Some(running) = shards.get(&key).filter(|running| !running.handle.has_ended()) {
            return running.handle.clone();
        }
        let (handle, task) = coordinator_shard::start(Setting {
            partition: partition.clone(),
            config: self.config.clone(),
            stop: self.stop.clone(),
            loading: self.loading.clone(),
            view: self.view.subscribe(),
        });
        let running = Running {
            handle: handle.clone(),
            task,
        };
        shards.insert(key, running);
        handle
    }

    /// Whether there may be consumer groups.
    pub(crate) fn serves_consumer_groups(&self) -> bool {
        self.view.borrow().serves_consumer_groups
    }

    /// Handlers see another image from now on, which `changes` led to; groups see it before their next decision.
    pub(crate) fn see(&self, image: &Arc<MetadataImage>, changes: &Changes) {
        self.view
            .send_modify(|view| *view = Arc::new(view.next(image, changes)));
    }

    /// Topics are gone: their offsets go too.
    pub(crate) fn on_topics_deleted(&self, topics: &[(Str, Uuid)]) {
        if !topics.is_empty() {
            let shards = self.shards.lock();
            shards.values().for_each(|running| running.handle.forget_topics(topics));
        }
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

type Shown = (Vec<(GroupSummary, Vec<GroupCommit>)>, u64);

fn show(groups: &Groups, commits_max: usize) -> Shown {
    let mut room = commits_max;
    let summaries = groups.summaries().into_iter().map(|summary| {
        let commits = groups.commits(&summary.id, room);
        room -= commits.len();
        (summary, commits)
    });
    (summaries.collect(), groups.rebalances())
}

fn partition_count(topic: &TopicImage) -> i32 {
    i32::try_from(topic.partition_count()).unwrap_or(i32::MAX).max(1)
}

fn is_led(broker: &Broker, partition: &Partition) -> bool {
    partition.leader().0 == broker.node_id && !partition.is_gone() && !partition.is_offline()
}

/// The partition of a coordinators' topic that holds `key`; the topic is created if there is none.
///
/// # Errors
/// The topic cannot be created.
pub(crate) async fn partition_of(broker: &Broker, topic: &str, key: &Str) -> Result<i32, ErrorCode> {
    if broker.image.load().topics().by_name(topic).is_none() {
        let wanted = broker.internal_topic(topic);
        let created = broker.create_topics(wanted.into_iter().collect()).await;
        created.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
    }
    let image = broker.image.load();
    let topic = image.topics().by_name(topic);
    let topic = topic.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    Ok(partition_for(key, partition_count(topic)))
}

/// The leader of the partition of a coordinators' topic that holds `key`; the topic is created if there is none.
///
/// # Errors
/// The topic cannot be created, or the partition has no leader.
pub(crate) async fn leader_for(broker: &Broker, topic: &str, key: &Str) -> Result<NodeId, ErrorCode> {
    let index = partition_of(broker, topic, key).await?;
    let image = broker.image.load();
    let leader = image
        .topics()
        .partition(topic, index)
        .map(|partition| partition.leader)
        .filter(|leader| leader.is_some());
    leader.ok_or(ErrorCode::CoordinatorNotAvailable)
}

/// The partition of a coordinators' topic that holds `key`.
///
/// # Errors
/// This broker does not lead it.
pub(crate) fn led_partition(broker: &Broker, topic: &str, key: &Str) -> Result<Arc<Partition>, ErrorCode> {
    let image = broker.image.load();
    let topic = image.topics().by_name(topic).ok_or(ErrorCode::NotCoordinator)?;
    let index = partition_for(key, partition_count(topic));
    let partition = broker.partitions.by_id(topic.id, index);
    let led = partition.filter(|partition| is_led(broker, partition));
    led.ok_or(ErrorCode::NotCoordinator)
}

/// The partitions of a coordinators' topic that this broker leads.
pub(crate) fn led_partitions(broker: &Broker, topic: &str) -> Vec<Arc<Partition>> {
    let image = broker.image.load();
    let Some(topic) = image.topics().by_name(topic) else {
        return Vec::new();
    };
    let mut partitions = broker.partitions.of_topic(topic.id);
    partitions.retain(|partition| is_led(broker, partition));
    partitions
}

fn groups_config(layers: Layers<'_>) -> GroupsConfig {
    let int = |key: &str| i32::try_from(layers.broker_number(key)).unwrap_or(i32::MAX);
    let size = |key: &str| usize::try_from(layers.broker_number(key)).unwrap_or(0);
    GroupsConfig {
        min_session_timeout_ms: int("group.min.session.timeout.ms"),
        max_session_timeout_ms: int("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: int("group.initial.rebalance.delay.ms").max(0),
        max_size: size("group.max.size"),
        offset_metadata_max: size("offset.metadata.max.bytes"),
        offsets_retention_ms: layers.broker_number("offsets.retention.minutes").saturating_mul(60_000),
        offsets_retention_check_interval_ms: layers.broker_number("offsets.retention.check.interval.ms"),
        consumer_max_size: size("group.consumer.max.size"),
        consumer_assignors: consumer_assignors(layers),
        consumer_migration_policy: migration_policy(layers),
    }
}

/// The table of settings knows no other names than those of the policies.
fn migration_policy(layers: Layers<'_>) -> MigrationPolicy {
    let named = match layers.broker_value("group.consumer.migration.policy") {
        Some(Value::String(name)) => MigrationPolicy::by_name(&name),
        _ => None,
    };
    named.unwrap_or(MigrationPolicy::Bidirectional)
}

/// The assignors that are known; custom ones are Java classes, which cannot be loaded.
fn consumer_assignors(layers: Layers<'_>) -> Vec<Assignor> {
    let mut assignors = Vec::new();
    if let Some(Value::List(names)) = layers.broker_value("group.consumer.assignors") {
        for name in names {
            match Assignor::by_name(&name) {
                Some(assignor) if !assignors.contains(&assignor) => assignors.push(assignor),
                Some(_) => {}
                None => tracing::warn!(name, "group.consumer.assignors names an assignor that is not known"),
            }
        }
    }
    assignors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_kafkas_unless_the_file_says_otherwise() {
        assert_eq!(groups_config(Layers::defaults()), GroupsConfig::default());
    }
}
