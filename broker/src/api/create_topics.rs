//! CreateTopics, key 19, versions 2-7. v4: defaults for partitions and replicas (KIP-464). v5: configs in the answer
//! (KIP-525), flexible. v7: topic ids.

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, turn| controller.handle_create_topics(&request, &mut turn.random))
        .await
}
