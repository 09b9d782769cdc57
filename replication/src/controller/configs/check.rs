//! Whether a resource may have these configs.

use super::{AlterConfigError, Change};
use crate::{
    config::{
        CORDONED_LOG_DIRS, ConfigScope, ConfigValues, Dynamic, Layers, Value, broker::general_key, check_group_ranges,
        check_topic, check_value, client_metrics::MATCHED_PROPERTIES, cordoned_log_dirs, definition,
        group::broker_synonym,
    },
    controller::{Controller, check_topic_name},
    image::{ConfigResource, ResourceType},
};

/// Keys of one listener that may nevertheless be set for all brokers.
const LISTENER_KEYS_OF_THE_CLUSTER: [&str; 3] =
    ["max.connection.creation.rate", "max.connections", "num.network.threads"];

/// Keys of key stores and trust stores: at run time each listener has its own.
const STORE_PREFIXES: [&str; 3] = ["ssl.keystore.", "ssl.truststore.", "ssl.key.password"];

/// Group keys with bounds among the broker's keys.
const BOUNDED_GROUP_KEYS: [&str; 12] = [
    "consumer.assignment.interval.ms",
    "consumer.heartbeat.interval.ms",
    "consumer.session.timeout.ms",
    "share.assignment.interval.ms",
    "share.delivery.count.limit",
    "share.heartbeat.interval.ms",
    "share.partition.max.record.locks",
    "share.record.lock.duration.ms",
    "share.session.timeout.ms",
    "streams.assignment.interval.ms",
    "streams.heartbeat.interval.ms",
    "streams.session.timeout.ms",
];

impl Controller {
    /// Checks that `after` may be everything that is set for `resource`.
    pub(super) fn check_resource(
        &self,
        resource: &ConfigResource,
        after: &ConfigValues,
    ) -> Result<(), AlterConfigError> {
        match resource.kind {
            ResourceType::Topic => self.check_topic_resource(&resource.name, after),
            ResourceType::Broker => self.check_broker_resource(&resource.name, after),
            ResourceType::Group => self.check_group_resource(&resource.name, after),
            ResourceType::ClientMetrics => check_subscription(&resource.name, after),
            ResourceType::BrokerLogger | ResourceType::Other(_) => {
                Err(AlterConfigError::UnknownResourceType(resource.kind.code()))
            }
        }
    }

    fn check_topic_resource(&self, name: &str, after: &ConfigValues) -> Result<(), AlterConfigError> {
        if name.is_empty() {
            return Err(AlterConfigError::DefaultTopic);
        }
        check_topic_name(name)?;
        check_topic(after, self.layers())?;
        match self.image.topics().by_name(name) {
            Some(_) => Ok(()),
            None => Err(AlterConfigError::UnknownTopic(name.to_owned())),
        }
    }

