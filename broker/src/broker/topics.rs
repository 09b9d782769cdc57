//! Topics that come into being because somebody uses them.

use super::Broker;
use crate::runtime::controller::Stopped;
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        CreateTopicsRequest, CreateTopicsResponse,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
    },
};

/// With fewer brokers than wanted replicas the broker's own topics could never be made; a single node has one.
const INTERNAL_REPLICATION_FACTOR: i16 = 1;

impl Broker {
    /// Creates the topics that a client asked for and that do not exist (`auto.create.topics.enable`), with the
    /// broker's defaults. Returns those that do not exist afterwards, each with the reason.
    pub(crate) async fn create_topics_on_first_use(&self, names: Vec<Str>) -> Vec<(Str, ErrorCode)> {
        let (own, others): (Vec<Str>, Vec<Str>) = names
            .into_iter()
            .partition(|name| ottla_replication::image::is_internal(name));
        let topics = others.iter().map(|name| CreatableTopic {
            name: name.clone(),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        });
        let topics = topics.chain(own.iter().filter_map(|name| self.internal_topic(name)));
        match self.create_topics(topics.collect()).await {
            Ok(response) => response
                .topics
                .into_iter()
                .filter_map(|topic| {
                    let error = ErrorCode::from_code(topic.error_code).unwrap_or(ErrorCode::UnknownServerError);
                    let is_there = matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists);
                    (!is_there).then_some((topic.name, error))
                })
                .collect(),
            Err(Stopped) => others
                .into_iter()
                .map(|name| (name, ErrorCode::LeaderNotAvailable))
                .collect(),
        }
    }

    /// Creates topics as an admin would.
    ///
    /// # Errors
    /// The broker stops.
    pub(crate) async fn create_topics(&self, topics: Vec<CreatableTopic>) -> Result<CreateTopicsResponse, Stopped> {
        let request = CreateTopicsRequest {
            topics,
            ..Default::default()
        };
        self.controller
            .answer(move |controller, turn| controller.handle_create_topics(&request, &mut turn.random))
            .await
    }

    /// How one of the broker's own topics is created; `None` for one that nothing here uses yet.
    pub(crate) fn internal_topic(&self, name: &str) -> Option<CreatableTopic> {
        let number = |key: &str| self.config.layers().broker_number(key);
        let config = |name: &str, value: String| CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
        };
        let (partitions, configs) = match name {
            "__consumer_offsets" => (
                number("offsets.topic.num.partitions"),
                vec![
                    config("cleanup.policy", "compact".to_owned()),
                    config("compression.type", "producer".to_owned()),
                    config("segment.bytes", number("offsets.topic.segment.bytes").to_string()),
                ],
            ),
            "__transaction_state" => (
                number("transaction.state.log.num.partitions"),
                vec![
                    config("cleanup.policy", "compact".to_owned()),
                    config("compression.type", "uncompressed".to_owned()),
                    config("min.insync.replicas", self.min_isr_of_transactions().to_string()),
                    config(
                        "segment.bytes",
                        number("transaction.state.log.segment.bytes").to_string(),
                    ),
                    config("unclean.leader.election.enable", "false".to_owned()),
                ],
            ),
            _ => return None,
        };
        Some(CreatableTopic {
            name: name.into(),
            num_partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replication_factor: INTERNAL_REPLICATION_FACTOR,
            configs,
            ..Default::default()
        })
    }

    /// No more than there are replicas: Apache Kafka, given these files, could write nothing otherwise.
    fn min_isr_of_transactions(&self) -> i64 {
        let wanted = self.config.layers().broker_number("transaction.state.log.min.isr");
        wanted.min(INTERNAL_REPLICATION_FACTOR.into())
    }
}
