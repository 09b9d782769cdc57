//! AlterPartitionReassignments, key 45, versions 0-1. (KIP-455) v1: replication factor may be held (KIP-860).

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: AlterPartitionReassignmentsRequest,
) -> Result<AlterPartitionReassignmentsResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, _| controller.handle_alter_partition_reassignments(&request))
        .await
}
