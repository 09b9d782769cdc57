//! AlterConfigs and IncrementalAlterConfigs (KIP-339): each resource changes as a whole or not at all.

mod check;
mod error;

use super::{Controller, Outcome, text};
use crate::{
    config::{ConfigScope, ConfigType, ConfigValues, Definition, broker::general_key, definition},
    image::{ConfigResource, ResourceType},
};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        AlterConfigsRequest, AlterConfigsResponse, ClearElrRecord, ConfigRecord, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse, MetadataRecord, alter_configs_request, alter_configs_response,
        incremental_alter_configs_request, incremental_alter_configs_response,
    },
};
use std::collections::BTreeSet;

pub use error::AlterConfigError;

/// The longest value that a record of the metadata log may hold.
const MAX_VALUE_LENGTH: usize = 32_767;

/// What became of one resource of a request.
struct Verdict {
    resource_type: i8,
    resource_name: Str,
    error: Option<AlterConfigError>,
}

impl Verdict {
    fn code(&self) -> i16 {
        self.error.as_ref().map_or(ErrorCode::None, AlterConfigError::code) as i16
    }
}

/// Decides each resource by itself, those that are named more than once not at all. Returns the records of those that
/// were allowed, and a verdict for each, in the order of the request.
fn alter_each<'a, C>(
    asked: impl Iterator<Item = (i8, &'a Str, C)> + Clone,
    decide: impl Fn(&ConfigResource, C) -> Result<Vec<MetadataRecord>, AlterConfigError>,
) -> (Vec<MetadataRecord>, Vec<Verdict>) {
    let repeated = resources_that_repeat(asked.clone().map(|(resource_type, name, _)| (resource_type, name)));
    let mut records = Vec::new();
    let verdicts = asked.map(|(resource_type, name, configs)| {
        let resource = ConfigResource::new(ResourceType::from_code(resource_type), name);
        let decided = match repeated.contains(&resource) {
            true => Err(AlterConfigError::RepeatedResource),
            false => decide(&resource, configs),
        };
        Verdict {
            resource_type,
            resource_name: name.clone(),
            error: decided.map(|new| records.extend(new)).err(),
        }
    });
    let verdicts = verdicts.collect();
    (records, verdicts)
}

/// A key and its new value, `None` to go back to the default.
type Change = (Str, Option<Str>);

impl Controller {
    /// AlterConfigs: the resource has what the request says and nothing else.
    pub fn handle_alter_configs(&self, request: &AlterConfigsRequest) -> Outcome<AlterConfigsResponse> {
        let resources = request.resources.iter();
        let asked = resources.map(|it| (it.resource_type, &it.resource_name, it.configs.as_slice()));
        let (records, verdicts) = alter_each(asked, |resource, configs| self.replacement(resource, configs));
        let responses = verdicts
            .into_iter()
            .map(|verdict| alter_configs_response::AlterConfigsResourceResponse {
                error_code: verdict.code(),
                error_message: verdict.error.and_then(text),
                resource_type: verdict.resource_type,
                resource_name: verdict.resource_name,
            });
        Outcome {
            records: if request.validate_only { Vec::new() } else { records },
            response: AlterConfigsResponse {
                responses: responses.collect(),
                ..Default::default()
            },
        }
    }

    fn replacement(
        &self,
        resource: &ConfigResource,
        configs: &[alter_configs_request::AlterableConfig],
    ) -> Result<Vec<MetadataRecord>, AlterConfigError> {
        check_keys(configs.iter().map(|config| (&config.name, config.value.is_none())))?;
        if resource.kind == ResourceType::BrokerLogger {
            return Err(AlterConfigError::UnknownResourceType(resource.kind.code()));
        }
        let mut changes: Vec<Change> = configs
            .iter()
            .map(|config| (config.name.clone(), config.value.clone()))
            .collect();
        let dropped = self
            .image
            .configs()
            .of(resource)
            .keys()
            .filter(|name| configs.iter().all(|it| it.name != **name));
        changes.extend(dropped.map(|name| (name.clone(), None)));
        self.changed(resource, &changes)
    }

