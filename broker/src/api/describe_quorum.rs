//! DescribeQuorum, key 55, versions 0-2. v1: fetch times (KIP-836). v2: directory ids and listeners (KIP-853).

use super::table::Call;
use crate::{broker::Broker, clock::now_ms};
use ottla_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use std::sync::Arc;

pub(super) fn handle(broker: &Arc<Broker>, call: &Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    broker.metadata_log.describe(&request, call.version, now_ms())
}
