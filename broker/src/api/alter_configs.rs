//! AlterConfigs, key 33, versions 0-2. v2: flexible.
//!
//! Replaces all that a resource has set: what is not named goes back to its default.

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, _| controller.handle_alter_configs(&request))
        .await
}
