//! AllocateProducerIds: a broker gets the next block of producer ids (KIP-730).

use super::{Controller, Outcome};
use ottla_protocol::{
    ErrorCode,
    ids::NodeId,
    messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerIdsRecord},
};

/// How many producer ids a broker gets at a time.
pub const PRODUCER_ID_BLOCK_SIZE: i32 = 1000;

impl Controller {
    /// AllocateProducerIds: refused for a broker that is not registered with this epoch.
    pub fn handle_allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Outcome<AllocateProducerIdsResponse> {
        let refused = |code: ErrorCode| {
            Outcome::unchanged(AllocateProducerIdsResponse {
                error_code: code as i16,
                ..Default::default()
            })
        };
        let broker = self.image.brokers().broker(NodeId(request.broker_id));
        if broker.is_none_or(|broker| broker.epoch != request.broker_epoch) {
            return refused(ErrorCode::StaleBrokerEpoch);
        }
        let producer_id_start = self.image.producer_ids().next_producer_id();
        let Some(next_producer_id) = producer_id_start.checked_add(PRODUCER_ID_BLOCK_SIZE.into()) else {
            // Every id there can be has been given away.
            return refused(ErrorCode::UnknownServerError);
        };
        let record = ProducerIdsRecord {
            broker_id: request.broker_id,
            broker_epoch: request.broker_epoch,
            next_producer_id,
        };
        let response = AllocateProducerIdsResponse {
            error_code: ErrorCode::None as i16,
            producer_id_start,
            producer_id_len: PRODUCER_ID_BLOCK_SIZE,
            ..Default::default()
        };
        Outcome {
            records: vec![record.into()],
            response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{controller, run};

    #[test]
    fn blocks_follow_each_other_and_survive_a_snapshot() {
        let mut controller = controller();
        let request = AllocateProducerIdsRequest {
            broker_id: 1,
            broker_epoch: 12,
        };
        let outcome = controller.handle_allocate_producer_ids(&request);
        assert_eq!(
            (outcome.response.producer_id_start, outcome.response.producer_id_len),
            (0, 1000)
        );
        run(&mut controller, outcome);
        let image = crate::image::MetadataImage::replay(&controller.image().to_records());
        let controller = Controller::new(image, controller.settings().clone());
        let outcome = controller.handle_allocate_producer_ids(&request);
        assert_eq!(outcome.response.producer_id_start, 1000);
    }

    #[test]
    fn an_older_process_gets_none() {
        let request = AllocateProducerIdsRequest {
            broker_id: 1,
            broker_epoch: 11,
        };
        let outcome = controller().handle_allocate_producer_ids(&request);
        assert_eq!(
            (outcome.response.error_code, outcome.records.len()),
            (ErrorCode::StaleBrokerEpoch as i16, 0)
        );
    }
}
