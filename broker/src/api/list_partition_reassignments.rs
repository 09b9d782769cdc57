//! ListPartitionReassignments, key 46, versions 0. (KIP-455)

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: ListPartitionReassignmentsRequest,
) -> Result<ListPartitionReassignmentsResponse, Stopped> {
    broker.controller.write(move |controller, _| controller.handle_list_partition_reassignments(&request)).await
}
