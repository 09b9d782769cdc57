//! CreateTopics: names, partitions, placement, configs.

use super::{
    Controller, MAX_RECORDS_PER_OPERATION, Outcome, PlacementError, Random,
    directories::Directories,
    partitions::{AssignmentError, check_assignment},
    placement::place,
    text,
    topic_names::{InvalidTopicName, check_topic_name, colliding_topic},
};
use crate::{
    config::{ConfigValues, InvalidValue, check_topic},
    image::{LeaderRecoveryState, Partition},
};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{LeaderEpoch, NodeId, Uuid},
    messages::{
        ClearElrRecord, ConfigRecord, CreateTopicsRequest, CreateTopicsResponse, MetadataRecord, TopicRecord,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Why a topic is not created. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum CreateTopicError {
    #[error("Duplicate topic name.")]
    Duplicate,
    #[error("Creation of internal topic __cluster_metadata is prohibited.")]
    MetadataTopic,
    #[error(transparent)]
    InvalidName(#[from] InvalidTopicName),
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision { name: String, existing: String },
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    #[error("Null value not supported for topic configs: {0}")]
    NullConfig(String),
    #[error(transparent)]
    InvalidConfig(#[from] InvalidValue),
    #[error("A manual partition assignment was specified, but replication factor was not set to -1.")]
    AssignmentAndReplicationFactor,
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentAndPartitions,
    #[error("Found multiple manual partition assignments for partition {0}")]
    AssignedTwice(i32),
    #[error("partitions should be a consecutive 0-based integer sequence")]
    AssignmentWithGaps,
    #[error(transparent)]
    InvalidAssignment(#[from] AssignmentError),
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    InvalidReplicationFactor,
    #[error("Number of partitions was set to an invalid non-positive value.")]
    InvalidPartitions,
    #[error("Unable to replicate the partition {replicas} time(s): {reason}")]
    NoPlace { replicas: i16, reason: PlacementError },
    #[error(
        "Unable to replicate the partition {0} time(s): All brokers are currently fenced or in controlled shutdown."
    )]
    NoActiveBroker(usize),
    #[error("Excessively large number of partitions per request.")]
    TooMany,
}

impl CreateTopicError {
    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Duplicate
            | Self::MetadataTopic
            | Self::AssignmentAndReplicationFactor
            | Self::AssignmentAndPartitions => ErrorCode::InvalidRequest,
            Self::InvalidName(_) | Self::Collision { .. } => ErrorCode::InvalidTopicException,
            Self::Exists(_) => ErrorCode::TopicAlreadyExists,
            Self::NullConfig(_) | Self::InvalidConfig(_) => ErrorCode::InvalidConfig,
            Self::AssignedTwice(_) | Self::AssignmentWithGaps | Self::InvalidAssignment(_) => {
                ErrorCode::InvalidReplicaAssignment
            }
            Self::InvalidReplicationFactor | Self::NoPlace { .. } | Self::NoActiveBroker(_) => {
                ErrorCode::InvalidReplicationFactor
            }
            Self::InvalidPartitions => ErrorCode::InvalidPartitions,
            Self::TooMany => ErrorCode::PolicyViolation,
        }
    }
}

/// A topic that is about to exist.
struct NewTopic {
    id: Uuid,
    overrides: ConfigValues,
    /// The replicas of each partition, from partition 0 on.
    replicas: Vec<Vec<NodeId>>,
}

impl Controller {
    /// CreateTopics. `random` gives topic ids and where placement starts.
    ///
    /// The response has one result per topic, in the order of the request; names that occur twice come once, last. A
    /// success tells every config with its source: whoever may not read them, the caller takes them out.
    pub fn handle_create_topics(
        &self,
        request: &CreateTopicsRequest,
        random: &mut Random,
    ) -> Outcome<CreateTopicsResponse> {
        let repeated = names_that_repeat(request.topics.iter().map(|topic| &topic.name));
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics.iter().filter(|topic| !repeated.contains(&topic.name)) {
            let verdict = self.new_topic(topic, random).and_then(|new| {
                let new_records = self.new_topic_records(topic, &new)?;
                if records.len() + new_records.len() > MAX_RECORDS_PER_OPERATION {
                    return Err(CreateTopicError::TooMany);
                }
                records.extend(new_records);
                Ok(self.created(topic, &new))
            });
            topics.push(verdict.unwrap_or_else(|error| refused(&topic.name, &error)));
        }
        topics.extend(repeated.iter().map(|name| refused(name, &CreateTopicError::Duplicate)));
        if request.validate_only {
            records.clear();
        }
        Outcome {
            records,
            response: CreateTopicsResponse {
                topics,
                ..Default::default()
            },
        }
    }

    fn new_topic(&self, topic: &CreatableTopic, random: &mut Random) -> Result<NewTopic, CreateTopicError> {
        self.check_new_name(&topic.name)?;
        let overrides = self.new_overrides(topic)?;
        let replicas = if topic.assignments.is_empty() {
            self.placed_partitions(topic, random)?
        } else {
            self.assigned_partitions(topic)?
        };
        Ok(NewTopic {
            id: random.uuid(),
            overrides,
            replicas,
        })
    }

    fn check_new_name(&self, name: &Str) -> Result<(), CreateTopicError> {
        if *name == "__cluster_metadata" {
            return Err(CreateTopicError::MetadataTopic);
        }
        check_topic_name(name)?;
        if self.image.topics().by_name(name).is_some() {
            return Err(CreateTopicError::Exists(name.to_string()));
        }
        match colliding_topic(self.image.topics(), name) {
            Some(existing) => Err(CreateTopicError::Collision {
                name: name.to_string(),
                existing,
            }),
            None => Ok(()),
        }
    }

