//! Which features there are, at which levels, and UpdateFeatures.

use super::{Controller, Outcome, text};
use crate::{
    config::Value,
    image::{ConfigResource, Features, ResourceType, feature},
};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        ConfigRecord, FeatureLevelRecord, MetadataRecord, UpdateFeaturesRequest, UpdateFeaturesResponse,
        update_features_request::FeatureUpdateKey, update_features_response::UpdatableFeatureResult,
    },
};

/// A feature and the levels that this node can work at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    /// Its name.
    pub name: &'static str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
    /// For each level from 1 on, the `metadata.version` from which a new cluster starts at it.
    defaults: &'static [i16],
}

/// The `metadata.version` of Kafka 4.4.0, 4.4-IV2.
pub const LATEST_METADATA_VERSION: i16 = 33;

/// Every feature, ascending by name; the levels are those of Apache Kafka 4.4.0.
pub const SUPPORTED_FEATURES: &[SupportedFeature] = &[
    SupportedFeature {
        name: feature::ELR_VERSION,
        min: 0,
        max: 1,
        defaults: &[26],
    },
    SupportedFeature {
        name: feature::GROUP_VERSION,
        min: 0,
        max: 1,
        defaults: &[22],
    },
    SupportedFeature {
        name: feature::KRAFT_VERSION,
        min: 0,
        max: 1,
        defaults: &[21],
    },
    SupportedFeature {
        name: feature::METADATA_VERSION,
        min: 7,
        max: LATEST_METADATA_VERSION,
        defaults: &[],
    },
    SupportedFeature {
        name: feature::SHARE_VERSION,
        min: 0,
        max: 2,
        defaults: &[28, 31],
    },
    SupportedFeature {
        name: feature::STREAMS_VERSION,
        min: 0,
        max: 1,
        defaults: &[29],
    },
    SupportedFeature {
        name: feature::TRANSACTION_VERSION,
        min: 0,
        max: 2,
        defaults: &[24, 24],
    },
];

/// Levels of `metadata.version` that brought or changed records: a downgrade past one of them could lose metadata.
const LEVELS_WITH_NEW_RECORDS: [i16; 11] = [7, 8, 11, 13, 14, 15, 17, 23, 30, 32, 33];

/// Eligible leader replicas need the records of 4.0-IV1.
const ELR_NEEDS_METADATA_VERSION: i16 = 23;

fn supported(name: &str) -> Option<&'static SupportedFeature> {
    SUPPORTED_FEATURES.iter().find(|feature| feature.name == name)
}

/// The levels of a new cluster, without `kraft.version`, which is not kept in metadata records.
pub fn default_levels() -> Features {
    default_levels_at(LATEST_METADATA_VERSION)
}

/// The levels of a new cluster that starts at an older `metadata.version`.
pub fn default_levels_at(metadata_version: i16) -> Features {
    let others = SUPPORTED_FEATURES
        .iter()
        .filter(|feature| feature.name != feature::KRAFT_VERSION);
    let levels = others.filter_map(|feature| {
        let level = match feature.name {
            feature::METADATA_VERSION => metadata_version,
            _ => feature
                .defaults
                .iter()
                .filter(|from| **from <= metadata_version)
                .count() as i16,
        };
        (level > 0).then(|| (Str::from_static(feature.name), level))
    });
    levels.collect()
}

/// Why a level is not changed. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FeatureError {
    #[error("Invalid update version {level} for feature {feature}. {reason}")]
    InvalidLevel {
        feature: String,
        level: i16,
        reason: String,
    },
    #[error("Unsupported metadata.version downgrade from {from} to {to}. {reason}")]
    Downgrade { from: i16, to: i16, reason: &'static str },
}

/// What a change of a level may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl Direction {
    /// Version 0 had a flag instead of the type.
    fn of(update: &FeatureUpdateKey) -> Option<Self> {
        match update.upgrade_type {
            1 if update.allow_downgrade => Some(Self::SafeDowngrade),
            1 => Some(Self::Upgrade),
            2 => Some(Self::SafeDowngrade),
            3 => Some(Self::UnsafeDowngrade),
            _ => None,
        }
    }
}

impl Controller {
    /// UpdateFeatures: all levels of the request change, or none.
    pub fn handle_update_features(&self, request: &UpdateFeaturesRequest) -> Outcome<UpdateFeaturesResponse> {
        let mut records = Vec::new();
        for update in &request.feature_updates {
            match self.feature_records(update, &request.feature_updates) {
                Ok(new) => records.extend(new),
                Err(error) => return Outcome::unchanged(refused(&error)),
            }
        }
        if request.validate_only {
            records.clear();
        }
        let result = |update: &FeatureUpdateKey| UpdatableFeatureResult {
            feature: update.feature.clone(),
            error_code: ErrorCode::None as i16,
            error_message: None,
        };
        let results = request.feature_updates.iter().map(result).collect();
        let response = UpdateFeaturesResponse {
            error_message: None,
            results,
            ..Default::default()
        };
        Outcome { records, response }
    }

