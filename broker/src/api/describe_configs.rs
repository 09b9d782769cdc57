//! DescribeConfigs, key 32, versions 1-4. v1: sources and synonyms. v3: types and documentation. v4: flexible.

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym},
    },
};
use ottla_replication::{
    config::{ConfigEntry, Layers, effective::describe_client_metrics},
    image::{ConfigResource, MetadataImage, ResourceType},
};
use std::{collections::BTreeSet, sync::Arc};

struct Refusal {
    code: ErrorCode,
    message: String,
}

#[derive(Clone, Copy)]
struct Show {
    with_synonyms: bool,
    with_documentation: bool,
}

pub(super) fn handle(broker: &Arc<Broker>, _call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = broker.image.load();
    let show = Show {
        with_synonyms: request.include_synonyms,
        with_documentation: request.include_documentation,
    };
    let results = request.resources.into_iter().map(|resource| {
        let (error_code, error_message, configs) = match describe(broker, &image, &resource) {
            Ok(entries) => (0, None, entries.into_iter().map(|entry| show.entry(entry)).collect()),
            Err(refusal) => (refusal.code.code(), Some(refusal.message.into()), Vec::new()),
        };
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    });
    DescribeConfigsResponse {
        results: results.collect(),
        ..Default::default()
    }
}

fn describe(
    broker: &Broker,
    image: &MetadataImage,
    asked: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, Refusal> {
    let names: Option<BTreeSet<&str>> = asked
        .configuration_keys
        .as_ref()
        .map(|keys| keys.iter().map(|key| key.as_str()).collect());
    let names = names.as_ref();
    let name = asked.resource_name.as_str();
    let layers = broker.layers(image);
    let resource_type = ResourceType::from_code(asked.resource_type);
    let stored = image.configs().of(&ConfigResource::new(resource_type, name));
    match resource_type {
        ResourceType::Topic => describe_topic(image, &layers, name, names),
        ResourceType::Broker if name.is_empty() => Ok(layers.describe_cluster(names)),
        ResourceType::Broker if name == broker.node_id.to_string() => Ok(layers.describe_broker(names)),
        ResourceType::Broker => {
            let message = format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                broker.node_id
            );
            Err(Refusal {
                code: ErrorCode::InvalidRequest,
                message,
            })
        }
        ResourceType::Group if name.is_empty() => Err(Refusal {
            code: ErrorCode::InvalidRequest,
            message: "Group name must not be empty".into(),
        }),
        ResourceType::Group => Ok(layers.describe_group(stored, names)),
        ResourceType::ClientMetrics if name.is_empty() => {
            let message = "Client metrics subscription name must not be empty".into();
            Err(Refusal {
                code: ErrorCode::InvalidRequest,
                message,
            })
        }
        ResourceType::ClientMetrics => Ok(describe_client_metrics(stored, names)),
        // There are no loggers that could be set one by one; the list of them is empty.
        ResourceType::BrokerLogger => Ok(Vec::new()),
        ResourceType::Other(code) => {
            let message = format!("Unsupported resource type: {code}");
            Err(Refusal {
                code: ErrorCode::InvalidRequest,
                message,
            })
        }
    }
}

fn describe_topic(
    image: &MetadataImage,
    layers: &Layers<'_>,
    name: &str,
    names: Option<&BTreeSet<&str>>,
) -> Result<Vec<ConfigEntry>, Refusal> {
    if let Err(error) = ottla_replication::controller::check_topic_name(name) {
        return Err(Refusal {
            code: ErrorCode::InvalidTopicException,
            message: error.to_string(),
        });
    }
    match image.topics().by_name(name) {
        Some(_) => Ok(layers.describe_topic(image.configs().of_topic(name), names)),
        None => Err(Refusal {
            code: ErrorCode::UnknownTopicOrPartition,
            message: "This server does not host this topic-partition.".into(),
        }),
    }
}

impl Show {
    fn entry(self, entry: ConfigEntry) -> DescribeConfigsResourceResult {
        let synonyms = if self.with_synonyms { entry.synonyms } else { Vec::new() };
        DescribeConfigsResourceResult {
            name: entry.name.into(),
            value: entry.value.map(Into::into),
            read_only: entry.is_read_only,
            is_default: false,
            config_source: entry.source.code(),
            is_sensitive: entry.is_sensitive,
            synonyms: synonyms
                .into_iter()
                .map(|synonym| DescribeConfigsSynonym {
                    name: synonym.name.into(),
                    value: synonym.value.map(Into::into),
                    source: synonym.source.code(),
                })
                .collect(),
            config_type: entry.kind.map_or(0, |kind| kind.code()),
            documentation: entry.doc.filter(|_| self.with_documentation).map(Into::into),
        }
    }
}
