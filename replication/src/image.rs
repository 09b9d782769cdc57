//! The cluster's metadata at one point of the metadata log, as every node holds it.
//!
//! Records of the log come in through [`MetadataImage::apply`], the only mutator: it never refuses and reads no clock,
//! so that replaying the log (or a snapshot made of [`MetadataImage::to_records`]) rebuilds the same image. The parts
//! are persistent maps with shared leafs: a clone costs a few reference counts, and a reader keeps its clone while
//! later records are applied to another. What a batch of records changed is collected by [`Changes`].
//!
//! A record that contradicts the image (a change of a partition that does not exist) is passed over: it can only come
//! from a log that another implementation cut short, and refusing it would keep the node from starting.

mod brokers;
mod configs;
mod delta;
mod features;
mod producer_ids;
mod raw;
mod topics;

use ottla_protocol::{
    ids::{LeaderEpoch, Offset, TimestampMs},
    messages::MetadataRecord,
};
use std::sync::Arc;

pub use brokers::{BrokerRegistration, BrokersImage, Endpoint, FeatureRange, is_reserved_directory};
pub use configs::{ConfigResource, ConfigsImage, ResourceType};
pub use delta::{Changes, TopicChange};
pub use features::{Features, FeaturesImage, feature};
pub use producer_ids::ProducerIdsImage;
pub use raw::{AclsImage, ClientQuotasImage, DelegationTokensImage, ScramImage};
pub use topics::{LeaderRecoveryState, Partition, TopicImage, TopicsImage, is_internal};

/// Where in the metadata log an image stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The offset of the last record that is part of the image, -1 for none.
    pub offset: Offset,
    /// The epoch of that record.
    pub epoch: LeaderEpoch,
    /// When it was appended, -1 where that is unknown.
    pub timestamp_ms: TimestampMs,
}

impl Position {
    /// Before the first record.
    pub const START: Self = Self {
        offset: -1,
        epoch: LeaderEpoch(0),
        timestamp_ms: -1,
    };
}

impl Default for Position {
    fn default() -> Self {
        Self::START
    }
}

/// All metadata at one [`Position`].
#[derive(Clone, Debug, Default)]
pub struct MetadataImage {
    /// Where in the log this image stands. The caller of `apply` moves it after each batch.
    pub position: Position,
    features: FeaturesImage,
    brokers: BrokersImage,
    topics: TopicsImage,
    configs: ConfigsImage,
    client_quotas: ClientQuotasImage,
    producer_ids: ProducerIdsImage,
    acls: AclsImage,
    scram: ScramImage,
    delegation_tokens: DelegationTokensImage,
    /// The image before an open transaction of the log (KIP-866), to go back to if it is aborted.
    before_transaction: Option<Arc<MetadataImage>>,
}

/// Two images are equal if they hold the same metadata, wherever in the log they stand.
impl PartialEq for MetadataImage {
    fn eq(&self, other: &Self) -> bool {
        self.features == other.features
            && self.brokers == other.brokers
            && self.topics == other.topics
            && self.configs == other.configs
            && self.client_quotas == other.client_quotas
            && self.producer_ids == other.producer_ids
            && self.acls == other.acls
            && self.scram == other.scram
            && self.delegation_tokens == other.delegation_tokens
    }
}

