//! WriteTxnMarkers, key 27, versions 1-2: what the coordinator of a transaction asks the leaders of its partitions for.
//!
//! v1: flexible. v2: transaction version (KIP-890): from 2 on each marker has an epoch of its own.
//! Not done: CLUSTER_ACTION, with the other authorisation.

use super::table::Call;
use crate::{
    broker::Broker,
    markers::{self, Marker},
};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
    messages::{
        WriteTxnMarkersRequest, WriteTxnMarkersResponse,
        write_txn_markers_request::WritableTxnMarker,
        write_txn_markers_response::{
            WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
        },
    },
};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let mut markers = Vec::with_capacity(request.markers.len());
    for asked in request.markers {
        markers.push(write(broker, asked).await);
    }
    WriteTxnMarkersResponse { markers }
}

async fn write(broker: &Arc<Broker>, asked: WritableTxnMarker) -> WritableTxnMarkerResult {
    let marker = Marker {
        producer_id: ProducerId(asked.producer_id),
        producer_epoch: ProducerEpoch(asked.producer_epoch),
        coordinator_epoch: asked.coordinator_epoch,
        is_commit: asked.transaction_result,
        transaction_version: asked.transaction_version,
    };
    let partitions: Vec<(Str, i32)> = asked
        .topics
        .iter()
        .flat_map(|topic| topic.partition_indexes.iter().map(|index| (topic.name.clone(), *index)))
        .collect();
    let codes = match marker.producer_id.is_some() && marker.producer_epoch.is_some() {
        true => markers::write(broker, &marker, &partitions).await,
        false => vec![ErrorCode::InvalidRequest; partitions.len()],
    };
    let mut codes = codes.into_iter();
    let mut result = |partition_index: i32| WritableTxnMarkerPartitionResult {
        partition_index,
        error_code: codes.next().unwrap_or(ErrorCode::UnknownServerError).code(),
    };
    let topics = asked.topics.into_iter().map(|topic| WritableTxnMarkerTopicResult {
        partitions: topic.partition_indexes.into_iter().map(&mut result).collect(),
        name: topic.name,
    });
    WritableTxnMarkerResult {
        producer_id: asked.producer_id,
        topics: topics.collect(),
    }
}
