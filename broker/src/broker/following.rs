//! How the process follows the metadata: logs opened and deleted, leaders and settings taken over.

use super::Broker;
use crate::{
    config::TopicSettings,
    log_store::LogStoreError,
    partitions::{Partition, Wanted},
};
use anyhow::Context;
use ottla_protocol::ids::Uuid;
use ottla_replication::image::{Changes, ConfigResource, MetadataImage, ResourceType, TopicImage};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Who waits for the start of a broker with many partitions is told of it so often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Threads that open the logs of a topic with many partitions, at the most.
const THREADS_OF_A_TOPIC: usize = 8;
/// Fewer are not worth a thread of their own.
const LOGS_PER_THREAD: usize = 16;

/// How far the opening of the logs has come.
struct Progress {
    partitions: usize,
    next: AtomicUsize,
    start: Instant,
    lines: AtomicU64,
}

impl Progress {
    fn new(partitions: usize) -> Self {
        Self {
            partitions,
            next: AtomicUsize::new(0),
            start: Instant::now(),
            lines: AtomicU64::new(0),
        }
    }

    /// The number of the next partition to open.
    fn next(&self, now: Instant) -> usize {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let lines = now.duration_since(self.start).as_secs() / PROGRESS_INTERVAL.as_secs();
        if self.lines.fetch_max(lines, Ordering::Relaxed) < lines {
            tracing::info!(opened = next.min(self.partitions), of = self.partitions, "opening logs");
        }
        next
    }
}

impl Broker {
    /// Does what follows from `changes`, then lets handlers see the image that they led to.
    pub(crate) fn follow(&self, image: MetadataImage, changes: &Changes) {
        for id in changes.topics.keys() {
            if let Some(topic) = image.topics().by_id(*id) {
                self.lead_topic(&image, topic);
            }
        }
        self.follow_configs(&image, changes);
        // The image first: a handler that still finds the topic finds its partitions too.
        let image = Arc::new(image);
        self.image.store(image.clone());
        self.coordinators.see(&image, changes);
        let is_of_broker = |resource: &ConfigResource| resource.kind == ResourceType::Broker;
        if changes.features || changes.configs.iter().any(is_of_broker) {
            // Directories may be cordoned now, or not any more.
            self.logs.siblings().news.notify_one();
        }
        let dropped = changes.deleted_topics.keys();
        let dropped: Vec<_> = dropped.flat_map(|id| self.partitions.remove_topic(*id)).collect();
        self.delete_logs(&dropped);
        let deleted = changes
            .deleted_topics
            .iter()
            .map(|(id, topic)| (topic.name.clone(), *id));
        self.coordinators.on_topics_deleted(&deleted.collect::<Vec<_>>());
    }

    fn follow_configs(&self, image: &MetadataImage, changes: &Changes) {
        let all_brokers = changes
            .configs
            .iter()
            .any(|resource| resource.kind == ResourceType::Broker);
        let names = changes
            .configs
            .iter()
            .filter(|resource| resource.kind == ResourceType::Topic);
        let named: Vec<&Arc<TopicImage>> = names
            .filter_map(|resource| image.topics().by_name(&resource.name))
            .collect();
        let touched: Vec<&Arc<TopicImage>> = if all_brokers {
            image.topics().iter().collect()
        } else {
            named
        };
        for topic in touched {
            let settings = Arc::new(self.topic_settings(image, &topic.name));
            for partition in self.partitions.of_topic(topic.id) {
                partition.set_settings(settings.clone());
            }
            self.tell_housekeeping(&settings);
        }
    }