    /// IncrementalAlterConfigs: what the request does not name stays as it is.
    pub fn handle_incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
    ) -> Outcome<IncrementalAlterConfigsResponse> {
        let resources = request.resources.iter();
        let asked = resources.map(|it| (it.resource_type, &it.resource_name, it.configs.as_slice()));
        let (records, verdicts) = alter_each(asked, |resource, configs| self.increment(resource, configs));
        let responses =
            verdicts.into_iter().map(
                |verdict| incremental_alter_configs_response::AlterConfigsResourceResponse {
                    error_code: verdict.code(),
                    error_message: verdict.error.and_then(text),
                    resource_type: verdict.resource_type,
                    resource_name: verdict.resource_name,
                },
            );
        Outcome {
            records: if request.validate_only { Vec::new() } else { records },
            response: IncrementalAlterConfigsResponse {
                responses: responses.collect(),
                ..Default::default()
            },
        }
    }

    fn increment(
        &self,
        resource: &ConfigResource,
        configs: &[incremental_alter_configs_request::AlterableConfig],
    ) -> Result<Vec<MetadataRecord>, AlterConfigError> {
        let lacks_value = |operation: i8, value: &Option<Str>| operation != Operation::Delete as i8 && value.is_none();
        check_keys(
            configs
                .iter()
                .map(|it| (&it.name, lacks_value(it.config_operation, &it.value))),
        )?;
        if let (ResourceType::BrokerLogger, Some(first)) = (resource.kind, configs.first()) {
            return Err(AlterConfigError::UnknownLogger(first.name.to_string()));
        }
        let now = self.image.configs().of(resource);
        let change = |config: &incremental_alter_configs_request::AlterableConfig| {
            let operation = Operation::from_code(config.config_operation)?;
            let given = config.value.as_deref().unwrap_or_default();
            let value = match operation {
                Operation::Set => Some(Str::from(given)),
                Operation::Delete => None,
                Operation::Append | Operation::Subtract => {
                    Some(changed_list(resource, &config.name, now, operation, given)?)
                }
            };
            Ok((config.name.clone(), value))
        };
        let changes: Vec<Change> = configs.iter().map(change).collect::<Result<_, AlterConfigError>>()?;
        self.changed(resource, &changes)
    }

    /// The records of these changes, if what they lead to is allowed.
    fn changed(&self, resource: &ConfigResource, changes: &[Change]) -> Result<Vec<MetadataRecord>, AlterConfigError> {
        let now = self.image.configs().of(resource);
        let mut after = (**now).clone();
        for (name, value) in changes {
            match value {
                Some(value) if value.len() > MAX_VALUE_LENGTH => return Err(AlterConfigError::TooLong),
                Some(value) => after.insert(name.clone(), value.clone()),
                None => after.remove(name.as_str()),
            };
        }
        // The same value for a broker is news too: its files (key stores) may have changed.
        let is_news =
            |(name, value): &&Change| resource.kind == ResourceType::Broker || now.get(name.as_str()) != value.as_ref();
        let changes: Vec<_> = changes.iter().filter(is_news).collect();
        self.check_min_insync_replicas(resource, &changes)?;
        self.check_resource(resource, &after)?;
        let mut records: Vec<_> = changes.iter().map(|change| config_record(resource, change)).collect();
        records.extend(self.clear_elr(resource, &changes));
        Ok(records)
    }

    /// Eligible leader replicas were told apart with another `min.insync.replicas`: they have to start anew.
    fn clear_elr(&self, resource: &ConfigResource, changes: &[&Change]) -> Option<MetadataRecord> {
        let is_changed = changes.iter().any(|(name, _)| *name == "min.insync.replicas");
        let topic_name = match resource.kind {
            ResourceType::Topic => resource.name.clone(),
            ResourceType::Broker if resource.name.is_empty() => Str::EMPTY,
            _ => return None,
        };
        let is_needed = is_changed && self.image.features().is_elr_enabled();
        is_needed.then(|| ClearElrRecord { topic_name }.into())
    }
}

/// What IncrementalAlterConfigs does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

impl Operation {
    fn from_code(code: i8) -> Result<Self, AlterConfigError> {
        match code {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            other => Err(AlterConfigError::UnknownOperation(other)),
        }
    }
}

/// The scope of a resource's keys.
fn scope(kind: ResourceType) -> Option<ConfigScope> {
    match kind {
        ResourceType::Topic => Some(ConfigScope::Topic),
        ResourceType::Broker => Some(ConfigScope::Broker),
        ResourceType::Group => Some(ConfigScope::Group),
        ResourceType::ClientMetrics | ResourceType::BrokerLogger | ResourceType::Other(_) => None,
    }
}

/// The list that is there now, or the default one, with or without the items of `given`.
fn changed_list(
    resource: &ConfigResource,
    name: &Str,
    now: &ConfigValues,
    operation: Operation,
    given: &str,
) -> Result<Str, AlterConfigError> {
    let general = general_key(name)
        .filter(|_| resource.kind == ResourceType::Broker)
        .unwrap_or(name);
    let key = scope(resource.kind).and_then(|scope| definition(scope, general));
    let is_list = |key: &&Definition| key.kind == ConfigType::List;
    let Some(key) = key.filter(is_list) else {
        let operation = if operation == Operation::Append {
            "APPEND"
        } else {
            "SUBTRACT"
        };
        return Err(AlterConfigError::NotAList {
            operation,
            name: name.to_string(),
        });
    };
    let old = now
        .get(name.as_str())
        .map(Str::as_str)
        .or(key.default)
        .unwrap_or_default();
    let mut items: Vec<&str> = old.split(',').filter(|item| !item.is_empty()).collect();
    for item in given.split(',') {
        let position = items.iter().position(|present| *present == item);
        match (operation, position) {
            (Operation::Append, None) => items.push(item),
            (Operation::Subtract, Some(position)) => drop(items.remove(position)),
            _ => {}
        }
    }
    Ok(items.join(",").into())
}

fn config_record(resource: &ConfigResource, (name, value): &Change) -> MetadataRecord {
    let record = ConfigRecord {
        resource_type: resource.kind.code(),
        resource_name: resource.name.detached(),
        name: name.detached(),
        value: value.as_ref().map(Str::detached),
    };
    record.into()
}

fn resources_that_repeat<'a>(resources: impl Iterator<Item = (i8, &'a Str)>) -> BTreeSet<ConfigResource> {
    let mut seen = BTreeSet::new();
    let named = resources.map(|(kind, name)| ConfigResource::new(ResourceType::from_code(kind), name));
    named.filter(|resource| !seen.insert(resource.clone())).collect()
}

/// No key twice, and none without a value that needs one.
fn check_keys<'a>(keys: impl Iterator<Item = (&'a Str, bool)> + Clone) -> Result<(), AlterConfigError> {
    let mut seen = BTreeSet::new();
    if keys.clone().any(|(name, _)| !seen.insert(name)) {
        return Err(AlterConfigError::RepeatedKey);
    }
    let nulls: Vec<_> = keys
        .filter(|(_, lacks_value)| *lacks_value)
        .map(|(name, _)| name.as_str())
        .collect();
    if nulls.is_empty() {
        Ok(())
    } else {
        Err(AlterConfigError::NullValue(nulls.join(", ")))
    }
}

#[cfg(test)]
mod tests;
