//! IncrementalAlterConfigs, key 44, versions 0-1. v1: flexible (KIP-339).

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let version = call.version;
    broker.controller.write(move |controller, context| controller.handle_incremental_alter_configs(&request, context.at(version))).await
}
