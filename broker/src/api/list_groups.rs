//! ListGroups, key 16, versions 0-5. v3: flexible. v4: state and its filter (KIP-518). v5: type and its filter (KIP-848).

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, _call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let look = broker.coordinators.look_at_all(broker, move |groups| {
        groups.list_groups(&request.states_filter, &request.types_filter)
    });
    match look.await {
        Ok(groups) => ListGroupsResponse {
            groups: groups.into_iter().flatten().collect(),
            ..Default::default()
        },
        Err(error) => ListGroupsResponse {
            error_code: error.code(),
            ..Default::default()
        },
    }
}
