//! ListTransactions, key 66, versions 0-2 (KIP-664). v1: filter by duration (KIP-994). v2: filter by a regular
//! expression that the whole id matches (KIP-1152).

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{TransactionFilter, Transactions};
use ottla_protocol::{
    ErrorCode,
    messages::{ListTransactionsRequest, ListTransactionsResponse},
};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    list(broker, request)
        .await
        .unwrap_or_else(|error| ListTransactionsResponse {
            error_code: error.code(),
            ..Default::default()
        })
}

async fn list(broker: &Arc<Broker>, request: ListTransactionsRequest) -> Result<ListTransactionsResponse, ErrorCode> {
    let filter = TransactionFilter::new(
        &request.producer_id_filters,
        &request.state_filters,
        request.duration_filter,
        request.transactional_id_pattern.as_ref(),
    )?;
    let look = broker
        .transactions
        .look_at_all(broker, move |transactions, now| transactions.list(&filter, now.wall_ms));
    Ok(ListTransactionsResponse {
        unknown_state_filters: Transactions::unknown_states(&request.state_filters),
        transaction_states: look.await?.into_iter().flatten().collect(),
        ..Default::default()
    })
}
