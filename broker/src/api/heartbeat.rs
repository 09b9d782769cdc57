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
    let (group, member, generation) = (
        request.group_id.clone(),
        request.member_id.clone(),
        request.generation_id,
    );
    if let Err(error) = check_group_id(&group) {
        return answered(error);
    }
    let decided = broker.coordinators.decide(broker, &group, move |groups, ticket, now| {
        groups.handle_heartbeat(ticket, &request, now)
    });
    let response = match decided.await {
        Ok(Reply::Heartbeat(response)) => response,
        Ok(_) => answered(ErrorCode::UnknownServerError),
        // Sessions begin when loading has ended: nobody is late.
        Err(ErrorCode::CoordinatorLoadInProgress) => answered(ErrorCode::None),
        Err(error) => answered(error),
    };
    if response.error_code != ErrorCode::None.code() {
        tracing::debug!(target: "ottla::groups", group = &*group, member = &*member, generation, error = response.error_code, "Heartbeat");
    }
    response
}

fn answered(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse {
        error_code: error.code(),
        ..Default::default()
    }
}