impl MetadataImage {
    /// The image that these records lead to.
    pub fn replay<'a>(records: impl IntoIterator<Item = &'a MetadataRecord>) -> Self {
        let mut image = Self::default();
        for record in records {
            image.apply(record);
        }
        image
    }

    /// The feature levels of the cluster.
    pub fn features(&self) -> &FeaturesImage {
        &self.features
    }

    /// The registered brokers and controllers.
    pub fn brokers(&self) -> &BrokersImage {
        &self.brokers
    }

    /// The topics and their partitions.
    pub fn topics(&self) -> &TopicsImage {
        &self.topics
    }

    /// What is configured at run time.
    pub fn configs(&self) -> &ConfigsImage {
        &self.configs
    }

    /// The quotas of clients.
    pub fn client_quotas(&self) -> &ClientQuotasImage {
        &self.client_quotas
    }

    /// The next free producer id.
    pub fn producer_ids(&self) -> &ProducerIdsImage {
        &self.producer_ids
    }

    /// The access control entries.
    pub fn acls(&self) -> &AclsImage {
        &self.acls
    }

    /// The SCRAM credentials of users.
    pub fn scram(&self) -> &ScramImage {
        &self.scram
    }

    /// The delegation tokens.
    pub fn delegation_tokens(&self) -> &DelegationTokensImage {
        &self.delegation_tokens
    }

    /// Whether the last records belong to a transaction of the log that is not complete: an image to replay onto, not
    /// one to hand to readers.
    pub fn is_in_transaction(&self) -> bool {
        self.before_transaction.is_some()
    }

    /// Makes one record true, whether new or read again after a restart.
    pub fn apply(&mut self, record: &MetadataRecord) {
        use MetadataRecord as Record;
        match record {
            Record::FeatureLevel(record) => self.features.apply_level(record),
            Record::RegisterBroker(record) => self.brokers.apply_register(record),
            Record::UnregisterBroker(record) => self.brokers.apply_unregister(record),
            Record::BrokerRegistrationChange(record) => self.brokers.apply_change(record),
            Record::FenceBroker(record) => self.brokers.apply_fence(record.id, true),
            Record::UnfenceBroker(record) => self.brokers.apply_fence(record.id, false),
            Record::RegisterController(record) => self.brokers.apply_register_controller(record),
            Record::UnregisterController(record) => self.brokers.apply_unregister_controller(record),
            Record::Topic(record) => self.topics.apply_topic(record),
            Record::Partition(record) => self.topics.apply_partition(record),
            Record::PartitionChange(record) => self.topics.apply_partition_change(record),
            Record::ClearElr(record) => self.topics.apply_clear_elr(record),
            Record::RemoveTopic(record) => {
                if let Some(name) = self.topics.apply_remove(record.topic_id) {
                    self.configs.remove_all(&ConfigResource::topic(&name));
                }
            }
            Record::Config(record) => self.configs.apply(record),
            Record::ClientQuota(record) => self.client_quotas.apply(record),
            Record::ProducerIds(record) => self.producer_ids.apply(record),
            Record::AccessControlEntry(record) => self.acls.apply_entry(record),
            Record::RemoveAccessControlEntry(record) => self.acls.apply_remove(record.id),
            Record::UserScramCredential(record) => self.scram.apply_credential(record),
            Record::RemoveUserScramCredential(record) => self.scram.apply_remove(record),
            Record::DelegationToken(record) => self.delegation_tokens.apply_token(record),
            Record::RemoveDelegationToken(record) => self.delegation_tokens.apply_remove(&record.token_id),
            Record::BeginTransaction(_) => self.before_transaction = Some(Arc::new(self.clone())),
            Record::EndTransaction(_) => self.before_transaction = None,
            Record::AbortTransaction(_) => self.abort_transaction(),
            // Neither says anything about the cluster: the first keeps the log moving, the second ended with ZooKeeper.
            Record::NoOp(_) | Record::ZkMigrationState(_) => {}
        }
    }

    fn abort_transaction(&mut self) {
        if let Some(before) = self.before_transaction.take() {
            let position = self.position;
            *self = Arc::unwrap_or_clone(before);
            self.position = position;
            self.before_transaction = None;
        }
    }

    /// The records that rebuild this image, in the order in which Kafka writes a snapshot.
    ///
    /// Each is to be written in the version that [`record_version`](crate::controller::record_version)
    /// chooses.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        self.features.write(&mut records);
        self.brokers.write(&mut records);
        self.topics.write(&mut records);
        self.configs.write(&mut records);
        self.client_quotas.write(&mut records);
        self.producer_ids.write(&mut records);
        self.acls.write(&mut records);
        self.scram.write(&mut records);
        self.delegation_tokens.write(&mut records);
        records
    }
}

#[cfg(test)]
mod tests;
