//! EndTxn, key 26, versions 0-5.
//!
//! v2: PRODUCER_FENCED. v3: flexible. v4: TRANSACTION_ABORTABLE. v5: the answer has the producer as which the client
//! goes on: each end bumps the epoch (KIP-890, second part).

use super::{init_producer_id::as_known, table::Call};
use crate::broker::Broker;
use ottla_coordinator::{EndTxn, Producer, TransactionError};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
    messages::{EndTxnRequest, EndTxnResponse},
};
use std::sync::Arc;

/// From this version on clients know PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;
/// From this version on each end bumps the epoch.
const BUMPS_FROM: i16 = 5;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: EndTxnRequest) -> EndTxnResponse {
    let asked = EndTxn {
        transactional_id: request.transactional_id.detached(),
        producer: Producer {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        },
        is_commit: request.committed,
        client_version: if call.version >= BUMPS_FROM { 2 } else { 0 },
    };
    match end(broker, &request.transactional_id, asked).await {
        Ok(producer) => EndTxnResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..Default::default()
        },
        Err(error) => EndTxnResponse {
            error_code: as_known(error, call.version >= FENCED_FROM).code(),
            ..Default::default()
        },
    }
}

async fn end(broker: &Arc<Broker>, id: &Str, asked: EndTxn) -> Result<Producer, ErrorCode> {
    let mut fresh = None;
    loop {
        let asked = asked.clone();
        let decide = broker.transactions.decide(broker, id, move |transactions, now| {
            transactions.handle_end_txn(&asked, fresh, now)
        });
        match decide.await? {
            // The epochs are used up: the producer goes on under another id.
            Err(TransactionError::NeedsProducerId) if fresh.is_none() => {
                fresh = Some(broker.producer_ids.next(broker).await?);
            }
            decided => return decided.map_err(TransactionError::code),
        }
    }
}
