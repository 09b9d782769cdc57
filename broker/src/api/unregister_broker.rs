//! UnregisterBroker, key 64, versions 0. (KIP-631)

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: UnregisterBrokerRequest,
) -> Result<UnregisterBrokerResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, _| controller.handle_unregister_broker(&request))
        .await
}
