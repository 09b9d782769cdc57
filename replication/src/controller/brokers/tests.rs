use super::*;
use crate::{
    controller::fixture::{controller, controller_with_topics, fenced_controller, heartbeat, registration, run},
    image::LeaderRecoveryState,
};

const RESTARTED: RegistrationContext = RegistrationContext {
    next_offset: 100,
    has_live_session: false,
};

fn kinds(records: &[MetadataRecord]) -> Vec<i16> {
    records.iter().map(MetadataRecord::record_type).collect()
}

const REGISTER_BROKER: i16 = 0;
const PARTITION_CHANGE: i16 = 5;
const BROKER_CHANGE: i16 = 17;

#[test]
fn a_new_broker_is_fenced_until_it_has_read_its_own_registration() {
    let mut controller = fenced_controller();
    let early = BrokerHeartbeatRequest {
        current_metadata_offset: 11,
        ..heartbeat(12)
    };
    let outcome = controller.handle_broker_heartbeat(&early).expect("registered");
    assert_eq!(
        (
            outcome.records.len(),
            outcome.response.is_fenced,
            outcome.response.is_caught_up
        ),
        (0, true, false)
    );
    let outcome = controller.handle_broker_heartbeat(&heartbeat(12)).expect("registered");
    assert_eq!(
        (kinds(&outcome.records), outcome.response.is_fenced),
        (vec![BROKER_CHANGE], false)
    );
    run(&mut controller, outcome);
    let outcome = controller.handle_broker_heartbeat(&heartbeat(12)).expect("registered");
    assert_eq!((outcome.records.len(), outcome.response.is_fenced), (0, false));
}

#[test]
fn a_clean_stop_and_start_raises_leader_epochs_and_loses_nothing() {
    let mut controller = controller_with_topics(&["a"]);
    let stop = BrokerHeartbeatRequest {
        want_shut_down: true,
        ..heartbeat(12)
    };
    let outcome = controller.handle_broker_heartbeat(&stop).expect("registered");
    assert_eq!(kinds(&outcome.records), [BROKER_CHANGE, PARTITION_CHANGE]);
    assert!(!run(&mut controller, outcome).should_shut_down);
    let outcome = controller.handle_broker_heartbeat(&stop).expect("registered");
    assert_eq!(kinds(&outcome.records), [BROKER_CHANGE]);
    let response = run(&mut controller, outcome);
    assert!(response.should_shut_down && response.is_fenced);

    let request = BrokerRegistrationRequest {
        previous_broker_epoch: 12,
        ..registration(2)
    };
    let outcome = controller
        .handle_broker_registration(&request, RESTARTED)
        .expect("it may register");
    assert_eq!(
        (kinds(&outcome.records), outcome.response.broker_epoch),
        (vec![REGISTER_BROKER], 100)
    );
    run(&mut controller, outcome);
    let outcome = controller.handle_broker_heartbeat(&heartbeat(100)).expect("registered");
    assert_eq!(kinds(&outcome.records), [BROKER_CHANGE, PARTITION_CHANGE]);
    run(&mut controller, outcome);
    let partition = controller.image().topics().partition("a", 0).expect("created");
    assert_eq!((partition.leader, partition.leader_epoch.0), (NodeId(1), 2));
    assert_eq!(partition.leader_recovery_state, LeaderRecoveryState::Recovered);
}

#[test]
fn after_a_crash_the_broker_leads_again_as_recovering() {
    let mut controller = controller_with_topics(&["a"]);
    let outcome = controller
        .handle_broker_registration(&registration(2), RESTARTED)
        .expect("it may register");
    assert_eq!(kinds(&outcome.records), [PARTITION_CHANGE, REGISTER_BROKER]);
    run(&mut controller, outcome);
    let outcome = controller.handle_broker_heartbeat(&heartbeat(100)).expect("registered");
    run(&mut controller, outcome);
    let partition = controller.image().topics().partition("a", 0).expect("created");
    assert_eq!((partition.leader, partition.leader_epoch.0), (NodeId(1), 2));
    assert_eq!(partition.leader_recovery_state, LeaderRecoveryState::Recovering);
}