    fn feature_records(
        &self,
        update: &FeatureUpdateKey,
        all: &[FeatureUpdateKey],
    ) -> Result<Vec<MetadataRecord>, FeatureError> {
        let (name, level) = (update.feature.as_str(), update.max_version_level);
        let invalid = |reason: String| FeatureError::InvalidLevel {
            feature: name.to_owned(),
            level,
            reason,
        };
        let direction = Direction::of(update)
            .ok_or_else(|| invalid("The controller does not support the given upgrade type.".to_owned()))?;
        if level < 0 {
            return Err(invalid("A feature version cannot be less than 0.".to_owned()));
        }
        self.check_support(name, level).map_err(invalid)?;
        let current = self.current_level(name);
        check_direction(name, current, level, direction)?;
        if name == feature::KRAFT_VERSION {
            return Ok(Vec::new()); // the level is already this one, and lives in control records
        }
        self.check_dependencies(name, level, all).map_err(invalid)?;
        let mut records = vec![
            FeatureLevelRecord {
                name: name.into(),
                feature_level: level,
            }
            .into(),
        ];
        if name == feature::ELR_VERSION && current == 0 && level > 0 {
            records.extend(self.elr_safety_records());
        }
        Ok(records)
    }

    fn current_level(&self, name: &str) -> i16 {
        if name == feature::KRAFT_VERSION {
            1
        } else {
            self.image.features().level(name)
        }
    }

    fn check_support(&self, name: &str, level: i16) -> Result<(), String> {
        let own = supported(name).map(|feature| (feature.min, feature.max));
        check_range(&format!("Local controller {}", self.settings.node_id), own, level)?;
        for broker in self.image.brokers().iter() {
            let range = broker
                .features
                .iter()
                .find(|range| range.name == name)
                .map(|range| (range.min, range.max));
            check_range(&format!("Broker {}", broker.id), range, level)?;
        }
        Ok(())
    }

    fn check_dependencies(&self, name: &str, level: i16, all: &[FeatureUpdateKey]) -> Result<(), String> {
        let proposed = all.iter().find(|update| update.feature == feature::METADATA_VERSION);
        let metadata_version = proposed.map_or_else(
            || self.image.features().metadata_version(),
            |update| update.max_version_level,
        );
        if name == feature::ELR_VERSION && level > 0 && metadata_version < ELR_NEEDS_METADATA_VERSION {
            return Err(format!(
                "{name} could not be set to {level} because it depends on metadata.version level \
                 {ELR_NEEDS_METADATA_VERSION}"
            ));
        }
        Ok(())
    }

    /// While eligible leader replicas are kept, `min.insync.replicas` has one value for all brokers: what the
    /// controller decides with must be what every leader acts by.
    fn elr_safety_records(&self) -> Vec<MetadataRecord> {
        const KEY: &str = "min.insync.replicas";
        let config = |resource: &ConfigResource, value: Option<String>| {
            MetadataRecord::from(ConfigRecord {
                resource_type: resource.kind.code(),
                resource_name: resource.name.clone(),
                name: KEY.into(),
                value: value.map(Str::from),
            })
        };
        let mut records = Vec::new();
        if !self.image.configs().of_all_brokers().contains_key(KEY) {
            let value = self.layers().broker_value(KEY).as_ref().map(Value::to_string);
            records.push(config(&ConfigResource::new(ResourceType::Broker, ""), value));
        }
        let per_broker = self.image.configs().iter().filter(|(resource, values)| {
            resource.kind == ResourceType::Broker && !resource.name.is_empty() && values.contains_key(KEY)
        });
        records.extend(per_broker.map(|(resource, _)| config(resource, None)));
        records
    }
}

fn check_range(who: &str, range: Option<(i16, i16)>, level: i16) -> Result<(), String> {
    match range {
        None => Err(format!("{who} does not support this feature.")),
        Some((min, max)) if !(min..=max).contains(&level) => Err(format!("{who} only supports versions {min}-{max}")),
        Some(_) => Ok(()),
    }
}

fn check_direction(name: &str, current: i16, level: i16, direction: Direction) -> Result<(), FeatureError> {
    let invalid = |reason: &str| {
        Err(FeatureError::InvalidLevel {
            feature: name.to_owned(),
            level,
            reason: reason.to_owned(),
        })
    };
    if level > current && direction != Direction::Upgrade {
        return invalid("Can't downgrade to a newer version.");
    }
    if level >= current {
        return Ok(());
    }
    if name == feature::KRAFT_VERSION {
        return invalid("Can't downgrade the version of this feature.");
    }
    if direction == Direction::Upgrade {
        return invalid(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
             downgrade.",
        );
    }
    let loses_metadata = LEVELS_WITH_NEW_RECORDS
        .iter()
        .any(|changed| (level + 1..=current).contains(changed));
    if name != feature::METADATA_VERSION || !loses_metadata {
        return Ok(());
    }
    let reason = if direction == Direction::UnsafeDowngrade {
        "Unsafe metadata downgrade is not supported in this version."
    } else {
        "Refusing to perform the requested downgrade because it might delete metadata information."
    };
    Err(FeatureError::Downgrade {
        from: current,
        to: level,
        reason,
    })
}

