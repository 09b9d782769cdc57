//! ElectLeaders, key 43, versions 0-2. v1: unclean election (KIP-460). v2: flexible.

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: ElectLeadersRequest,
) -> Result<ElectLeadersResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, _| controller.handle_elect_leaders(&request))
        .await
}
