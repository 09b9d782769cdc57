//! DeleteGroups, key 42, versions 0-3 (KIP-229). v2: flexible. v3: error message (KIP-1071).

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{Reply, deletion_refused};
use ottla_protocol::{
    ErrorCode,
    messages::{DeleteGroupsRequest, DeleteGroupsResponse},
};
use std::sync::Arc;

pub(super) async fn handle(broker: &Arc<Broker>, _call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for groups_ids in broker.coordinators.by_shard(broker, &request.groups_names) {
        let asked = groups_ids.clone();
        let decided = broker
            .coordinators
            .decide(broker, &groups_ids[0], move |groups, ticket, _| {
                groups.handle_delete_groups(ticket, &asked)
            });
        let error = match decided.await {
            Ok(Reply::DeleteGroups(deleted)) => {
                results.extend(deleted);
                continue;
            }
            Ok(_) => ErrorCode::UnknownServerError,
            Err(error) => error,
        };
        results.extend(groups_ids.iter().map(|group_id| deletion_refused(group_id, error)));
    }
    DeleteGroupsResponse {
        results,
        ..Default::default()
    }
}
