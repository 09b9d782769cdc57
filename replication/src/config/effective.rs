//! Which value of a key counts, where it comes from, and what else sets it: what DescribeConfigs shows.
//!
//! Places, the first winning: the resource itself, the dynamic config of this broker, the dynamic default of all
//! brokers, the broker's file, Kafka's default. A topic or group key falls back to its broker keys, each in all these
//! places. A stored value that cannot be parsed (an older or foreign writer's) is passed over.

use super::{
    ConfigScope, ConfigType, ConfigValues, Definition, Value, broker, definition, definitions_of, group,
    topic::{self, BrokerSynonym},
};
use ottla_protocol::Str;
use std::{collections::BTreeSet, sync::LazyLock};

/// Where a value comes from, with the numbers of DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic,
    /// Set at run time for this broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// Set in the broker's file.
    StaticBroker,
    /// Kafka's default.
    Default,
    /// Set for the subscription to client metrics.
    ClientMetrics,
    /// Set for the group.
    Group,
}

impl ConfigSource {
    /// The number on the wire.
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::ClientMetrics => 7,
            Self::Group => 8,
        }
    }
}

/// One place that sets a key or one of its synonyms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynonymEntry {
    /// The key that is set there.
    pub name: String,
    /// Its text there, in that key's unit; `None` for secrets.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// One line of a DescribeConfigs answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The value that counts, as Kafka prints it; `None` for null and for secrets.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it cannot change at run time.
    pub is_read_only: bool,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// The type; `None` for a key that nobody knows, which may be set on brokers.
    pub kind: Option<ConfigType>,
    /// What it does.
    pub doc: Option<&'static str>,
    /// Every place that sets it, the one that counts first.
    pub synonyms: Vec<SynonymEntry>,
}

static NOTHING: LazyLock<ConfigValues> = LazyLock::new(ConfigValues::new);

/// The values of one broker, by place.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The dynamic config of this broker.
    pub broker: &'a ConfigValues,
    /// The dynamic default of all brokers.
    pub cluster: &'a ConfigValues,
    /// The broker's file.
    pub file: &'a ConfigValues,
}