    fn new_overrides(&self, topic: &CreatableTopic) -> Result<ConfigValues, CreateTopicError> {
        let nulls: Vec<_> = topic.configs.iter().filter(|config| config.value.is_none()).collect();
        if !nulls.is_empty() {
            let names: Vec<_> = nulls.iter().map(|config| config.name.as_str()).collect();
            return Err(CreateTopicError::NullConfig(names.join(",")));
        }
        let values = topic
            .configs
            .iter()
            .filter_map(|config| Some((config.name.clone(), config.value.clone()?)));
        let overrides = values.collect();
        check_topic(&overrides, self.layers())?;
        Ok(overrides)
    }

    fn assigned_partitions(&self, topic: &CreatableTopic) -> Result<Vec<Vec<NodeId>>, CreateTopicError> {
        if topic.replication_factor != -1 {
            return Err(CreateTopicError::AssignmentAndReplicationFactor);
        }
        if topic.num_partitions != -1 {
            return Err(CreateTopicError::AssignmentAndPartitions);
        }
        let mut by_partition = BTreeMap::new();
        let mut replica_count = None;
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            let replicas: Vec<_> = assignment.broker_ids.iter().copied().map(NodeId).collect();
            if by_partition.contains_key(&index) {
                return Err(CreateTopicError::AssignedTwice(index));
            }
            check_assignment(self.image.brokers(), index, &replicas, replica_count)?;
            replica_count = Some(replicas.len());
            by_partition.insert(index, replicas);
        }
        if !by_partition.keys().copied().eq(0..by_partition.len() as i32) {
            return Err(CreateTopicError::AssignmentWithGaps);
        }
        Ok(by_partition.into_values().collect())
    }

    fn placed_partitions(
        &self,
        topic: &CreatableTopic,
        random: &mut Random,
    ) -> Result<Vec<Vec<NodeId>>, CreateTopicError> {
        let layers = self.layers();
        let or_default = |value: i64, key: &str| if value == -1 { layers.broker_number(key) } else { value };
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(CreateTopicError::InvalidReplicationFactor);
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return Err(CreateTopicError::InvalidPartitions);
        }
        let partitions = or_default(topic.num_partitions.into(), "num.partitions") as usize;
        let replicas = or_default(topic.replication_factor.into(), "default.replication.factor") as usize;
        if partitions > MAX_RECORDS_PER_OPERATION {
            return Err(CreateTopicError::TooMany);
        }
        let placed = place(self.image.brokers(), partitions, replicas, random);
        placed.map_err(|reason| CreateTopicError::NoPlace {
            replicas: replicas as i16,
            reason,
        })
    }

    fn new_topic_records(
        &self,
        topic: &CreatableTopic,
        new: &NewTopic,
    ) -> Result<Vec<MetadataRecord>, CreateTopicError> {
        let name = topic.name.detached();
        let mut records = vec![
            TopicRecord {
                name: name.clone(),
                topic_id: new.id,
            }
            .into(),
        ];
        records.extend(new.overrides.iter().map(|(key, value)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: crate::image::ResourceType::Topic.code(),
                resource_name: name.clone(),
                name: key.detached(),
                value: Some(value.detached()),
            })
        }));
        if self.image.features().is_elr_enabled() && new.overrides.contains_key("min.insync.replicas") {
            records.push(ClearElrRecord { topic_name: name }.into());
        }
        let mut directories = Directories::new(self);
        for (index, replicas) in (0..).zip(&new.replicas) {
            let partition = self
                .new_partition(replicas, &mut directories)
                .ok_or(CreateTopicError::NoActiveBroker(replicas.len()))?;
            records.push(partition.to_record(new.id, index).into());
        }
        Ok(records)
    }

    /// A partition that starts with all its active replicas in sync; `None` if no replica is active.
    pub(super) fn new_partition(&self, replicas: &[NodeId], directories: &mut Directories<'_>) -> Option<Partition> {
        let brokers = self.image.brokers();
        let isr: Vec<_> = replicas.iter().copied().filter(|id| brokers.is_active(*id)).collect();
        Some(Partition {
            replicas: replicas.to_vec(),
            directories: replicas.iter().map(|id| directories.next(*id)).collect(),
            leader: *isr.first()?,
            isr,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            eligible_leader_replicas: Vec::new(),
            last_known_elr: Vec::new(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
        })
    }

    fn created(&self, topic: &CreatableTopic, new: &NewTopic) -> CreatableTopicResult {
        let entries = self.layers().describe_topic(&new.overrides, None);
        let configs = entries.into_iter().map(|entry| CreatableTopicConfigs {
            name: entry.name.into(),
            value: entry.value.map(Str::from),
            read_only: entry.is_read_only,
            config_source: entry.source.code(),
            is_sensitive: entry.is_sensitive,
        });
        CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: new.id,
            error_code: ErrorCode::None as i16,
            error_message: None,
            topic_config_error_code: ErrorCode::None as i16,
            num_partitions: new.replicas.len() as i32,
            replication_factor: new.replicas.first().map_or(-1, |replicas| replicas.len() as i16),
            configs: Some(configs.collect()),
        }
    }
}

fn refused(name: &Str, error: &CreateTopicError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: error.code() as i16,
        error_message: text(error),
        ..Default::default()
    }
}

/// The names that occur more than once, ascending.
pub(super) fn names_that_repeat<'a>(names: impl Iterator<Item = &'a Str>) -> BTreeSet<Str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert((*name).clone())).cloned().collect()
}

#[cfg(test)]
mod tests;
