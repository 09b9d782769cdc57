//! A cluster for tests: topics by name, all else as it is by default.

use crate::{ClusterView, ConsumerSettings, Topic};
use ottla_protocol::{Str, ids::Uuid};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) struct TestCluster {
    version: i64,
    topics: BTreeMap<Str, Topic>,
    pub(crate) settings: ConsumerSettings,
}

impl TestCluster {
    /// Creates a topic or gives it more partitions.
    pub(crate) fn set_topic(&mut self, name: &str, id: u8, partition_count: i32) {
        self.version += 1;
        let topic = Topic {
            id: Uuid([id; 16]),
            partition_count,
            racks: Vec::new(),
        };
        self.topics.insert(name.into(), topic);
    }

    pub(crate) fn delete_topic(&mut self, name: &str) {
        self.version += 1;
        self.topics.remove(name);
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (&Str, &Topic)> {
        self.topics.iter()
    }
}

impl ClusterView for TestCluster {
    fn version(&self) -> i64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.topics.get(name).cloned()
    }

    fn topic_name(&self, id: Uuid) -> Option<Str> {
        let topic = self.topics.iter().find(|(_, topic)| topic.id == id);
        topic.map(|(name, _)| name.clone())
    }

    fn visit_topic_names(&self, visit: &mut dyn FnMut(&Str)) {
        self.topics.keys().for_each(visit);
    }

    fn consumer_settings(&self, _group_id: &str) -> ConsumerSettings {
        self.settings
    }
}
