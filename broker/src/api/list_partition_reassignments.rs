//! ListPartitionReassignments, key 46, version 0 (KIP-455).

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
use std::sync::Arc;

pub(super) fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    broker
        .reading_controller()
        .handle_list_partition_reassignments(&request)
}
