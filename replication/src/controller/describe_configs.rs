//! DescribeConfigs and ListConfigResources.

use super::{Controller, InvalidTopicName, check_topic_name, text};
use crate::{
    config::{ConfigEntry, ConfigSource, SynonymEntry, effective::describe_client_metrics},
    image::{ConfigResource, ResourceType},
};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse, ListConfigResourcesRequest, ListConfigResourcesResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym},
        list_config_resources_response,
    },
};
use std::collections::BTreeSet;

/// Why a resource is not described. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum DescribeError {
    #[error(transparent)]
    InvalidTopicName(#[from] InvalidTopicName),
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("Broker id must be an integer, but it is: {0}")]
    BrokerIdNotANumber(String),
    #[error("Unexpected broker id, expected {expected} or empty string, but received {found}")]
    OtherBroker { expected: i32, found: String },
    #[error("Broker id must not be empty")]
    NoBroker,
    #[error("Client metrics subscription name must not be empty")]
    NoSubscription,
    #[error("Group name must not be empty")]
    NoGroup,
    #[error("Unexpected resource type {0} for resource {1}")]
    UnknownResourceType(i8, String),
}

impl DescribeError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidTopicName(_) => ErrorCode::InvalidTopicException,
            Self::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

impl Controller {
    /// DescribeConfigs. A key that is asked for but does not exist is absent from the answer.
    pub fn handle_describe_configs(&self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
        let results = request.resources.iter().map(|resource| {
            let verdict = self.describe(resource);
            let error = verdict.as_ref().err();
            let shown = |entry| result(entry, request.include_synonyms, request.include_documentation);
            DescribeConfigsResult {
                error_code: error.map_or(ErrorCode::None, DescribeError::code) as i16,
                error_message: error.and_then(text),
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                configs: verdict.unwrap_or_default().into_iter().map(shown).collect(),
            }
        });
        DescribeConfigsResponse {
            results: results.collect(),
            ..Default::default()
        }
    }

