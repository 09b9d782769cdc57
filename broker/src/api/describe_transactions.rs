//! DescribeTransactions, key 65, version 0 (KIP-664).

use super::{once::once, table::Call};
use crate::broker::Broker;
use ottla_coordinator::{Decision, TransactionError};
use ottla_protocol::{
    ErrorCode, Str,
    messages::{
        DescribeTransactionsRequest, DescribeTransactionsResponse, describe_transactions_response::TransactionState,
    },
};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut states = Vec::new();
    for id in once(request.transactional_ids, Clone::clone) {
        let described = describe(broker, &id).await;
        states.push(described.unwrap_or_else(|error| TransactionState {
            error_code: error.code(),
            transactional_id: id,
            ..Default::default()
        }));
    }
    DescribeTransactionsResponse {
        transaction_states: states,
        ..Default::default()
    }
}

async fn describe(broker: &Arc<Broker>, id: &Str) -> Result<TransactionState, ErrorCode> {
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let asked = id.detached();
    let look = broker.transactions.decide(broker, id, move |transactions, _| Decision {
        records: Vec::new(),
        reply: transactions.describe(&asked),
    });
    look.await?.map_err(TransactionError::code)
}
