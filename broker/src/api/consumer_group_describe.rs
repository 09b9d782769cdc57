//! ConsumerGroupDescribe, key 69, versions 0-1 (KIP-848). v1: the kind of each member (KIP-1099).

use super::{operations, table::Call};
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, consumer_group_describe_response::DescribedGroup,
    },
};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    let is_served = broker.coordinators.serves_consumer_groups();
    for group_id in request.group_ids {
        if !is_served {
            groups.push(refused(group_id, ErrorCode::UnsupportedVersion));
            continue;
        }
        if group_id.is_empty() {
            groups.push(refused(group_id, ErrorCode::InvalidGroupId));
            continue;
        }
        let asked = group_id.clone();
        let look = broker
            .coordinators
            .look(broker, &group_id, move |groups| groups.describe_consumer_group(&asked));
        let mut described = look.await.unwrap_or_else(|error| refused(group_id, error));
        if request.include_authorized_operations && described.error_code == ErrorCode::None.code() {
            described.authorized_operations = operations::GROUP;
        }
        groups.push(described);
    }
    ConsumerGroupDescribeResponse {
        groups,
        ..Default::default()
    }
}

fn refused(group_id: ottla_protocol::Str, error: ErrorCode) -> DescribedGroup {
    DescribedGroup {
        group_id,
        error_code: error.code(),
        ..Default::default()
    }
}