impl<'a> Layers<'a> {
    /// Only Kafka's defaults.
    pub fn defaults() -> Layers<'static> {
        Layers {
            broker: &NOTHING,
            cluster: &NOTHING,
            file: &NOTHING,
        }
    }

    fn places(&self) -> [(&'a ConfigValues, ConfigSource); 3] {
        [
            (self.broker, ConfigSource::DynamicBroker),
            (self.cluster, ConfigSource::DynamicDefaultBroker),
            (self.file, ConfigSource::StaticBroker),
        ]
    }

    /// The value of a broker key that counts; `None` for null and for keys without a definition.
    pub fn broker_value(&self, name: &str) -> Option<Value> {
        let key = definition(ConfigScope::Broker, name)?;
        self.broker_set(key).or_else(|| parsed(key, key.default?))
    }

    /// The number that a broker key has; it must be of a numeric type with a default.
    ///
    /// # Panics
    /// The key is no number, which is a fault of the caller.
    pub fn broker_number(&self, name: &str) -> i64 {
        let value = self.broker_value(name).as_ref().and_then(Value::as_number);
        value.unwrap_or_else(|| panic!("broker key {name} is no number with a default"))
    }

    /// The number that a broker key has, as a floating-point number; it must be of a numeric type with a default.
    ///
    /// # Panics
    /// The key is no number, which is a fault of the caller.
    pub fn broker_double(&self, name: &str) -> f64 {
        let value = self.broker_value(name).as_ref().and_then(Value::as_double);
        value.unwrap_or_else(|| panic!("broker key {name} is no number with a default"))
    }

    /// Whether a broker key of type boolean is true.
    pub fn broker_flag(&self, name: &str) -> bool {
        self.broker_value(name)
            .as_ref()
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    fn broker_set(&self, key: &Definition) -> Option<Value> {
        self.broker_set_with_source(key).map(|(value, _)| value)
    }

    fn broker_set_with_source(&self, key: &Definition) -> Option<(Value, ConfigSource)> {
        self.places()
            .into_iter()
            .find_map(|(values, source)| Some((parsed(key, values.get(key.name)?)?, source)))
    }

    /// The value of a topic key that counts for a topic with these overrides, and where it comes from.
    pub fn topic_value(&self, overrides: &ConfigValues, key: &Definition) -> (Option<Value>, ConfigSource) {
        if let Some(value) = overrides.get(key.name).and_then(|text| parsed(key, text)) {
            return (Some(value), ConfigSource::Topic);
        }
        for synonym in topic::broker_synonyms(key.name) {
            let Some(broker_key) = definition(ConfigScope::Broker, synonym.name) else {
                continue;
            };
            if let Some((value, source)) = self.broker_set_with_source(broker_key) {
                return (Some(in_topic_units(value, *synonym)), source);
            }
        }
        (key.default.and_then(|text| parsed(key, text)), ConfigSource::Default)
    }

    /// Every key of a topic, or those of `names`, as DescribeConfigs shows them.
    pub fn describe_topic(&self, overrides: &ConfigValues, names: Option<&BTreeSet<&str>>) -> Vec<ConfigEntry> {
        let describe = |key: &'static Definition| {
            let (value, source) = self.topic_value(overrides, key);
            let mut synonyms = self.topic_synonyms(key, source);
            if let Some(text) = overrides.get(key.name) {
                synonyms.insert(0, synonym(key.name, text, ConfigSource::Topic));
            }
            entry(key, value, synonyms)
        };
        wanted(ConfigScope::Topic, names).map(describe).collect()
    }

    /// Kafka leaves out what stands before the first key of the family (`log.retention.hours` without any
    /// `log.retention.ms`). We do too, but never so that a value from the file looks like a default.
    fn topic_synonyms(&self, key: &Definition, source: ConfigSource) -> Vec<SynonymEntry> {
        let Some(first) = topic::broker_synonyms(key.name).first() else {
            return Vec::new();
        };
        let all = self.broker_synonym_entries(&broker::synonyms(first.name), false);
        let kept: Vec<_> = all
            .iter()
            .skip_while(|entry| entry.name != first.name)
            .cloned()
            .collect();
        let hides_the_source = kept.is_empty() && !matches!(source, ConfigSource::Topic | ConfigSource::Default);
        if hides_the_source { all } else { kept }
    }

    /// Every place of this broker that sets one of `names`, the first place first.
    fn broker_synonym_entries(&self, names: &[&str], is_sensitive: bool) -> Vec<SynonymEntry> {
        let shown = |name: &str, text: &str, source| SynonymEntry {
            value: (!is_sensitive).then(|| text.to_owned()),
            ..synonym(name, text, source)
        };
        let mut entries = Vec::new();
        for (values, source) in self.places() {
            let set = names.iter().filter_map(|name| Some((*name, values.get(*name)?)));
            entries.extend(set.map(|(name, text)| shown(name, text, source)));
        }
        let defaults = names
            .iter()
            .filter_map(|name| Some((*name, definition(ConfigScope::Broker, name)?.default?)));
        entries.extend(defaults.map(|(name, text)| shown(name, text, ConfigSource::Default)));
        entries
    }

    /// Every key of this broker, or those of `names`: known ones, and any other that was set at run time.
    pub fn describe_broker(&self, names: Option<&BTreeSet<&str>>) -> Vec<ConfigEntry> {
        let mut entries: Vec<_> = wanted(ConfigScope::Broker, names)
            .filter(|key| !THROTTLES.contains(&key.name) || self.broker_set(key).is_some())
            .map(|key| self.describe_broker_key(key.name))
            .collect();
        let others: BTreeSet<&str> = self.broker.keys().chain(self.cluster.keys()).map(Str::as_str).collect();
        let unknown = others
            .into_iter()
            .filter(|name| definition(ConfigScope::Broker, name).is_none());
        let asked = unknown.filter(|name| names.is_none_or(|names| names.contains(name)));
        entries.extend(asked.map(|name| self.describe_broker_key(name)));
        entries
    }

    fn describe_broker_key(&self, name: &str) -> ConfigEntry {
        let key = definition(ConfigScope::Broker, broker::general_key(name).unwrap_or(name));
        let is_sensitive = key.is_none_or(Definition::is_sensitive);
        let synonyms = self.broker_synonym_entries(&broker::synonyms(name), is_sensitive);
        let synonyms: Vec<_> = synonyms.into_iter().skip_while(|entry| entry.name != name).collect();
        let value = match key {
            Some(key) if key.name == name => self.broker_value(name).map(|value| value.to_string()),
            _ => synonyms.first().and_then(|entry| entry.value.clone()),
        };
        ConfigEntry {
            name: name.to_owned(),
            value: value.filter(|_| !is_sensitive),
            source: synonyms.first().map_or(ConfigSource::Default, |entry| entry.source),
            is_read_only: definition(ConfigScope::Broker, name).is_none_or(Definition::is_read_only),
            is_sensitive,
            kind: key.map(|key| key.kind),
            doc: key.map(|key| key.doc),
            synonyms,
        }
    }

    /// What is set at run time for all brokers (the broker resource with an empty name), or those of `names`.
    pub fn describe_cluster(&self, names: Option<&BTreeSet<&str>>) -> Vec<ConfigEntry> {
        let asked = |name: &&Str| names.is_none_or(|names| names.contains(name.as_str()));
        let alone = Layers {
            broker: &NOTHING,
            cluster: self.cluster,
            file: &NOTHING,
        };
        let only_dynamic = |name: &Str| {
            let mut entry = alone.describe_broker_key(name);
            entry
                .synonyms
                .retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
            entry
        };
        self.cluster.keys().filter(asked).map(only_dynamic).collect()
    }

    /// Every key of a group with these overrides, or those of `names`.
    pub fn describe_group(&self, overrides: &ConfigValues, names: Option<&BTreeSet<&str>>) -> Vec<ConfigEntry> {
        let describe = |key: &'static Definition| {
            let fallback = group::broker_synonym(key.name);
            let mut synonyms = match &fallback {
                Some(broker_key) => self.broker_synonym_entries(&[broker_key], false),
                None => key
                    .default
                    .map(|text| synonym(key.name, text, ConfigSource::Default))
                    .into_iter()
                    .collect(),
            };
            let mut value = self.group_default(key, fallback.as_deref());
            if let Some(text) = overrides.get(key.name) {
                value = parsed(key, text).or(value);
                synonyms.insert(0, synonym(key.name, text, ConfigSource::Group));
            }
            entry(key, value, synonyms)
        };
        wanted(ConfigScope::Group, names).map(describe).collect()
    }

    fn group_default(&self, key: &Definition, fallback: Option<&str>) -> Option<Value> {
        let Some(broker_key) = fallback else {
            return key.default.and_then(|text| parsed(key, text));
        };
        match self.broker_value(broker_key)? {
            // The first of the broker's assignors is the default of a group.
            Value::List(items) if key.kind == ConfigType::String => items.into_iter().next().map(Value::String),
            value => Some(value),
        }
    }
}

