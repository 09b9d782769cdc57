//! AllocateProducerIds: a broker gets the next block of producer ids (KIP-730).

use super::{Controller, Outcome};
use ottla_protocol::{
    ErrorCode,
    ids::NodeId,
    messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerIdsRecord},
};

/// How many producer ids a broker gets at a time.
pub const PRODUCER_ID_BLOCK_SIZE: i32 = 1000;

/// Why a broker gets no producer ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AllocateProducerIdsError {
    #[error("broker {0} with this epoch is not registered")]
    StaleEpoch(NodeId),
    #[error("Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit")]
    Exhausted,
}

impl AllocateProducerIdsError {
    /// The code on the wire.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::StaleEpoch(_) => ErrorCode::StaleBrokerEpoch,
            Self::Exhausted => ErrorCode::UnknownServerError,
        }
    }
}

impl Controller {
    /// AllocateProducerIds.
    ///
    /// # Errors
    /// The broker is not registered with this epoch, or there are no ids left.
    pub fn handle_allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Result<Outcome<AllocateProducerIdsResponse>, AllocateProducerIdsError> {
        let id = NodeId(request.broker_id);
        let broker = self
            .image
            .brokers()
            .broker(id)
            .filter(|broker| broker.epoch == request.broker_epoch);
        broker.ok_or(AllocateProducerIdsError::StaleEpoch(id))?;
        let producer_id_start = self.image.producer_ids().next_producer_id();
        let next_producer_id = producer_id_start.checked_add(PRODUCER_ID_BLOCK_SIZE.into());
        let record = ProducerIdsRecord {
            broker_id: request.broker_id,
            broker_epoch: request.broker_epoch,
            next_producer_id: next_producer_id.ok_or(AllocateProducerIdsError::Exhausted)?,
        };
        let response = AllocateProducerIdsResponse {
            error_code: ErrorCode::None as i16,
            producer_id_start,
            producer_id_len: PRODUCER_ID_BLOCK_SIZE,
            ..Default::default()
        };
        Ok(Outcome {
            records: vec![record.into()],
            response,
        })
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
        let outcome = controller.handle_allocate_producer_ids(&request).expect("registered");
        assert_eq!(
            (outcome.response.producer_id_start, outcome.response.producer_id_len),
            (0, 1000)
        );
        run(&mut controller, outcome);
        let image = crate::image::MetadataImage::replay(&controller.image().to_records());
        let controller = Controller::new(image, controller.settings().clone());
        let outcome = controller.handle_allocate_producer_ids(&request).expect("registered");
        assert_eq!(outcome.response.producer_id_start, 1000);
    }

    #[test]
    fn an_older_process_gets_none() {
        let request = AllocateProducerIdsRequest {
            broker_id: 1,
            broker_epoch: 11,
        };
        let verdict = controller().handle_allocate_producer_ids(&request);
        assert_eq!(verdict, Err(AllocateProducerIdsError::StaleEpoch(NodeId(1))));
    }
}
