//! ConsumerGroupHeartbeat, key 68, versions 0-1 (KIP-848).
//!
//! Epoch 0 into a classic group of consumers converts it. v1: regular expressions, member ids of the members' own (KIP-1082).

use super::table::Call;
use crate::{broker::Broker, log_store::new_id};
use ottla_coordinator::{Caller, Reply, check_consumer_group_heartbeat};
use ottla_protocol::{
    ErrorCode,
    messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse},
};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if !broker.coordinators.serves_consumer_groups() {
        return refused(ErrorCode::UnsupportedVersion);
    }
    if let Err(response) = check_consumer_group_heartbeat(&request, call.version, broker.coordinators.config()) {
        return *response;
    }
    let (version, client_id, client_host) = (call.version, call.client_id.detached(), call.client_host());
    let group = request.group_id.clone();
    let decided = broker.coordinators.decide(broker, &group, move |groups, ticket, now| {
        let caller = Caller {
            version,
            client_id: &client_id,
            client_host: &client_host,
            fresh_member_id: new_id(),
        };
        groups.handle_consumer_group_heartbeat(ticket, &request, &caller, now)
    });
    match decided.await {
        Ok(Reply::ConsumerGroupHeartbeat(response)) => response,
        Ok(_) => refused(ErrorCode::UnknownServerError),
        Err(error) => refused(error),
    }
}

fn refused(error: ErrorCode) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: error.code(),
        ..Default::default()
    }
}
