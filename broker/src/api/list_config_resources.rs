//! ListConfigResources, key 74, versions 0-1. v0: client metrics only (KIP-1000). v1: any type (KIP-1142).

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{
        ListConfigResourcesRequest, ListConfigResourcesResponse, list_config_resources_response::ConfigResource,
    },
};
use ottla_replication::image::{MetadataImage, ResourceType};
use std::{collections::BTreeSet, sync::Arc};

pub(super) fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let image = broker.image.load();
    let asked: BTreeSet<i8> = match call.version {
        0 => [ResourceType::ClientMetrics.code()].into(),
        _ if request.resource_types.is_empty() => ResourceType::ALL.map(ResourceType::code).into(),
        _ => request.resource_types.into_iter().collect(),
    };
    if asked
        .iter()
        .any(|code| matches!(ResourceType::from_code(*code), ResourceType::Other(_)))
    {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            ..Default::default()
        };
    }
    let config_resources = asked.into_iter().flat_map(|code| {
        names(broker, &image, ResourceType::from_code(code))
            .into_iter()
            .map(move |resource_name| ConfigResource {
                resource_name: resource_name.into(),
                resource_type: code,
            })
    });
    ListConfigResourcesResponse {
        config_resources: config_resources.collect(),
        ..Default::default()
    }
}

/// Topics and brokers are there whether or not anything is set for them; the rest is known by what is set.
fn names(broker: &Broker, image: &MetadataImage, resource_type: ResourceType) -> Vec<String> {
    match resource_type {
        ResourceType::Topic => image.topics().iter().map(|topic| topic.name.to_string()).collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => vec![broker.node_id.to_string()],
        _ => {
            let resources = image.configs().iter().map(|(resource, _)| resource);
            let of_type = resources.filter(|resource| resource.kind == resource_type);
            of_type.map(|resource| resource.name.to_string()).collect()
        }
    }
}