#[test]
fn the_same_process_keeps_its_epoch_and_its_state() {
    let controller = controller();
    let context = RegistrationContext {
        next_offset: 100,
        has_live_session: true,
    };
    let outcome = controller
        .handle_broker_registration(&registration(1), context)
        .expect("it may register");
    assert_eq!(outcome.response.broker_epoch, 12);
    let [MetadataRecord::RegisterBroker(record)] = outcome.records.as_slice() else {
        panic!("unexpected {:?}", outcome.records);
    };
    assert!(!record.fenced);
}

#[test]
fn registrations_that_do_not_belong_here_are_refused() {
    let controller = controller();
    let refusal = |request: &BrokerRegistrationRequest, has_live_session| {
        let context = RegistrationContext {
            next_offset: 100,
            has_live_session,
        };
        controller
            .handle_broker_registration(request, context)
            .expect_err("refused")
            .code()
    };
    assert_eq!(refusal(&registration(2), true), ErrorCode::DuplicateBrokerRegistration);
    let elsewhere = BrokerRegistrationRequest {
        cluster_id: "other".into(),
        ..registration(2)
    };
    assert_eq!(refusal(&elsewhere, false), ErrorCode::InconsistentClusterId);
    let homeless = BrokerRegistrationRequest {
        log_dirs: vec![],
        ..registration(2)
    };
    assert_eq!(refusal(&homeless, false), ErrorCode::InvalidRegistration);
    let stranger = BrokerRegistrationRequest {
        broker_id: 2,
        ..registration(2)
    };
    assert_eq!(refusal(&stranger, false), ErrorCode::InvalidRegistration);
    let old = BrokerRegistrationRequest {
        features: vec![],
        ..registration(2)
    };
    assert_eq!(refusal(&old, false), ErrorCode::UnsupportedVersion);
}

#[test]
fn heartbeats_of_an_older_process_are_stale() {
    let controller = controller();
    let error = controller.handle_broker_heartbeat(&heartbeat(11)).expect_err("stale");
    assert_eq!(
        error,
        HeartbeatError::StaleEpoch {
            expected: 12,
            found: 11
        }
    );
}

#[test]
fn cordoned_directories_are_recorded_once() {
    let mut controller = controller();
    let told = BrokerHeartbeatRequest {
        cordoned_log_dirs: Some(vec![]),
        ..heartbeat(12)
    };
    let outcome = controller.handle_broker_heartbeat(&told).expect("registered");
    assert_eq!(kinds(&outcome.records), [BROKER_CHANGE]);
    run(&mut controller, outcome);
    assert_eq!(
        controller.handle_broker_heartbeat(&told).expect("registered").records,
        []
    );
}

#[test]
fn a_silent_broker_is_fenced_and_one_that_is_unregistered_is_gone() {
    let mut controller = controller_with_topics(&["a"]);
    let outcome = controller.handle_session_timeout(NodeId(1));
    assert_eq!(kinds(&outcome.records), [PARTITION_CHANGE, BROKER_CHANGE]);
    run(&mut controller, outcome);
    assert_eq!(controller.handle_session_timeout(NodeId(1)).records, []);
    let unknown = controller.handle_unregister_broker(&UnregisterBrokerRequest { broker_id: 9 });
    assert_eq!(
        unknown.response.error_message.as_deref(),
        Some("Broker ID 9 is not currently registered")
    );
    let outcome = controller.handle_unregister_broker(&UnregisterBrokerRequest { broker_id: 1 });
    assert_eq!(run(&mut controller, outcome).error_code, 0);
    assert!(controller.image().brokers().broker(NodeId(1)).is_none());
}