/// Keys that exist at run time only: not shown unless set.
const THROTTLES: [&str; 3] = [
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// Every key of a subscription to client metrics, or those of `names`.
pub fn describe_client_metrics(overrides: &ConfigValues, names: Option<&BTreeSet<&str>>) -> Vec<ConfigEntry> {
    let describe = |key: &'static Definition| match overrides.get(key.name) {
        Some(text) => {
            let set = synonym(key.name, text, ConfigSource::ClientMetrics);
            entry(key, parsed(key, text), vec![set])
        }
        None => entry(key, key.default.and_then(|text| parsed(key, text)), Vec::new()),
    };
    wanted(ConfigScope::ClientMetrics, names).map(describe).collect()
}

fn wanted<'a>(
    scope: ConfigScope,
    names: Option<&'a BTreeSet<&'a str>>,
) -> impl Iterator<Item = &'static Definition> + 'a {
    definitions_of(scope).filter(move |key| names.is_none_or(|names| names.contains(key.name)))
}

fn parsed(key: &Definition, text: &str) -> Option<Value> {
    Value::parse(key.name, key.kind, text).ok()
}

fn in_topic_units(value: Value, synonym: BrokerSynonym) -> Value {
    match value {
        Value::Number(number) if synonym.factor != 1 && number < 0 => Value::Number(-1),
        Value::Number(number) => Value::Number(number.saturating_mul(synonym.factor)),
        other => other,
    }
}

fn synonym(name: &str, text: &str, source: ConfigSource) -> SynonymEntry {
    SynonymEntry {
        name: name.to_owned(),
        value: Some(text.to_owned()),
        source,
    }
}

/// The entry of a key of a topic, group or subscription: none of them is secret or fixed.
fn entry(key: &'static Definition, value: Option<Value>, synonyms: Vec<SynonymEntry>) -> ConfigEntry {
    ConfigEntry {
        name: key.name.to_owned(),
        value: value.map(|value| value.to_string()),
        source: synonyms.first().map_or(ConfigSource::Default, |entry| entry.source),
        is_read_only: false,
        is_sensitive: false,
        kind: Some(key.kind),
        doc: Some(key.doc),
        synonyms,
    }
}

#[cfg(test)]
mod tests;
