//! What a run of records changed: which logs to open, to delete, to lead, and which settings to read again.

use super::{ConfigResource, MetadataImage, ResourceType, TopicImage};
use ottla_protocol::{
    Str,
    ids::{NodeId, Uuid},
    messages::MetadataRecord,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What happened to one topic id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// It did not exist before.
    pub is_created: bool,
    /// The partitions that are new or changed.
    pub partitions: BTreeSet<i32>,
}

/// What was changed by the records noted so far.
///
/// A topic that was created and deleted again is in neither list. Look up what the changes led to in the image after
/// them; only what is gone is kept here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Topics that are new or have new or changed partitions.
    pub topics: BTreeMap<Uuid, TopicChange>,
    /// Topics that are gone, as they were.
    pub deleted_topics: BTreeMap<Uuid, Arc<TopicImage>>,
    /// Resources whose configs changed, a deleted topic's not among them.
    pub configs: BTreeSet<ConfigResource>,
    /// Brokers that registered, changed or went.
    pub brokers: BTreeSet<NodeId>,
    /// A feature level changed.
    pub features: bool,
    /// Quotas, access control, credentials or tokens changed.
    pub security: bool,
}

impl Changes {
    /// Whether nothing changed that anybody would act on.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes what `record` is about to change in `before`: to be called just before it is applied.
    pub fn note(&mut self, before: &MetadataImage, record: &MetadataRecord) {
        use MetadataRecord as Record;
        match record {
            Record::Topic(record) => self.topics.entry(record.topic_id).or_default().is_created = true,
            Record::Partition(record) => self.note_partition(record.topic_id, record.partition_id),
            Record::PartitionChange(record) => self.note_partition(record.topic_id, record.partition_id),
            Record::ClearElr(record) => self.note_clear_elr(before, &record.topic_name),
            Record::RemoveTopic(record) => self.note_removal(before, record.topic_id),
            Record::Config(record) => {
                let kind = ResourceType::from_code(record.resource_type);
                self.configs.insert(ConfigResource {
                    kind,
                    name: record.resource_name.detached(),
                });
            }
            Record::RegisterBroker(record) => self.note_broker(record.broker_id),
            Record::UnregisterBroker(record) => self.note_broker(record.broker_id),
            Record::BrokerRegistrationChange(record) => self.note_broker(record.broker_id),
            Record::FenceBroker(record) => self.note_broker(record.id),
            Record::UnfenceBroker(record) => self.note_broker(record.id),
            Record::FeatureLevel(_) => self.features = true,
            Record::ClientQuota(_)
            | Record::AccessControlEntry(_)
            | Record::RemoveAccessControlEntry(_)
            | Record::UserScramCredential(_)
            | Record::RemoveUserScramCredential(_)
            | Record::DelegationToken(_)
            | Record::RemoveDelegationToken(_) => self.security = true,
            _ => {}
        }
    }

    fn note_broker(&mut self, id: i32) {
        self.brokers.insert(NodeId(id));
    }

    fn note_partition(&mut self, topic_id: Uuid, index: i32) {
        self.topics.entry(topic_id).or_default().partitions.insert(index);
    }

    fn note_clear_elr(&mut self, before: &MetadataImage, name: &Str) {
        let topics = before
            .topics()
            .iter()
            .filter(|topic| name.is_empty() || topic.name == *name);
        for topic in topics {
            let change = self.topics.entry(topic.id).or_default();
            change.partitions.extend(topic.partitions().map(|(index, _)| index));
        }
    }

    fn note_removal(&mut self, before: &MetadataImage, id: Uuid) {
        let was_created_here = self.topics.remove(&id).is_some_and(|change| change.is_created);
        let Some(topic) = before.topics().by_id(id) else {
            return;
        };
        self.configs.remove(&ConfigResource::topic(&topic.name));
        if !was_created_here {
            self.deleted_topics.insert(id, Arc::clone(topic));
        }
    }
}
