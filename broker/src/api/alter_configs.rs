//! AlterConfigs, key 33, versions 0-2. v2: flexible.
//!
//! Replaces all that a resource has set: what is not named goes back to its default.

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let version = call.version;
    broker.controller.write(move |controller, context| controller.handle_alter_configs(&request, context.at(version))).await
}
