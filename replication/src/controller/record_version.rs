//! In which version a metadata record is written at the cluster's feature levels.

use crate::image::FeaturesImage;
use ottla_protocol::messages::MetadataRecord;

/// The version in which `record` is written, so that every node that supports the cluster's `metadata.version` reads
/// it. The thresholds are those of Apache Kafka's MetadataVersion.
pub fn record_version(record: &MetadataRecord, features: &FeaturesImage) -> i16 {
    let level = features.metadata_version();
    match record {
        MetadataRecord::RegisterBroker(_) => match level {
            LEVEL_4_3_IV0.. => 4,
            LEVEL_3_7_IV2.. => 3,
            LEVEL_3_4_IV0.. => 2,
            _ => 1,
        },
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => match level {
            LEVEL_4_0_IV1.. => 2,
            LEVEL_3_7_IV2.. => 1,
            _ => 0,
        },
        // The lowest version that has what the record says.
        MetadataRecord::BrokerRegistrationChange(record) => {
            if record.cordoned_log_dirs.is_some() {
                3
            } else if !record.log_dirs.is_empty() {
                2
            } else if record.in_controlled_shutdown != 0 {
                1
            } else {
                0
            }
        }
        _ => 0,
    }
}

const LEVEL_3_4_IV0: i16 = 8;
pub(super) const LEVEL_3_6_IV0: i16 = 12;
const LEVEL_3_7_IV2: i16 = 17;
const LEVEL_4_0_IV1: i16 = 23;
const LEVEL_4_3_IV0: i16 = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{MetadataImage, feature};
    use ottla_protocol::messages::{
        BrokerRegistrationChangeRecord, FeatureLevelRecord, PartitionRecord, RegisterBrokerRecord,
    };

    fn versions(level: i16) -> (i16, i16) {
        let name = feature::METADATA_VERSION.into();
        let image = MetadataImage::replay(&[FeatureLevelRecord {
            name,
            feature_level: level,
        }
        .into()]);
        let register = MetadataRecord::from(RegisterBrokerRecord::default());
        let partition = MetadataRecord::from(PartitionRecord::default());
        (
            record_version(&register, image.features()),
            record_version(&partition, image.features()),
        )
    }

    #[test]
    fn versions_rise_with_the_metadata_version() {
        assert_eq!(
            [7, 8, 17, 23, 30, 33].map(versions),
            [(1, 0), (2, 0), (3, 1), (3, 2), (4, 2), (4, 2)]
        );
    }

    #[test]
    fn a_change_of_a_broker_is_written_in_the_lowest_version_that_has_it() {
        let image = MetadataImage::default();
        let version = |record: BrokerRegistrationChangeRecord| record_version(&record.into(), image.features());
        assert_eq!(
            version(BrokerRegistrationChangeRecord {
                fenced: -1,
                ..Default::default()
            }),
            0
        );
        assert_eq!(
            version(BrokerRegistrationChangeRecord {
                in_controlled_shutdown: 1,
                ..Default::default()
            }),
            1
        );
        let cordoned = BrokerRegistrationChangeRecord {
            cordoned_log_dirs: Some(vec![]),
            ..Default::default()
        };
        assert_eq!(version(cordoned), 3);
    }
}
