//! What the tests of the controller start from.

use super::{BootstrapOptions, Controller, Outcome, Random, RegistrationContext, Settings, bootstrap_records};
use crate::image::MetadataImage;
use ottla_protocol::{
    ids::{NodeId, Uuid},
    messages::{
        BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest,
        broker_registration_request::{Feature, Listener},
        create_topics_request::CreatableTopic,
    },
};

pub(super) const SEED: [u8; 32] = [42; 32];
pub(super) const DIRECTORY: Uuid = Uuid([9; 16]);

/// Applies what an outcome says and hands back its response.
pub(super) fn run<R>(controller: &mut Controller, outcome: Outcome<R>) -> R {
    for record in &outcome.records {
        controller.apply(record);
    }
    outcome.response
}

pub(super) fn registration(incarnation: u8) -> BrokerRegistrationRequest {
    let features = super::SUPPORTED_FEATURES.iter().map(|feature| Feature {
        name: feature.name.into(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
    });
    let listener = Listener {
        name: "PLAINTEXT".into(),
        host: "localhost".into(),
        port: 9092,
        security_protocol: 0,
    };
    BrokerRegistrationRequest {
        broker_id: 1,
        cluster_id: "the-cluster".into(),
        incarnation_id: Uuid([incarnation; 16]),
        listeners: vec![listener],
        features: features.collect(),
        rack: None,
        log_dirs: vec![DIRECTORY],
        previous_broker_epoch: -1,
        ..Default::default()
    }
}

pub(super) fn heartbeat(epoch: i64) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: epoch,
        current_metadata_offset: epoch,
        ..Default::default()
    }
}

/// A new cluster of one node, whose broker is registered at epoch 12 but still fenced.
pub(super) fn fenced_controller() -> Controller {
    let settings = Settings {
        node_id: 1,
        cluster_id: "the-cluster".into(),
        ..Default::default()
    };
    let image = MetadataImage::replay(&bootstrap_records(&BootstrapOptions::default()));
    let mut controller = Controller::new(image, settings);
    let context = RegistrationContext {
        next_offset: 12,
        has_live_session: false,
    };
    let outcome = controller
        .handle_broker_registration(&registration(1), context)
        .expect("it may register");
    run(&mut controller, outcome);
    controller
}

/// A new cluster of one node that is ready.
pub(super) fn controller() -> Controller {
    let mut controller = fenced_controller();
    let outcome = controller
        .handle_broker_heartbeat(&heartbeat(12))
        .expect("it is registered");
    run(&mut controller, outcome);
    assert!(controller.image().brokers().is_active(NodeId(1)));
    controller
}

pub(super) fn creatable(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    }
}

/// The same with topics of one partition.
pub(super) fn controller_with_topics(names: &[&str]) -> Controller {
    let mut controller = controller();
    let topics = names.iter().map(|name| creatable(name)).collect();
    let request = CreateTopicsRequest {
        topics,
        ..Default::default()
    };
    let outcome = controller.handle_create_topics(&request, &mut Random::new(SEED));
    let response = run(&mut controller, outcome);
    assert!(
        response.topics.iter().all(|topic| topic.error_code == 0),
        "{response:?}"
    );
    controller
}
