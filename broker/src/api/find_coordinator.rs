//! FindCoordinator, key 10, versions 0-6.
//!
//! v1: error message, key type. v3: flexible. v4: several keys (KIP-699). v6: share groups (KIP-932).
//! Creates `__consumer_offsets` and `__transaction_state` where they are missing. Not done: coordinators of share groups.

use super::table::Call;
use crate::broker::{Broker, ClientEndpoint};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator},
};
use std::sync::Arc;

/// From this version on the request has several keys.
const BATCHED_FROM: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if call.version < BATCHED_FROM {
        let found = find(broker, call, request.key_type, &request.key).await;
        let Coordinator {
            node_id,
            host,
            port,
            error_code,
            error_message,
            ..
        } = coordinator(Str::EMPTY, found);
        return FindCoordinatorResponse {
            error_code,
            // What Kafka says where there is no error, in these versions.
            error_message: error_message.filter(|text| !text.is_empty()).or(Some("NONE".into())),
            node_id,
            host,
            port,
            ..Default::default()
        };
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in request.coordinator_keys {
        let found = find(broker, call, request.key_type, &key).await;
        coordinators.push(coordinator(key, found));
    }
    FindCoordinatorResponse {
        coordinators,
        ..Default::default()
    }
}

async fn find(broker: &Broker, call: &Call, key_type: i8, key: &Str) -> Result<ClientEndpoint, ErrorCode> {
    let leader = match key_type {
        GROUP => broker.coordinators.leader_for(broker, key).await?,
        TRANSACTION => broker.transactions.leader_for(broker, key).await?,
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let endpoints = broker.client_endpoints(&call.peer.listener);
    let endpoint = endpoints.into_iter().find(|endpoint| endpoint.node_id == leader);
    endpoint.ok_or(ErrorCode::CoordinatorNotAvailable)
}

fn coordinator(key: Str, found: Result<ClientEndpoint, ErrorCode>) -> Coordinator {
    match found {
        Ok(endpoint) => Coordinator {
            key,
            node_id: endpoint.node_id.0,
            host: endpoint.host,
            port: endpoint.port,
            error_message: Some(Str::EMPTY),
            ..Default::default()
        },
        Err(error) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code(),
            error_message: Some(Str::from_static(error.name())),
            ..Default::default()
        },
    }
}
