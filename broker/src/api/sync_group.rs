//! SyncGroup, key 14, versions 0-5; classic groups, and classic members of consumer groups.
//!
//! v3: group_instance_id (KIP-345). v4: flexible. v5: protocol type and name, which must both be given (KIP-559).

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{Reply, check_group_id};
use ottla_protocol::{
    ErrorCode,
    messages::{SyncGroupRequest, SyncGroupResponse},
};
use std::sync::Arc;

/// From this version on a member says which protocol it believes was chosen.
const PROTOCOL_FROM: i16 = 5;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if call.version >= PROTOCOL_FROM && !names_protocol {
        return refused(ErrorCode::InconsistentGroupProtocol);
    }
    let (group, member, generation) = (
        request.group_id.clone(),
        request.member_id.clone(),
        request.generation_id,
    );
    if let Err(error) = check_group_id(&group) {
        return refused(error);
    }
    let decided = broker.coordinators.decide(broker, &group, move |groups, ticket, now| {
        groups.handle_sync_group(ticket, &request, now)
    });
    let response = match decided.await {
        Ok(Reply::SyncGroup(response)) => response,
        Ok(_) => refused(ErrorCode::UnknownServerError),
        Err(error) => refused(error),
    };
    tracing::debug!(target: "ottla::groups", group = &*group, member = &*member, generation, error = response.error_code, "SyncGroup");
    response
}

fn refused(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: error.code(),
        ..Default::default()
    }
}
