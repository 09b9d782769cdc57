//! Why configs are not changed.

use crate::{config::InvalidValue, controller::InvalidTopicName};
use ottla_protocol::ErrorCode;

/// Why the configs of a resource are not changed. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum AlterConfigError {
    #[error("Each resource must appear at most once.")]
    RepeatedResource,
    #[error("Error due to duplicate config keys")]
    RepeatedKey,
    #[error("Null value not supported for : {0}")]
    NullValue(String),
    #[error("Unknown resource type {0}")]
    UnknownResourceType(i8),
    #[error("Unknown operations type {0}")]
    UnknownOperation(i8),
    #[error("Logger {0} does not exist!")]
    UnknownLogger(String),
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList { operation: &'static str, name: String },
    #[error("The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.")]
    TooLong,
    #[error("Default topic resources are not allowed.")]
    DefaultTopic,
    #[error(transparent)]
    InvalidTopicName(#[from] InvalidTopicName),
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    #[error(transparent)]
    InvalidValue(#[from] InvalidValue),
    #[error("Node id must be an integer, but it is: {0}")]
    BrokerIdNotANumber(String),
    #[error("Unexpected broker id, expected {expected}, but received {found}")]
    OtherBroker { expected: i32, found: String },
    #[error("Cannot update these configs dynamically: [{0}]")]
    NotDynamic(String),
    #[error("These security configs can be dynamically updated only per-listener using the listener prefix: [{0}]")]
    NeedsListener(String),
    #[error("Cannot update these configs at default cluster level, broker id must be specified: [{0}]")]
    NeedsBroker(String),
    #[error("{0}")]
    InvalidBrokerValue(InvalidValue),
    #[error("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")]
    BrokerMinInsyncReplicas,
    #[error("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")]
    ClusterMinInsyncReplicas,
    #[error("Cannot set cordoned.log.dirs: the metadata.version of the cluster does not support it.")]
    CordonedNotSupported,
    #[error("Default group resources are not allowed.")]
    DefaultGroup,
    #[error("Unknown group config name: {0}")]
    UnknownGroupKey(String),
    #[error("{name} must be in the range {min} to {max} inclusive.")]
    OutsideOfRange { name: &'static str, min: i64, max: i64 },
    #[error("{name} must be less than or equal to {max}")]
    AboveLimit { name: &'static str, max: i64 },
    #[error("{larger} must be greater than {smaller}")]
    NotLarger {
        larger: &'static str,
        smaller: &'static str,
    },
    #[error("streams.assignor.name '{name}' is not a registered task assignor. Registered assignors are: [{known}].")]
    UnknownAssignor { name: String, known: String },
    #[error("errors.deadletterqueue.topic.name: DLQ topic name must not start with '__'")]
    InternalDeadLetterTopic,
    #[error("Subscription name can't be empty")]
    DefaultSubscription,
    #[error("Unknown client metrics configuration: {0}")]
    UnknownClientMetricsKey(String),
    #[error("Invalid value {0} for interval.ms, interval must be between 100 and 3600000 (1 hour)")]
    MetricsInterval(i64),
    #[error("Illegal client matching pattern: {0}")]
    ClientMatch(String),
}

impl AlterConfigError {
    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::RepeatedResource
            | Self::RepeatedKey
            | Self::NullValue(_)
            | Self::UnknownResourceType(_)
            | Self::UnknownOperation(_)
            | Self::DefaultTopic
            | Self::BrokerIdNotANumber(_)
            | Self::OtherBroker { .. }
            | Self::NotDynamic(_)
            | Self::NeedsListener(_)
            | Self::NeedsBroker(_)
            | Self::InvalidBrokerValue(_)
            | Self::DefaultGroup
            | Self::DefaultSubscription
            | Self::UnknownClientMetricsKey(_)
            | Self::MetricsInterval(_) => ErrorCode::InvalidRequest,
            Self::InvalidTopicName(_) => ErrorCode::InvalidTopicException,
            Self::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownLogger(_)
            | Self::NotAList { .. }
            | Self::TooLong
            | Self::InvalidValue(_)
            | Self::BrokerMinInsyncReplicas
            | Self::ClusterMinInsyncReplicas
            | Self::UnknownGroupKey(_)
            | Self::CordonedNotSupported
            | Self::OutsideOfRange { .. }
            | Self::AboveLimit { .. }
            | Self::NotLarger { .. }
            | Self::UnknownAssignor { .. }
            | Self::InternalDeadLetterTopic
            | Self::ClientMatch(_) => ErrorCode::InvalidConfig,
        }
    }
}
