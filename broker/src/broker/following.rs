//! How the process follows the metadata: logs opened and deleted, leaders and settings taken over.

use super::Broker;
use crate::{
    config::TopicSettings,
    log_store::LogStoreError,
    partitions::{Partition, Wanted},
};
use anyhow::Context;
use ottla_protocol::ids::Uuid;
use ottla_replication::image::{Changes, MetadataImage, ResourceType, TopicImage};
use std::sync::{Arc, atomic::Ordering};

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
        for id in changes.deleted_topics.keys() {
            self.drop_topic(*id);
        }
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
        image.topics().iter().for_each(|topic| self.lead_topic(&image, topic));
    }

    fn lead_topic(&self, image: &MetadataImage, topic: &TopicImage) {
        let settings = Arc::new(self.topic_settings(image, &topic.name));
        for (index, partition) in topic.partitions() {
            if !partition.replicas.contains(&self.node_id) {
                continue;
            }
            let wanted = Wanted {
                topic: &topic.name,
                topic_id: topic.id,
                index,
                leader: partition.leader,
                leader_epoch: partition.leader_epoch,
            };
            if let Err(error) = self.partitions.lead(&self.logs, &wanted, settings.clone()) {
                tracing::error!(topic = %topic.name, partition = index, %error, "the partition is not served");
            }
        }
        self.tell_housekeeping(&settings);
    }

    /// Partitions have taken these settings over: if they flush by time, that may be due before anything else.
    fn tell_housekeeping(&self, settings: &TopicSettings) {
        if settings.flush_interval().is_some() {
            self.housekeeper.look();
        }
    }

    fn drop_topic(&self, id: Uuid) {
        for partition in self.partitions.remove_topic(id) {
            if let Err(error) = self.logs.delete_log(&partition) {
                let (topic, partition) = (&partition.topic, partition.index);
                tracing::error!(%topic, partition, %error, "the files of a deleted topic are left behind");
            }
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
