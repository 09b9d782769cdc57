//! ListConfigResources, key 74, versions 0-1. v0: client metrics only (KIP-1000). v1: any type (KIP-1142).

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use std::sync::Arc;

pub(super) fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    mut request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    if call.version == 0 {
        // There was nothing else to list then.
        request.resource_types = vec![ottla_replication::image::ResourceType::ClientMetrics.code()];
    }
    broker.reading_controller().handle_list_config_resources(&request)
}
