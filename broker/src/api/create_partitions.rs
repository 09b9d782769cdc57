//! CreatePartitions, key 37, versions 0-3. v2: flexible.

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, turn| controller.handle_create_partitions(&request, &mut turn.random))
        .await
}
