//! Every config key of brokers, topics, groups and client metrics: its type, default, allowed values and meaning.
//!
//! The tables are facts of Apache Kafka 4.4.0; the one-line meanings are ours. On top of them: parsing and checking of
//! values with Kafka's refusals ([`check_value`]), which value counts where several places set one
//! ([`effective`]), and the typed values that logs work with ([`TopicConfig`]). Where values are stored is the
//! image's affair, who may change which is the controller's.

pub mod broker;
mod check;
pub mod client_metrics;
mod cordoned;
mod definition;
pub mod effective;
pub mod group;
mod group_ranges;
pub mod topic;
mod topic_config;
mod valid;
mod value;

use std::{collections::BTreeMap, sync::LazyLock};

pub use broker::{Honoured, honoured};
pub use check::{check_topic, check_value};
pub use cordoned::{CORDONED_LOG_DIRS, cordoned_log_dirs};
pub use definition::{Definition, Dynamic, Importance};
pub use effective::{ConfigEntry, ConfigSource, Layers, SynonymEntry};
pub use group_ranges::check_group_ranges;
pub use topic_config::{CleanupPolicy, CompressionType, TimestampType, TopicConfig};
pub use valid::{Valid, duration_ms};
pub use value::{ConfigType, InvalidValue, Value};

use ottla_protocol::Str;

/// The values that one resource or one file sets, in their text form, by key.
pub type ConfigValues = BTreeMap<Str, Str>;

/// What a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigScope {
    /// One broker, or the default of all.
    Broker,
    /// A topic.
    Topic,
    /// A group.
    Group,
    /// A subscription to client metrics.
    ClientMetrics,
}

static BY_NAME: LazyLock<[BTreeMap<&'static str, &'static Definition>; 4]> = LazyLock::new(|| {
    let by_name = |table: &'static [Definition]| table.iter().map(|key| (key.name, key));
    [
        broker::TABLES.into_iter().flat_map(by_name).collect(),
        by_name(topic::TOPIC).collect(),
        by_name(group::GROUP).collect(),
        by_name(client_metrics::CLIENT_METRICS).collect(),
    ]
});

fn by_name(scope: ConfigScope) -> &'static BTreeMap<&'static str, &'static Definition> {
    match scope {
        ConfigScope::Broker => &BY_NAME[0],
        ConfigScope::Topic => &BY_NAME[1],
        ConfigScope::Group => &BY_NAME[2],
        ConfigScope::ClientMetrics => &BY_NAME[3],
    }
}

/// The definition of a key, if there is such a key.
pub fn definition(scope: ConfigScope, name: &str) -> Option<&'static Definition> {
    by_name(scope).get(name).copied()
}

/// Every key of a scope, ascending.
pub fn definitions_of(scope: ConfigScope) -> impl Iterator<Item = &'static Definition> {
    by_name(scope).values().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_keys_as_in_kafka_4_4() {
        // Besides the keys of the file, three throttles exist for brokers at run time only.
        assert_eq!(definitions_of(ConfigScope::Broker).count(), 350 + 3);
        assert_eq!(definitions_of(ConfigScope::Topic).count(), 37);
        assert_eq!(definitions_of(ConfigScope::Group).count(), 21);
        assert_eq!(broker::TABLES.iter().map(|table| table.len()).sum::<usize>(), 353);
    }

    #[test]
    fn every_default_is_an_allowed_value_and_prints_as_it_is_written() {
        use ConfigScope::*;
        for key in [Broker, Topic, Group, ClientMetrics]
            .into_iter()
            .flat_map(definitions_of)
        {
            let Some(default) = key.default else { continue };
            let value = Value::parse(key.name, key.kind, default).expect("of the type");
            assert_eq!(value.to_string(), default, "{}", key.name);
            // Kafka's own defaults of these are outside of what a user may set.
            if !matches!(key.valid, Valid::NonEmptyList) {
                assert_eq!(key.valid.check(key.name, &value), Ok(()), "{}", key.name);
            }
        }
    }
}
