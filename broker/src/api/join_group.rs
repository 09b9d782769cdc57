//! JoinGroup, key 11, versions 0-9; classic groups, and classic members of consumer groups.
//!
//! v1: rebalance time-out. v4: member id required (KIP-394). v5: group_instance_id (KIP-345). v6: flexible.
//! v7: protocol type and name (KIP-559). v8: reason (KIP-800). v9: skip_assignment (KIP-814).

use super::table::Call;
use crate::{broker::Broker, log_store::new_id};
use ottla_coordinator::{Caller, Reply, check_join_group};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{JoinGroupRequest, JoinGroupResponse},
};
use std::sync::Arc;

/// From this version on the name of the protocol may be null.
const NULL_PROTOCOL_FROM: i16 = 7;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let (version, client_id, client_host) = (call.version, call.client_id.detached(), call.client_host());
    let (group, member_id, reason) = (
        request.group_id.clone(),
        request.member_id.clone(),
        request.reason.clone(),
    );
    if let Err(error) = check_join_group(&request, broker.coordinators.config()) {
        return refused(version, member_id, error);
    }
    let decided = broker.coordinators.decide(broker, &group, move |groups, ticket, now| {
        let caller = Caller {
            version,
            client_id: &client_id,
            client_host: &client_host,
            fresh_member_id: new_id(),
        };
        groups.handle_join_group(ticket, &request, &caller, now)
    });
    let mut response = match decided.await {
        Ok(Reply::JoinGroup(response)) => response,
        Ok(_) => refused(version, member_id, ErrorCode::UnknownServerError),
        Err(error) => refused(version, member_id, error),
    };
    if version < NULL_PROTOCOL_FROM {
        response.protocol_name.get_or_insert(Str::EMPTY);
    }
    tracing::debug!(target: "ottla::groups", group = &*group, member = &*response.member_id, generation = response.generation_id,
        leader = &*response.leader, error = response.error_code, reason = reason.as_deref(), "JoinGroup");
    response
}

fn refused(version: i16, member_id: Str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        protocol_name: (version < NULL_PROTOCOL_FROM).then_some(Str::EMPTY),
        member_id,
        ..Default::default()
    }
}
