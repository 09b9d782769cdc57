//! stub
#![allow(missing_docs, unused)]
use crate::{config::ConfigValues, image::MetadataImage};
use ottla_protocol::{ids::*, messages::*};
pub struct Outcome<R> {
    pub records: Vec<MetadataRecord>,
    pub response: R,
}
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub node_id: i32,
    pub cluster_id: String,
    pub file: ConfigValues,
}
pub struct Controller {
    image: MetadataImage,
    s: Settings,
}
pub struct Context(Uuid);
impl Context {
    pub fn new(now: i64, f: &dyn Fn() -> Uuid) -> Self {
        Context(f())
    }
}
impl Controller {
    pub fn new(image: MetadataImage, s: Settings) -> Self {
        Self { image, s }
    }
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }
    pub fn image_mut(&mut self) -> &mut MetadataImage {
        &mut self.image
    }
    pub fn apply(&mut self, r: &MetadataRecord) {
        self.image.apply(r)
    }
    pub fn handle_create_topics(
        &self,
        r: &CreateTopicsRequest,
        version: i16,
        c: &Context,
    ) -> Outcome<CreateTopicsResponse> {
        let mut records = vec![];
        let mut response = CreateTopicsResponse::default();
        for t in &r.topics {
            if self.image.topics().by_name(&t.name).is_some() {
                response.topics.push(create_topics_response::CreatableTopicResult {
                    name: t.name.clone(),
                    error_code: 36,
                    ..Default::default()
                });
                continue;
            }
            records.push(
                TopicRecord {
                    name: t.name.detached(),
                    topic_id: c.0,
                }
                .into(),
            );
            let n = if t.num_partitions < 1 { 1 } else { t.num_partitions };
            for p in 0..n {
                records.push(
                    PartitionRecord {
                        partition_id: p,
                        topic_id: c.0,
                        replicas: vec![self.s.node_id],
                        isr: vec![self.s.node_id],
                        leader: self.s.node_id,
                        leader_epoch: 0,
                        partition_epoch: 0,
                        directories: vec![Uuid::ZERO],
                        ..Default::default()
                    }
                    .into(),
                );
            }
            for cf in &t.configs {
                records.push(
                    ConfigRecord {
                        resource_type: 2,
                        resource_name: t.name.detached(),
                        name: cf.name.detached(),
                        value: cf.value.clone(),
                    }
                    .into(),
                );
            }
            response.topics.push(create_topics_response::CreatableTopicResult {
                name: t.name.clone(),
                topic_id: c.0,
                num_partitions: n,
                replication_factor: 1,
                ..Default::default()
            });
        }
        Outcome { records, response }
    }
    pub fn handle_allocate_producer_ids(
        &self,
        r: &AllocateProducerIdsRequest,
        c: &Context,
    ) -> Outcome<AllocateProducerIdsResponse> {
        let n = self.image.producer_ids().next_producer_id();
        Outcome {
            records: vec![
                ProducerIdsRecord {
                    broker_id: 1,
                    broker_epoch: 1,
                    next_producer_id: n + 1000,
                }
                .into(),
            ],
            response: AllocateProducerIdsResponse {
                producer_id_start: n,
                producer_id_len: 1000,
                ..Default::default()
            },
        }
    }
    pub fn register_stub(&self, r: RegisterBrokerRecord) -> Outcome<()> {
        Outcome {
            records: vec![r.into()],
            response: (),
        }
    }
}
pub fn record_version(r: &MetadataRecord, f: &crate::image::Features) -> i16 {
    r.newest_version()
}
pub struct F {
    pub name: &'static str,
    pub min_level: i16,
    pub max_level: i16,
}
pub const SUPPORTED_FEATURES: &[F] = &[];
pub fn is_legal_topic_name(n: &str) -> bool {
    true
}
pub fn check_topic_name(n: &str) -> Result<(), std::fmt::Error> {
    Ok(())
}