fn refused(error: &FeatureError) -> UpdateFeaturesResponse {
    let message = format!("The update failed for all features since the following feature had an error: {error}");
    UpdateFeaturesResponse {
        error_code: ErrorCode::InvalidUpdateVersion as i16,
        error_message: text(message),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    //! The refusals were read from Apache Kafka 4.4.0.

    use super::*;
    use crate::controller::fixture::{controller, run};

    const UPGRADE: i8 = 1;
    const SAFE: i8 = 2;
    const UNSAFE: i8 = 3;

    fn ask(controller: &Controller, name: &str, level: i16, upgrade_type: i8) -> Outcome<UpdateFeaturesResponse> {
        let update = FeatureUpdateKey {
            feature: name.into(),
            max_version_level: level,
            upgrade_type,
            ..FeatureUpdateKey::default()
        };
        controller.handle_update_features(&UpdateFeaturesRequest {
            feature_updates: vec![update],
            ..Default::default()
        })
    }

    fn refusal(name: &str, level: i16, upgrade_type: i8) -> String {
        let outcome = ask(&controller(), name, level, upgrade_type);
        assert_eq!(
            (outcome.records.len(), outcome.response.error_code),
            (0, 95),
            "{name} {level}"
        );
        let message = outcome.response.error_message.as_deref().unwrap_or_default().to_owned();
        let start = "The update failed for all features since the following feature had an error: ";
        message.strip_prefix(start).expect("every refusal starts so").to_owned()
    }

    #[test]
    fn a_new_cluster_starts_at_the_levels_of_kafka_4_4() {
        let levels: Vec<_> = default_levels()
            .into_iter()
            .map(|(name, level)| (name.to_string(), level))
            .collect();
        let expected = [
            ("eligible.leader.replicas.version", 1),
            ("group.version", 1),
            ("metadata.version", 33),
            ("share.version", 2),
            ("streams.version", 1),
            ("transaction.version", 2),
        ];
        assert_eq!(levels, expected.map(|(name, level)| (name.to_owned(), level)));
        assert_eq!(default_levels_at(23).len(), 2, "metadata.version and group.version");
    }

    #[test]
    fn levels_outside_of_what_is_supported_are_refused() {
        let expected = "Invalid update version 34 for feature metadata.version. Local controller 1 only supports \
                        versions 7-33";
        assert_eq!(refusal("metadata.version", 34, UPGRADE), expected);
        let expected = "Invalid update version 1 for feature foo. Local controller 1 does not support this feature.";
        assert_eq!(refusal("foo", 1, UPGRADE), expected);
    }

    #[test]
    fn downgrades_must_be_asked_for_and_must_not_lose_metadata() {
        let expected = "Invalid update version 32 for feature metadata.version. Can't downgrade the version of this \
                        feature without setting the upgrade type to either safe or unsafe downgrade.";
        assert_eq!(refusal("metadata.version", 32, UPGRADE), expected);
        let expected = "Unsupported metadata.version downgrade from 33 to 30. Refusing to perform the requested \
                        downgrade because it might delete metadata information.";
        assert_eq!(refusal("metadata.version", 30, SAFE), expected);
        let expected = "Unsupported metadata.version downgrade from 33 to 20. Unsafe metadata downgrade is not \
                        supported in this version.";
        assert_eq!(refusal("metadata.version", 20, UNSAFE), expected);
        let expected =
            "Invalid update version 0 for feature kraft.version. Can't downgrade the version of this feature.";
        assert_eq!(refusal("kraft.version", 0, SAFE), expected);
    }

    #[test]
    fn a_feature_goes_down_and_up_again() {
        let mut controller = controller();
        let outcome = ask(&controller, "group.version", 0, SAFE);
        assert_eq!(run(&mut controller, outcome).error_code, 0);
        assert_eq!(controller.image().features().level("group.version"), 0);
        let outcome = ask(&controller, "group.version", 1, UPGRADE);
        assert_eq!(outcome.records.len(), 1);
    }

    #[test]
    fn eligible_replicas_bring_one_min_insync_replicas_for_all_brokers() {
        let mut controller = controller();
        let outcome = ask(&controller, feature::ELR_VERSION, 0, SAFE);
        run(&mut controller, outcome);
        let own = ConfigRecord {
            resource_type: ResourceType::Broker.code(),
            resource_name: "1".into(),
            name: "min.insync.replicas".into(),
            value: Some("2".into()),
        };
        controller.apply(&own.into());
        let outcome = ask(&controller, feature::ELR_VERSION, 1, UPGRADE);
        run(&mut controller, outcome);
        assert!(
            controller
                .image()
                .configs()
                .of_broker(ottla_protocol::ids::NodeId(1))
                .is_empty()
        );
        assert!(
            controller
                .image()
                .configs()
                .of_all_brokers()
                .contains_key("min.insync.replicas")
        );
    }
}
