//! InitProducerId, key 22, versions 0-5.
//!
//! v2: flexible. v3: current id and epoch (KIP-360). v4: PRODUCER_FENCED. v5: TRANSACTION_ABORTABLE (KIP-890).
//! Not done: transactional ids. A producer that names one hears that there is no transaction coordinator.

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{InitProducerIdRequest, InitProducerIdResponse},
};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_epoch: -1,
        ..Default::default()
    };
    let is_given = (request.producer_id != -1, request.producer_epoch != -1);
    if is_given.0 != is_given.1 {
        // Half an identity: Kafka checks it before it looks at the transactional id.
        return refused(ErrorCode::InvalidRequest);
    }
    if let Some(id) = &request.transactional_id {
        return refused(if id.is_empty() {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::CoordinatorNotAvailable
        });
    }
    // Without a transactional id there is no state to continue: Kafka too gives a new id each time (KIP-98).
    match broker.producer_ids.next(broker).await {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => refused(error),
    }
}
