//! DescribeGroups, key 15, versions 0-6; classic groups, others are not found.
//!
//! v3: authorized operations (KIP-430). v4: group_instance_id (KIP-345). v5: flexible. v6: GROUP_ID_NOT_FOUND with a
//! message (KIP-1043).

use super::{once::once, operations, table::Call};
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{DescribeGroupsRequest, DescribeGroupsResponse, describe_groups_response::DescribedGroup},
};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let version = call.version;
    let mut groups = Vec::new();
    for group_id in once(request.groups, Clone::clone) {
        let asked = group_id.clone();
        let look = broker
            .coordinators
            .look(broker, &group_id, move |groups| groups.describe_group(&asked, version));
        let mut described = look.await.unwrap_or_else(|error| DescribedGroup {
            group_id: group_id.clone(),
            error_code: error.code(),
            ..Default::default()
        });
        let is_known = described.error_code == ErrorCode::None.code() && described.group_state != "Dead";
        if request.include_authorized_operations && is_known {
            described.authorized_operations = operations::GROUP;
        }
        groups.push(described);
    }
    DescribeGroupsResponse {
        groups,
        ..Default::default()
    }
}
