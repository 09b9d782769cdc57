//! InitProducerId, key 22, versions 0-5, and 6 under `unstable.api.versions.enable`.
//!
//! v2: flexible. v3: current id and epoch (KIP-360). v4: PRODUCER_FENCED. v5: TRANSACTION_ABORTABLE (KIP-890).
//! v6: two-phase commit (KIP-939), which is not done: whoever asks for it is refused as by Kafka 4.4 without
//! `transaction.two.phase.commit.enable`, and so is whoever wants to keep what was prepared, which Kafka cannot do either.

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{InitProducerId, Producer, TransactionError};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
    messages::{InitProducerIdRequest, InitProducerIdResponse},
};
use std::sync::Arc;

/// From this version on clients know PRODUCER_FENCED.
const FENCED_FROM: i16 = 4;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    match init(broker, request).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: as_known(error, call.version >= FENCED_FROM).code(),
            producer_epoch: -1,
            ..Default::default()
        },
    }
}

/// PRODUCER_FENCED as clients call it that do not know it.
pub(super) fn as_known(error: ErrorCode, knows_fenced: bool) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if !knows_fenced => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

async fn init(broker: &Arc<Broker>, request: InitProducerIdRequest) -> Result<Producer, ErrorCode> {
    let is_given = (request.producer_id != -1, request.producer_epoch != -1);
    if is_given.0 != is_given.1 {
        // Half an identity: Kafka checks it before it looks at the transactional id.
        return Err(ErrorCode::InvalidRequest);
    }
    let current = Producer {
        id: ProducerId(request.producer_id),
        epoch: ProducerEpoch(request.producer_epoch),
    };
    match request.transactional_id {
        // Without a transactional id there is no state to continue: Kafka too gives a new id each time (KIP-98).
        None => Ok(Producer {
            id: broker.producer_ids.next(broker).await?,
            epoch: ProducerEpoch(0),
        }),
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        Some(_) if request.enable2_pc => Err(ErrorCode::TransactionalIdAuthorizationFailed),
        Some(_) if request.keep_prepared_txn => Err(ErrorCode::UnsupportedVersion),
        Some(id) => {
            let asked = InitProducerId {
                transactional_id: id.detached(),
                timeout_ms: request.transaction_timeout_ms,
                expected: is_given.0.then_some(current),
            };
            init_transactional(broker, &id, asked).await
        }
    }
}

async fn init_transactional(broker: &Arc<Broker>, id: &Str, asked: InitProducerId) -> Result<Producer, ErrorCode> {
    let mut fresh = None;
    loop {
        let asked = asked.clone();
        let decide = broker.transactions.decide(broker, id, move |transactions, now| {
            transactions.handle_init_producer_id(&asked, fresh, now)
        });
        match decide.await? {
            // Only the coordinator knows whether one is needed.
            Err(TransactionError::NeedsProducerId) if fresh.is_none() => {
                fresh = Some(broker.producer_ids.next(broker).await?);
            }
            decided => return decided.map_err(TransactionError::code),
        }
    }
}
