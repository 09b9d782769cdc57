//! Feature levels (KIP-584): which optional parts of the protocol the cluster has turned on.

use ottla_protocol::{
    Str,
    messages::{FeatureLevelRecord, MetadataRecord},
};
use std::collections::BTreeMap;

/// Names of features.
pub mod feature {
    /// Which metadata records exist, and in which versions.
    pub const METADATA_VERSION: &str = "metadata.version";
    /// Dynamic voters (KIP-853). Kept in control records of the metadata log, not in the image.
    pub const KRAFT_VERSION: &str = "kraft.version";
    /// KIP-890.
    pub const TRANSACTION_VERSION: &str = "transaction.version";
    /// KIP-848.
    pub const GROUP_VERSION: &str = "group.version";
    /// KIP-932.
    pub const SHARE_VERSION: &str = "share.version";
    /// KIP-1071.
    pub const STREAMS_VERSION: &str = "streams.version";
    /// Eligible leader replicas (KIP-966).
    pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
}

/// 3.7-IV2.
const DIRECTORIES_FROM: i16 = 17;
/// 4.3-IV0.
const CORDONED_FROM: i16 = 30;

/// Levels by feature.
pub type Features = BTreeMap<Str, i16>;

/// The levels that the cluster has agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeaturesImage {
    levels: Features,
}

impl From<Features> for FeaturesImage {
    fn from(levels: Features) -> Self {
        Self { levels }
    }
}

impl FeaturesImage {
    /// The level of a feature, 0 if it is off.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).copied().unwrap_or(0)
    }

    /// The level of `metadata.version`.
    pub fn metadata_version(&self) -> i16 {
        self.level(feature::METADATA_VERSION)
    }

    /// Whether partitions keep eligible leader replicas (KIP-966).
    pub fn is_elr_enabled(&self) -> bool {
        self.level(feature::ELR_VERSION) >= 1
    }

    /// Whether the metadata say in which directory a replica lies (KIP-858).
    pub fn has_directories(&self) -> bool {
        self.metadata_version() >= DIRECTORIES_FROM
    }

    /// Whether the metadata say which directories are cordoned (KIP-1066).
    pub fn can_cordon(&self) -> bool {
        self.metadata_version() >= CORDONED_FROM
    }

    /// Every feature that is on, ascending by name.
    pub fn levels(&self) -> &Features {
        &self.levels
    }

    pub(super) fn apply_level(&mut self, record: &FeatureLevelRecord) {
        if record.feature_level == 0 {
            self.levels.remove(record.name.as_str());
        } else {
            self.levels.insert(record.name.detached(), record.feature_level);
        }
    }

    /// `metadata.version` comes first: it decides how everything after it is read.
    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        let (first, others): (Vec<_>, Vec<_>) = self
            .levels
            .iter()
            .partition(|(name, _)| **name == feature::METADATA_VERSION);
        records.extend(first.into_iter().chain(others).map(|(name, level)| {
            MetadataRecord::from(FeatureLevelRecord {
                name: name.clone(),
                feature_level: *level,
            })
        }));
    }
}