    fn describe(&self, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, DescribeError> {
        let name = resource.resource_name.as_str();
        let names: Option<BTreeSet<&str>> = match &resource.configuration_keys {
            Some(keys) if !keys.is_empty() => Some(keys.iter().map(Str::as_str).collect()),
            _ => None,
        };
        let (names, layers) = (names.as_ref(), self.layers());
        let kind = ResourceType::from_code(resource.resource_type);
        let stored = self.image.configs().of(&ConfigResource::new(kind, name));
        match kind {
            ResourceType::Topic => {
                check_topic_name(name)?;
                self.image.topics().by_name(name).ok_or(DescribeError::UnknownTopic)?;
                Ok(layers.describe_topic(stored, names))
            }
            ResourceType::Broker if name.is_empty() => Ok(layers.describe_cluster(names)),
            ResourceType::Broker => {
                self.check_own_id(name)?;
                Ok(layers.describe_broker(names))
            }
            // Log levels are not set by this API here: there are no loggers to list.
            ResourceType::BrokerLogger if name.is_empty() => Err(DescribeError::NoBroker),
            ResourceType::BrokerLogger => self.check_own_id(name).map(|()| Vec::new()),
            ResourceType::ClientMetrics if name.is_empty() => Err(DescribeError::NoSubscription),
            ResourceType::ClientMetrics => Ok(describe_client_metrics(stored, names)),
            ResourceType::Group if name.is_empty() => Err(DescribeError::NoGroup),
            ResourceType::Group => Ok(layers.describe_group(stored, names)),
            ResourceType::Other(code) => Err(DescribeError::UnknownResourceType(code, name.to_owned())),
        }
    }

    fn check_own_id(&self, name: &str) -> Result<(), DescribeError> {
        let expected = self.settings.node_id;
        match name.parse::<i32>() {
            Err(_) => Err(DescribeError::BrokerIdNotANumber(name.to_owned())),
            Ok(id) if id != expected => Err(DescribeError::OtherBroker {
                expected,
                found: name.to_owned(),
            }),
            Ok(_) => Ok(()),
        }
    }

    /// ListConfigResources (KIP-1142): topics and brokers that exist, groups and subscriptions with configs. No types
    /// in the request are all types.
    ///
    /// # Errors
    /// A type that has no configs is asked for: the code of the answer is UNSUPPORTED_VERSION.
    pub fn handle_list_config_resources(&self, request: &ListConfigResourcesRequest) -> ListConfigResourcesResponse {
        let asked: BTreeSet<ResourceType> = request
            .resource_types
            .iter()
            .copied()
            .map(ResourceType::from_code)
            .collect();
        if asked.iter().any(|kind| matches!(kind, ResourceType::Other(_))) {
            let error_code = ErrorCode::UnsupportedVersion as i16;
            return ListConfigResourcesResponse {
                error_code,
                ..Default::default()
            };
        }
        let is_asked = |kind: ResourceType| asked.is_empty() || asked.contains(&kind);
        let resource = |kind: ResourceType, name: Str| list_config_resources_response::ConfigResource {
            resource_name: name,
            resource_type: kind.code(),
        };
        let stored = self.image.configs().iter().map(|(resource, _)| resource);
        let stored = stored.filter(|it| matches!(it.kind, ResourceType::Group | ResourceType::ClientMetrics));
        let mut config_resources: Vec<_> = stored
            .filter(|it| is_asked(it.kind))
            .map(|it| resource(it.kind, it.name.clone()))
            .collect();
        for kind in [ResourceType::BrokerLogger, ResourceType::Broker] {
            if is_asked(kind) {
                let ids = self
                    .image
                    .brokers()
                    .iter()
                    .map(|broker| Str::from(broker.id.to_string()));
                config_resources.extend(ids.map(|id| resource(kind, id)));
            }
        }
        if is_asked(ResourceType::Topic) {
            let names = self.image.topics().iter().map(|topic| topic.name.clone());
            config_resources.extend(names.map(|name| resource(ResourceType::Topic, name)));
        }
        ListConfigResourcesResponse {
            config_resources,
            ..Default::default()
        }
    }
}

fn result(entry: ConfigEntry, include_synonyms: bool, include_documentation: bool) -> DescribeConfigsResourceResult {
    let synonym = |synonym: SynonymEntry| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Str::from),
        source: synonym.source.code(),
    };
    let synonyms = if include_synonyms { entry.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Str::from),
        read_only: entry.is_read_only,
        is_default: entry.source == ConfigSource::Default,
        config_source: entry.source.code(),
        is_sensitive: entry.is_sensitive,
        synonyms: synonyms.into_iter().map(synonym).collect(),
        config_type: entry.kind.map_or(0, |kind| kind.code()),
        documentation: entry.doc.filter(|_| include_documentation).map(Str::from_static),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::controller_with_topics;

    fn ask(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResult {
        let resource = DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| Str::from(*key)).collect()),
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource],
            include_synonyms: true,
            include_documentation: true,
        };
        let mut response = controller_with_topics(&["a"]).handle_describe_configs(&request);
        response.results.remove(0)
    }

    #[test]
    fn every_key_of_a_topic_is_shown_and_an_unknown_one_is_absent() {
        assert_eq!(ask(2, "a", None).configs.len(), 37);
        let some = ask(2, "a", Some(&["cleanup.policy", "no.such.key"]));
        let [config] = some.configs.as_slice() else {
            panic!("{some:?}")
        };
        assert_eq!(
            (config.value.as_deref(), config.config_source, config.is_default),
            (Some("delete"), 5, true)
        );
        assert_eq!((config.config_type, config.synonyms.len()), (7, 1));
        assert!(config.documentation.is_some());
    }

    #[test]
    fn brokers_are_described_by_their_id_and_the_cluster_by_no_name() {
        assert_eq!(ask(4, "1", None).configs.len(), 350);
        let cluster = ask(4, "", None);
        let [config] = cluster.configs.as_slice() else {
            panic!("{cluster:?}")
        };
        assert_eq!((config.name.as_str(), config.config_source), ("min.insync.replicas", 3));
    }

    #[test]
    fn refusals_read_as_those_of_kafka() {
        let refusal = |kind, name| {
            let result = ask(kind, name, None);
            (
                result.error_code,
                result.error_message.as_deref().unwrap_or_default().to_owned(),
            )
        };
        assert_eq!(refusal(2, "nope").0, 3);
        assert_eq!(refusal(2, "b/d").0, 17);
        let message = "Unexpected broker id, expected 1 or empty string, but received 7";
        assert_eq!(refusal(4, "7"), (42, message.to_owned()));
        assert_eq!(refusal(32, ""), (42, "Group name must not be empty".to_owned()));
        assert_eq!(refusal(0, "x").0, 42);
    }

    #[test]
    fn config_resources_are_listed_by_type() {
        let controller = controller_with_topics(&["a", "b"]);
        let list = |types: &[i8]| {
            let request = ListConfigResourcesRequest {
                resource_types: types.to_vec(),
            };
            let response = controller.handle_list_config_resources(&request);
            let shown = response
                .config_resources
                .iter()
                .map(|it| (it.resource_type, it.resource_name.to_string()));
            (response.error_code, shown.collect::<Vec<_>>())
        };
        assert_eq!(list(&[2]), (0, vec![(2, "a".into()), (2, "b".into())]));
        assert_eq!(list(&[]).1.len(), 4);
        assert_eq!(list(&[99]).0, 35);
    }
}
