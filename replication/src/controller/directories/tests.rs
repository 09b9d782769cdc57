use super::*;
use crate::{
    controller::{
        Random, RegistrationContext, Settings,
        fixture::{SEED, creatable, fenced_controller, heartbeat, registration, run},
    },
    image::feature,
};
use ottla_protocol::messages::{
    CreateTopicsRequest, FeatureLevelRecord,
    assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData},
};

const FIRST: Uuid = Uuid([9; 16]);
const SECOND: Uuid = Uuid([8; 16]);
const EPOCH: i64 = 50;

/// Registers the broker anew, with these directories, and has it unfenced.
fn register(controller: &mut Controller, directories: &[Uuid], epoch: i64) {
    let mut request = registration(u8::try_from(epoch).expect("small"));
    request.log_dirs = directories.to_vec();
    let context = RegistrationContext {
        next_offset: epoch,
        has_live_session: false,
    };
    let outcome = controller.handle_broker_registration(&request, context);
    run(controller, outcome.expect("it may register"));
    let outcome = controller.handle_broker_heartbeat(&heartbeat(epoch));
    run(controller, outcome.expect("registered"));
}

/// A broker with two directories, and a topic of so many partitions.
fn with_partitions(count: i32) -> Controller {
    let mut controller = fenced_controller();
    register(&mut controller, &[FIRST, SECOND], EPOCH);
    create(&mut controller, count);
    controller
}

fn create(controller: &mut Controller, count: i32) -> i16 {
    let mut topic = creatable("a");
    topic.num_partitions = count;
    let request = CreateTopicsRequest {
        topics: vec![topic],
        ..Default::default()
    };
    let outcome = controller.handle_create_topics(&request, &mut Random::new(SEED));
    run(controller, outcome).topics[0].error_code
}

fn partition(controller: &Controller, index: i32) -> Partition {
    let found = controller.image().topics().partition("a", index);
    Partition::clone(found.expect("created"))
}

fn directories(controller: &Controller, count: i32) -> Vec<Uuid> {
    (0..count)
        .map(|index| partition(controller, index).directories[0])
        .collect()
}

fn fail(controller: &mut Controller, directory: Uuid) -> usize {
    let request = BrokerHeartbeatRequest {
        offline_log_dirs: vec![directory],
        ..heartbeat(EPOCH)
    };
    let outcome = controller.handle_broker_heartbeat(&request).expect("registered");
    let count = outcome.records.len();
    run(controller, outcome);
    count
}

fn assign(controller: &mut Controller, directory: Uuid, index: i32) -> i16 {
    let topic_id = controller.image().topics().by_name("a").expect("created").id;
    let request = AssignReplicasToDirsRequest {
        broker_id: 1,
        broker_epoch: EPOCH,
        directories: vec![DirectoryData {
            id: directory,
            topics: vec![TopicData {
                topic_id,
                partitions: vec![PartitionData { partition_index: index }],
            }],
        }],
    };
    let outcome = controller.handle_assign_replicas_to_dirs(&request).expect("registered");
    run(controller, outcome).directories[0].topics[0].partitions[0].error_code
}

#[test]
fn new_partitions_go_to_the_directory_with_the_fewest() {
    let controller = with_partitions(5);
    let placed = directories(&controller, 5);
    let counts = [FIRST, SECOND].map(|id| placed.iter().filter(|placed| **placed == id).count());
    assert_eq!(counts.iter().sum::<usize>(), 5);
    assert!(counts.iter().all(|count| *count >= 2), "{placed:?}");
}

#[test]
fn nothing_new_is_placed_in_a_cordoned_directory() {
    let mut controller = fenced_controller();
    register(&mut controller, &[FIRST, SECOND], EPOCH);
    let cordon = |controller: &mut Controller, cordoned: &[Uuid]| {
        let request = BrokerHeartbeatRequest {
            cordoned_log_dirs: Some(cordoned.to_vec()),
            ..heartbeat(EPOCH)
        };
        let outcome = controller.handle_broker_heartbeat(&request).expect("registered");
        run(controller, outcome);
    };
    cordon(&mut controller, &[FIRST, SECOND]);
    assert_eq!(create(&mut controller, 4), ErrorCode::InvalidReplicationFactor.code());
    cordon(&mut controller, &[FIRST]);
    assert_eq!(create(&mut controller, 4), 0);
    assert_eq!(directories(&controller, 4), [SECOND; 4]);
}

