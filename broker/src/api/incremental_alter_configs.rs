//! IncrementalAlterConfigs, key 44, versions 0-1 (KIP-339). v1: flexible.

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, _| controller.handle_incremental_alter_configs(&request))
        .await
}
