//! DescribeCluster, key 60, versions 0-2. v1: endpoint type (KIP-919). v2: fenced brokers (KIP-1073).

use super::{operations, table::Call};
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{DescribeClusterRequest, DescribeClusterResponse, describe_cluster_response::DescribeClusterBroker},
};
use std::sync::Arc;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(broker: &Arc<Broker>, call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let refused = |error: ErrorCode, message: &str| DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(message.into()),
        endpoint_type: request.endpoint_type,
        ..Default::default()
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            return refused(
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
            );
        }
        _ => return refused(ErrorCode::UnsupportedEndpointType, "Unsupported endpoint type"),
    }
    let brokers = broker
        .client_endpoints(&call.peer.listener)
        .into_iter()
        .map(|endpoint| DescribeClusterBroker {
            broker_id: endpoint.node_id.0,
            host: endpoint.host,
            port: endpoint.port,
            rack: endpoint.rack,
            is_fenced: false,
        });
    let operations = if request.include_cluster_authorized_operations {
        operations::CLUSTER
    } else {
        operations::NOT_ASKED
    };
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: broker.cluster_id.clone(),
        controller_id: broker.node_id.0,
        brokers: brokers.collect(),
        cluster_authorized_operations: operations,
        ..Default::default()
    }
}
