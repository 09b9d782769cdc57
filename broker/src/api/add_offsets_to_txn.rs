//! AddOffsetsToTxn, key 25, versions 0-4: makes the partition that holds a group's offsets part of a transaction.
//!
//! v2: PRODUCER_FENCED. v3: flexible. v4: TRANSACTION_ABORTABLE (KIP-890).

use super::{init_producer_id::as_known, table::Call};
use crate::{
    broker::Broker,
    coordinators::{OFFSETS_TOPIC, partition_of},
    transactions,
};
use ottla_coordinator::Producer;
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerEpoch, ProducerId},
    messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
};
use std::sync::Arc;

/// From this version on clients know PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let code = add(broker, request).await.unwrap_or_else(|error| error);
    AddOffsetsToTxnResponse {
        error_code: as_known(code, call.version >= FENCED_FROM).code(),
        ..Default::default()
    }
}

async fn add(broker: &Arc<Broker>, request: AddOffsetsToTxnRequest) -> Result<ErrorCode, ErrorCode> {
    let index = partition_of(broker, OFFSETS_TOPIC, &request.group_id).await?;
    let id = request.transactional_id.detached();
    let producer = Producer {
        id: ProducerId(request.producer_id),
        epoch: ProducerEpoch(request.producer_epoch),
    };
    let decide = broker
        .transactions
        .decide(broker, &request.transactional_id, move |transactions, now| {
            // Clients of transactions version 2 do not ask: their offsets are added when they are committed.
            transactions.handle_add_partitions(&id, producer, &[(Str::from_static(OFFSETS_TOPIC), index)], 0, now)
        });
    Ok(transactions::code(decide.await?))
}
