//! ElectLeaders, key 43, versions 0-2. v1: unclean election (KIP-460). v2: flexible.

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let version = call.version;
    broker.controller.write(move |controller, context| controller.handle_elect_leaders(&request, context.at(version))).await
}
