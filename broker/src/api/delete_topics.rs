//! DeleteTopics, key 20, versions 1-6. v4: flexible. v5: messages. v6: by topic id (KIP-516).

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, _| controller.handle_delete_topics(&request))
        .await
}
