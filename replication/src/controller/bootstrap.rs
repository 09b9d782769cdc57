//! The first records of a new cluster.

use super::features::default_levels;
use crate::image::{Features, ResourceType, feature};
use ottla_protocol::messages::{
    BeginTransactionRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord, MetadataRecord,
};

/// What a new cluster starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrapOptions {
    /// The feature levels, without `kraft.version`.
    pub levels: Features,
    /// `min.insync.replicas` of the node's file: with eligible leader replicas it becomes that of all brokers.
    pub min_insync_replicas: String,
    /// What else is there from the start, such as the SCRAM credentials of the first users.
    pub others: Vec<MetadataRecord>,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self {
            levels: default_levels(),
            min_insync_replicas: "1".to_owned(),
            others: Vec::new(),
        }
    }
}

/// What a formatted directory holds in its first snapshot, `00000000000000000000-0000000000.checkpoint`, between the
/// control records.
pub fn formatted_records(options: &BootstrapOptions) -> Vec<MetadataRecord> {
    let (first, others): (Vec<_>, Vec<_>) = options
        .levels
        .iter()
        .partition(|(name, _)| **name == feature::METADATA_VERSION);
    let level = |(name, level): (&ottla_protocol::Str, &i16)| {
        MetadataRecord::from(FeatureLevelRecord {
            name: name.clone(),
            feature_level: *level,
        })
    };
    first
        .into_iter()
        .chain(others)
        .map(level)
        .chain(options.others.iter().cloned())
        .collect()
}

/// What the first controller writes into an empty metadata log, after the control records of its leadership.
///
/// The records are a transaction of the log (KIP-866), so that a reader takes all of them or none.
pub fn bootstrap_records(options: &BootstrapOptions) -> Vec<MetadataRecord> {
    let mut records = vec![
        BeginTransactionRecord {
            name: Some("Bootstrap records".into()),
        }
        .into(),
    ];
    records.extend(formatted_records(options));
    if options.levels.get(feature::ELR_VERSION).is_some_and(|level| *level > 0) {
        let min_insync_replicas = ConfigRecord {
            resource_type: ResourceType::Broker.code(),
            resource_name: "".into(),
            name: "min.insync.replicas".into(),
            value: Some(options.min_insync_replicas.as_str().into()),
        };
        records.push(min_insync_replicas.into());
    }
    records.push(EndTransactionRecord::default().into());
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_records_are_those_of_kafka_4_4() {
        let records = bootstrap_records(&BootstrapOptions::default());
        let kinds: Vec<_> = records.iter().map(MetadataRecord::record_type).collect();
        assert_eq!(kinds, [23, 12, 12, 12, 12, 12, 12, 4, 24]);
        let name = |record: &MetadataRecord| match record {
            MetadataRecord::FeatureLevel(record) => Some((record.name.to_string(), record.feature_level)),
            _ => None,
        };
        let levels: Vec<_> = records.iter().filter_map(name).collect();
        assert_eq!(levels[0], ("metadata.version".to_owned(), 33));
        assert_eq!(levels[1], ("eligible.leader.replicas.version".to_owned(), 1));
        assert_eq!(formatted_records(&BootstrapOptions::default()), records[1..7]);
    }
}
