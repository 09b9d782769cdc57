//! DescribeConfigs, key 32, versions 1-4. v1: sources and synonyms. v3: types and documentation. v4: flexible.

use super::{once::once, table::Call};
use crate::broker::Broker;
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use std::sync::Arc;

pub(super) fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    mut request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    request.resources = once(request.resources, |resource| {
        let keys = resource.configuration_keys.clone();
        (resource.resource_type, resource.resource_name.clone(), keys)
    });
    broker.reading_controller().handle_describe_configs(&request)
}