#[test]
fn where_records_cannot_say_it_the_broker_chooses() {
    let mut controller = fenced_controller();
    register(&mut controller, &[FIRST, SECOND], EPOCH);
    controller.apply(
        &FeatureLevelRecord {
            name: feature::METADATA_VERSION.into(),
            feature_level: 16,
        }
        .into(),
    );
    assert_eq!(create(&mut controller, 1), 0);
    assert_eq!(directories(&controller, 1), [Uuid::ZERO]);
    assert_eq!(assign(&mut controller, FIRST, 0), ErrorCode::UnsupportedVersion.code());
}

#[test]
fn what_lies_in_a_failed_directory_has_no_leader_until_it_is_back() {
    let mut controller = with_partitions(4);
    let placed = directories(&controller, 4);
    assert_eq!(fail(&mut controller, FIRST), 3, "the broker and two partitions");
    for (index, directory) in (0..).zip(&placed) {
        let partition = partition(&controller, index);
        assert_eq!(partition.has_leader(), *directory == SECOND, "{index}");
        let has_everything = [partition.isr, partition.eligible_leader_replicas].concat();
        assert_eq!(has_everything, [NodeId(1)], "the only trace of who has the records");
    }
    assert_eq!(fail(&mut controller, FIRST), 0, "it is no news");
    // Started without the directory, and then with it.
    register(&mut controller, &[SECOND], EPOCH + 1);
    assert_eq!(
        (0..4)
            .filter(|index| partition(&controller, *index).has_leader())
            .count(),
        2
    );
    register(&mut controller, &[FIRST, SECOND], EPOCH + 2);
    assert!((0..4).all(|index| partition(&controller, index).has_leader()));
    assert_eq!(directories(&controller, 4), placed);
}

#[test]
fn a_replica_found_in_another_directory_is_assigned_to_it() {
    let mut controller = with_partitions(2);
    let placed = directories(&controller, 2);
    assert_eq!(assign(&mut controller, placed[1], 0), 0);
    assert_eq!(directories(&controller, 2), [placed[1]; 2]);
    let epoch = partition(&controller, 0).leader_epoch;
    assert_eq!(assign(&mut controller, placed[1], 0), 0);
    assert_eq!(
        partition(&controller, 0).leader_epoch,
        epoch,
        "twice is once, and no election"
    );
    assert_eq!(
        assign(&mut controller, FIRST, 7),
        ErrorCode::UnknownTopicOrPartition.code()
    );
}

#[test]
fn a_replica_without_leader_gets_one_when_it_is_found_elsewhere() {
    let mut controller = with_partitions(2);
    let placed = directories(&controller, 2);
    fail(&mut controller, placed[0]);
    assert!(!partition(&controller, 0).has_leader());
    assert_eq!(assign(&mut controller, placed[1], 0), 0);
    assert_eq!(partition(&controller, 0).leader, NodeId(1));
}

#[test]
fn an_older_process_assigns_nothing() {
    let controller = with_partitions(1);
    let request = AssignReplicasToDirsRequest {
        broker_id: 1,
        broker_epoch: EPOCH - 1,
        directories: Vec::new(),
    };
    let refused = controller.handle_assign_replicas_to_dirs(&request);
    assert!(matches!(refused, Err(HeartbeatError::StaleEpoch { .. })));
}

#[test]
fn directories_that_kafka_has_not_named_yet_count_as_working() {
    let controller = with_partitions(1);
    let works = |directory| {
        let mut partition = partition(&controller, 0);
        partition.directories = vec![directory];
        controller.has_its_directory(&partition, NodeId(1))
    };
    let migrating = Uuid(2u128.to_be_bytes());
    assert!(works(Uuid::ZERO) && works(migrating) && works(FIRST));
    assert!(!works(Uuid::LOST_DIRECTORY) && !works(Uuid([3; 16])));
}

#[test]
fn only_directories_of_this_node_are_cordoned_by_name() {
    let settings = Settings {
        node_id: 1,
        log_dirs: vec!["/a".to_owned(), "/b".to_owned()],
        ..Default::default()
    };
    let image = fenced_controller().image().clone();
    let check = |level: i16, value: &str| {
        let mut controller = Controller::new(image.clone(), settings.clone());
        let name = feature::METADATA_VERSION.into();
        controller.apply(
            &FeatureLevelRecord {
                name,
                feature_level: level,
            }
            .into(),
        );
        controller.check_cordoned(value)
    };
    assert!(check(30, "/a").is_ok() && check(30, "*").is_ok() && check(30, "").is_ok());
    assert!(check(30, "/c").is_err());
    assert!(check(29, "/a").is_err(), "the records cannot say it");
}