    /// Opens the logs of all topics of the image.
    pub(crate) fn open_logs(&self) {
        let image = self.image.load_full();
        let all = image.topics().iter();
        let partitions: Vec<_> = all
            .flat_map(|topic| {
                let settings = Arc::new(self.topic_settings(&image, &topic.name));
                topic
                    .partitions()
                    .map(move |(index, _)| (topic, index, settings.clone()))
            })
            .collect();
        let progress = Progress::new(partitions.len());
        let open_next = || {
            while let Some((topic, index, settings)) = partitions.get(progress.next(Instant::now())) {
                self.lead_partition(topic, *index, settings);
            }
        };
        // Opening waits for the disk as much as for the processor.
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 1..threads.min(partitions.len()) {
                scope.spawn(open_next);
            }
            open_next();
        });
        self.logs.settle();
        if let Some(count) = self.partitions.offline_count() {
            tracing::error!(
                partitions = count,
                "partitions are offline: their logs cannot be used or are out of reach"
            );
        }
        image.topics().iter().for_each(|topic| {
            self.tell_housekeeping(&self.topic_settings(&image, &topic.name));
        });
    }

    fn lead_topic(&self, image: &MetadataImage, topic: &TopicImage) {
        let settings = Arc::new(self.topic_settings(image, &topic.name));
        let indexes: Vec<i32> = topic.partitions().map(|(index, _)| index).collect();
        let begun = AtomicUsize::new(0);
        let lead_next = || {
            while let Some(index) = indexes.get(begun.fetch_add(1, Ordering::Relaxed)) {
                self.lead_partition(topic, *index, &settings);
            }
        };
        // A new log waits for the disk several times; what waits side by side, the disk writes together.
        let threads = (indexes.len() / LOGS_PER_THREAD).min(THREADS_OF_A_TOPIC);
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(lead_next);
            }
            lead_next();
        });
        self.tell_housekeeping(&settings);
    }

    fn lead_partition(&self, topic: &TopicImage, index: i32, settings: &Arc<TopicSettings>) {
        let placed = topic.partition(index);
        let Some(partition) = placed.filter(|partition| partition.replicas.contains(&self.node_id)) else {
            return;
        };
        let wanted = Wanted {
            topic: &topic.name,
            topic_id: topic.id,
            index,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            directory: partition.directory_of(self.node_id).unwrap_or(Uuid::ZERO),
        };
        match self.partitions.lead(&self.logs, &wanted, settings.clone()) {
            Ok(()) => {}
            // One line for all of them follows, or was there when the directory failed.
            Err(LogStoreError::OutOfReach) => tracing::debug!(topic = %topic.name, partition = index, "out of reach"),
            Err(error) if error.is_of_the_system() => {}
            Err(error) => tracing::error!(topic = %topic.name, partition = index, %error, "the partition is offline"),
        }
    }

    /// Tries once more to open logs for which there was no space, or no descriptor.
    pub(crate) fn lead_again(&self) {
        let refused = self.partitions.take_refused();
        if refused.is_empty() {
            return;
        }
        let image = self.image.load_full();
        for (topic_id, index) in refused {
            if let Some(topic) = image.topics().by_id(topic_id) {
                let settings = Arc::new(self.topic_settings(&image, &topic.name));
                self.lead_partition(topic, index, &settings);
            }
        }
    }

    /// Partitions have taken these settings over: if they flush by time, that may be due before anything else.
    fn tell_housekeeping(&self, settings: &TopicSettings) {
        if settings.flush_interval().is_some() {
            self.housekeeper.look();
        }
    }

    /// Takes logs of deleted topics out of use; another thread removes their files.
    pub(crate) fn delete_logs(&self, partitions: &[Arc<Partition>]) {
        if !partitions.is_empty() {
            self.logs.delete_logs(partitions);
            self.housekeeper.look();
        }
    }

    /// Closes every log, so that the next start takes them as they are.
    pub(crate) fn close_logs(&self) -> anyhow::Result<()> {
        let partitions: Vec<Arc<Partition>> = self.partitions.all();
        let epoch = self.broker_epoch.load(Ordering::Acquire);
        let closed: Result<(), LogStoreError> = self.logs.close(&partitions, self.metadata_log.log(), epoch);
        closed.context("not everything could be closed; the next start will check it")
    }
}
