//! DescribeConfigs, key 32, versions 1-4. v1: sources and synonyms. v3: types and documentation. v4: flexible.

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use std::sync::Arc;

pub(super) fn handle(broker: &Arc<Broker>, _call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    broker.reading_controller().handle_describe_configs(&request)
}
