//! LeaveGroup, key 13, versions 0-5; groups of both protocols.
//!
//! v3: several members at once, static ones too (KIP-345). v4: flexible. v5: reason (KIP-800).

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{Caller, Reply, check_group_id};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{LeaveGroupRequest, LeaveGroupResponse},
};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let version = call.version;
    let group = request.group_id.clone();
    let members = request.members.iter().map(|member| &member.member_id);
    let leaving: Vec<Str> = members.chain([&request.member_id]).cloned().collect();
    if let Err(error) = check_group_id(&group) {
        return refused(error);
    }
    let decided = broker.coordinators.decide(broker, &group, move |groups, ticket, now| {
        let caller = Caller {
            version,
            client_id: "",
            client_host: "",
            fresh_member_id: Uuid::ZERO,
        };
        groups.handle_leave_group(ticket, &request, &caller, now)
    });
    let response = match decided.await {
        Ok(Reply::LeaveGroup(response)) => response,
        Ok(_) => refused(ErrorCode::UnknownServerError),
        Err(error) => refused(error),
    };
    tracing::debug!(target: "ottla::groups", group = &*group, members = ?leaving, error = response.error_code, "LeaveGroup");
    response
}

fn refused(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse {
        error_code: error.code(),
        ..Default::default()
    }
}
