//! Heartbeat, key 12, versions 0-4; classic members (KIP-848 has its own). v3: group_instance_id (KIP-345).
//! v4: flexible.

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{Reply, check_group_id};
use ottla_protocol::{
    ErrorCode,
    messages::{HeartbeatRequest, HeartbeatResponse},
};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, _call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let group = request.group_id.clone();
    if let Err(error) = check_group_id(&group) {
        return answered(error);
    }
    let decided = broker.coordinators.decide(broker, &group, move |groups, ticket, now| {
        groups.handle_heartbeat(ticket, &request, now)
    });
    let error = match decided.await {
        Ok(Reply::Heartbeat(response)) => return response,
        Ok(_) => ErrorCode::UnknownServerError,
        // Sessions begin when loading has ended: nobody is late.
        Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
        Err(error) => error,
    };
    answered(error)
}

fn answered(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse {
        error_code: error.code(),
        ..Default::default()
    }
}
