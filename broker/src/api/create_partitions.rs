//! CreatePartitions, key 37, versions 0-3. v2: flexible.

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let version = call.version;
    broker.controller.write(move |controller, context| controller.handle_create_partitions(&request, context.at(version))).await
}
