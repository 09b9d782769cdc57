//! DeleteTopics, key 20, versions 1-6. v4: flexible. v5: messages. v6: by topic id (KIP-516).

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let version = call.version;
    broker.controller.write(move |controller, context| controller.handle_delete_topics(&request, context.at(version))).await
}