    fn check_broker_resource(&self, name: &str, after: &ConfigValues) -> Result<(), AlterConfigError> {
        let own = self.settings.node_id;
        if !name.is_empty() {
            let id: i32 = name
                .parse()
                .map_err(|_| AlterConfigError::BrokerIdNotANumber(name.to_owned()))?;
            if id != own {
                return Err(AlterConfigError::OtherBroker {
                    expected: own,
                    found: name.to_owned(),
                });
            }
        }
        let which = |is_wrong: fn(&str) -> bool| {
            let names: Vec<_> = after
                .keys()
                .map(|name| name.as_str())
                .filter(|name| is_wrong(name))
                .collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        if let Some(names) = which(is_fixed) {
            return Err(AlterConfigError::NotDynamic(names));
        }
        if let Some(names) = which(|name| STORE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))) {
            return Err(AlterConfigError::NeedsListener(names));
        }
        for (name, text) in after {
            let key = general_key(name).unwrap_or(name);
            check_value(ConfigScope::Broker, key, text).map_err(AlterConfigError::InvalidBrokerValue)?;
        }
        if let Some(cordoned) = after.get(CORDONED_LOG_DIRS) {
            self.check_cordoned(cordoned)?;
        }
        if after.keys().any(|name| name.starts_with("group.")) {
            self.check_group_defaults(name, after)?;
        }
        match which(is_for_one_broker).filter(|_| name.is_empty()) {
            Some(names) => Err(AlterConfigError::NeedsBroker(names)),
            None => Ok(()),
        }
    }

    /// The defaults of groups stay within their bounds, which are fixed at start.
    fn check_group_defaults(&self, broker: &str, after: &ConfigValues) -> Result<(), AlterConfigError> {
        let layers = match broker.is_empty() {
            true => Layers {
                cluster: after,
                ..self.layers()
            },
            false => Layers {
                broker: after,
                ..self.layers()
            },
        };
        check_group_ranges(layers).map_err(AlterConfigError::InvalidBrokerValue)
    }

    pub(in crate::controller) fn check_cordoned(&self, value: &str) -> Result<(), AlterConfigError> {
        if !self.image.features().can_cordon() {
            return Err(AlterConfigError::CordonedNotSupported);
        }
        let checked = cordoned_log_dirs(value, &self.settings.log_dirs);
        checked.map(|_| ()).map_err(AlterConfigError::InvalidBrokerValue)
    }

    fn check_group_resource(&self, group: &str, after: &ConfigValues) -> Result<(), AlterConfigError> {
        if group.is_empty() {
            return Err(AlterConfigError::DefaultGroup);
        }
        for name in after.keys() {
            if definition(ConfigScope::Group, name).is_none() {
                return Err(AlterConfigError::UnknownGroupKey(name.to_string()));
            }
        }
        for (name, text) in after {
            check_value(ConfigScope::Group, name, text)?;
        }
        self.check_group_bounds(after)?;
        self.check_group_texts(after)
    }

    fn check_group_bounds(&self, after: &ConfigValues) -> Result<(), AlterConfigError> {
        let layers = self.layers();
        let effective = |name: &str| match number(after, name) {
            Some(number) => number,
            None => layers.broker_number(&broker_synonym(name).unwrap_or_default()),
        };
        for name in BOUNDED_GROUP_KEYS {
            let Some((kind, rest)) = name.split_once('.') else {
                continue;
            };
            let (min, max) = (
                layers.broker_number(&format!("group.{kind}.min.{rest}")),
                layers.broker_number(&format!("group.{kind}.max.{rest}")),
            );
            if number(after, name).is_some_and(|number| !(min..=max).contains(&number)) {
                return Err(AlterConfigError::OutsideOfRange { name, min, max });
            }
        }
        let standbys = "streams.num.standby.replicas";
        let max = layers.broker_number("group.streams.max.standby.replicas");
        if number(after, standbys).is_some_and(|number| number > max) {
            return Err(AlterConfigError::AboveLimit { name: standbys, max });
        }
        for (larger, smaller) in [
            ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
            ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
            ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
        ] {
            if effective(larger) <= effective(smaller) {
                return Err(AlterConfigError::NotLarger { larger, smaller });
            }
        }
        Ok(())
    }

    fn check_group_texts(&self, after: &ConfigValues) -> Result<(), AlterConfigError> {
        if let Some(name) = after.get("streams.assignor.name") {
            let known = self.layers().broker_value("group.streams.assignors");
            let known = known.as_ref().and_then(Value::as_list).unwrap_or_default();
            if !known.iter().any(|assignor| assignor.as_str() == name.as_str()) {
                let (name, known) = (name.to_string(), known.join(", "));
                return Err(AlterConfigError::UnknownAssignor { name, known });
            }
        }
        let dead_letters = after.get("errors.deadletterqueue.topic.name");
        if dead_letters.is_some_and(|name| name.starts_with("__")) {
            return Err(AlterConfigError::InternalDeadLetterTopic);
        }
        Ok(())
    }

    /// While eligible leader replicas are kept, there is one `min.insync.replicas` for all brokers.
    pub(super) fn check_min_insync_replicas(
        &self,
        resource: &ConfigResource,
        changes: &[&Change],
    ) -> Result<(), AlterConfigError> {
        let change = changes.iter().find(|(name, _)| *name == "min.insync.replicas");
        let is_guarded = resource.kind == ResourceType::Broker && self.image.features().is_elr_enabled();
        match change.filter(|_| is_guarded) {
            Some(_) if !resource.name.is_empty() => Err(AlterConfigError::BrokerMinInsyncReplicas),
            Some((_, None)) => Err(AlterConfigError::ClusterMinInsyncReplicas),
            _ => Ok(()),
        }
    }
}

fn number(values: &ConfigValues, name: &str) -> Option<i64> {
    values.get(name)?.trim().parse().ok()
}

/// Keys that are read at start alone. A key that nobody knows may be meant for a plugin: it is stored.
fn is_fixed(name: &str) -> bool {
    definition(ConfigScope::Broker, name).is_some_and(|key| key.dynamic == Dynamic::ReadOnly)
}

fn is_for_one_broker(name: &str) -> bool {
    match general_key(name) {
        Some(general) => !LISTENER_KEYS_OF_THE_CLUSTER.contains(&general),
        None => definition(ConfigScope::Broker, name).is_some_and(|key| key.dynamic == Dynamic::PerBroker),
    }
}

fn check_subscription(name: &str, after: &ConfigValues) -> Result<(), AlterConfigError> {
    if name.is_empty() {
        return Err(AlterConfigError::DefaultSubscription);
    }
    for (key, text) in after {
        let Some(known) = definition(ConfigScope::ClientMetrics, key) else {
            return Err(AlterConfigError::UnknownClientMetricsKey(key.to_string()));
        };
        let value = Value::parse(key, known.kind, text)?;
        match (key.as_str(), &value) {
            ("interval.ms", Value::Number(interval)) if !(100..=3_600_000).contains(interval) => {
                return Err(AlterConfigError::MetricsInterval(*interval));
            }
            ("match", Value::List(items)) => check_client_match(items)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_client_match(items: &[String]) -> Result<(), AlterConfigError> {
    let is_fine = |item: &String| {
        let parts = item.split_once('=');
        parts.is_some_and(|(property, pattern)| {
            MATCHED_PROPERTIES.contains(&property.trim()) && !pattern.trim().is_empty()
        })
    };
    match items.iter().find(|item| !is_fine(item)) {
        Some(wrong) => Err(AlterConfigError::ClientMatch(wrong.clone())),
        None => Ok(()),
    }
}
