//! UpdateFeatures, key 57, versions 0-2. v1: upgrade types, validate only (KIP-778). v2: one error for all.

use super::table::Call;
use crate::{broker::Broker, runtime::controller::Stopped};
use ottla_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use std::sync::Arc;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _call: &Call,
    request: UpdateFeaturesRequest,
) -> Result<UpdateFeaturesResponse, Stopped> {
    broker
        .controller
        .answer(move |controller, _| controller.handle_update_features(&request))
        .await
}
