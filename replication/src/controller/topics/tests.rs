//! The refusals were read from Apache Kafka 4.4.0.

use super::*;
use crate::controller::fixture::{
    DIRECTORY, SEED, controller, controller_with_topics, creatable, fenced_controller, run,
};
use ottla_protocol::messages::{
    PartitionRecord,
    create_topics_request::{CreatableReplicaAssignment, CreatableTopicConfig},
};

fn ask(controller: &Controller, topics: Vec<CreatableTopic>) -> Outcome<CreateTopicsResponse> {
    let request = CreateTopicsRequest {
        topics,
        ..Default::default()
    };
    controller.handle_create_topics(&request, &mut Random::new(SEED))
}

fn with_configs(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let config = |(name, value): &(&str, Option<&str>)| CreatableTopicConfig {
        name: (*name).into(),
        value: value.map(Str::from),
    };
    CreatableTopic {
        configs: configs.iter().map(config).collect(),
        ..creatable(name)
    }
}

fn with_assignments(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, ids): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *index,
        broker_ids: ids.to_vec(),
    };
    CreatableTopic {
        assignments: assignments.iter().map(assignment).collect(),
        ..creatable(name)
    }
}

fn refusal(controller: &Controller, topic: CreatableTopic) -> (i16, String) {
    let outcome = ask(controller, vec![topic]);
    assert_eq!(outcome.records, [], "a refused topic leaves nothing");
    let result = &outcome.response.topics[0];
    (
        result.error_code,
        result.error_message.as_deref().unwrap_or_default().to_owned(),
    )
}

#[test]
fn a_topic_is_a_topic_record_its_configs_and_its_partitions() {
    let controller = controller();
    let topic = with_configs(
        "orders",
        &[("retention.ms", Some("1000")), ("min.insync.replicas", Some("1"))],
    );
    let outcome = ask(
        &controller,
        vec![CreatableTopic {
            num_partitions: 2,
            ..topic
        }],
    );
    let id = outcome.response.topics[0].topic_id;
    let config = |name: &str, value: &str| {
        let record = ConfigRecord {
            resource_type: 2,
            resource_name: "orders".into(),
            name: name.into(),
            value: Some(value.into()),
        };
        MetadataRecord::from(record)
    };
    let partition = |index| {
        let record = PartitionRecord {
            partition_id: index,
            topic_id: id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![DIRECTORY],
            ..Default::default()
        };
        MetadataRecord::from(record)
    };
    let expected = [
        TopicRecord {
            name: "orders".into(),
            topic_id: id,
        }
        .into(),
        config("min.insync.replicas", "1"),
        config("retention.ms", "1000"),
        ClearElrRecord {
            topic_name: "orders".into(),
        }
        .into(),
        partition(0),
        partition(1),
    ];
    assert_eq!(outcome.records, expected);
}

#[test]
fn the_answer_tells_partitions_replicas_and_every_config_with_its_source() {
    let outcome = ask(
        &controller(),
        vec![with_configs("orders", &[("retention.ms", Some("1000"))])],
    );
    let result = &outcome.response.topics[0];
    assert_eq!(
        (result.error_code, result.num_partitions, result.replication_factor),
        (0, 1, 1)
    );
    let configs = result.configs.as_ref().expect("present");
    assert_eq!(configs.len(), 37);
    let source = |name: &str| {
        let config = configs.iter().find(|config| config.name == name).expect("listed");
        (config.value.as_deref(), config.config_source)
    };
    assert_eq!(source("retention.ms"), (Some("1000"), 1));
    assert_eq!(source("min.insync.replicas"), (Some("1"), 3));
    assert_eq!(source("segment.bytes"), (Some("1073741824"), 5));
}

#[test]
fn validation_alone_answers_the_same_and_leaves_nothing() {
    let request = CreateTopicsRequest {
        topics: vec![creatable("a")],
        validate_only: true,
        ..Default::default()
    };
    let outcome = controller().handle_create_topics(&request, &mut Random::new(SEED));
    assert_eq!((outcome.response.topics[0].error_code, outcome.records.len()), (0, 0));
}

#[test]
fn names_must_be_new_valid_and_tell_apart() {
    let controller = controller_with_topics(&["a.b"]);
    let expected = (36, "Topic 'a.b' already exists.".to_owned());
    assert_eq!(refusal(&controller, creatable("a.b")), expected);
    let expected = (17, "Topic 'a_b' collides with existing topic: a.b".to_owned());
    assert_eq!(refusal(&controller, creatable("a_b")), expected);
    let expected = (17, "Topic name is invalid: '.' is not allowed".to_owned());
    assert_eq!(refusal(&controller, creatable(".")), expected);
    let expected = (
        42,
        "Creation of internal topic __cluster_metadata is prohibited.".to_owned(),
    );
    assert_eq!(refusal(&controller, creatable("__cluster_metadata")), expected);
}

#[test]
fn a_name_that_occurs_twice_is_refused_once_and_others_are_created() {
    let outcome = ask(&controller(), vec![creatable("a"), creatable("b"), creatable("a")]);
    let results: Vec<_> = outcome
        .response
        .topics
        .iter()
        .map(|topic| (topic.name.as_str(), topic.error_code))
        .collect();
    assert_eq!(results, [("b", 0), ("a", 42)]);
}

#[test]
fn partitions_and_replicas_must_be_positive_and_find_a_place() {
    let controller = controller();
    let partitions = |count| CreatableTopic {
        num_partitions: count,
        replication_factor: 1,
        ..creatable("a")
    };
    let expected = (
        37,
        "Number of partitions was set to an invalid non-positive value.".to_owned(),
    );
    assert_eq!(refusal(&controller, partitions(0)), expected);
    assert_eq!(refusal(&controller, partitions(-2)), expected);
    let replicas = |count| CreatableTopic {
        num_partitions: 1,
        replication_factor: count,
        ..creatable("a")
    };
    let expected = (
        38,
        "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
    );
    assert_eq!(refusal(&controller, replicas(0)), expected);
    let message = "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached \
                   because only 1 broker(s) are registered or some brokers have all their log directories cordoned.";
    assert_eq!(refusal(&controller, replicas(2)), (38, message.to_owned()));
    let expected = (44, "Excessively large number of partitions per request.".to_owned());
    assert_eq!(refusal(&controller, partitions(1_000_000)), expected);
    assert_eq!(refusal(&fenced_controller(), partitions(1)).0, 38);
}

#[test]
fn assignments_are_whole_and_name_brokers_that_exist() {
    let controller = controller();
    let assigned = |assignments: &[(i32, &[i32])]| refusal(&controller, with_assignments("a", assignments));
    let refused = |message: &str| (39, message.to_owned());
    let message = "The manual partition assignment includes the broker 1 more than once.";
    assert_eq!(assigned(&[(0, &[1, 1])]), refused(message));
    assert_eq!(
        assigned(&[(1, &[1])]),
        refused("partitions should be a consecutive 0-based integer sequence")
    );
    let message = "The manual partition assignment includes an empty replica list.";
    assert_eq!(assigned(&[(0, &[])]), refused(message));
    let message = "The manual partition assignment includes broker 7, but no such broker is registered.";
    assert_eq!(assigned(&[(0, &[7])]), refused(message));
    let message = "Found multiple manual partition assignments for partition 0";
    assert_eq!(assigned(&[(0, &[1]), (0, &[1])]), refused(message));
    let topic = CreatableTopic {
        num_partitions: 1,
        ..with_assignments("a", &[(0, &[1])])
    };
    assert_eq!(refusal(&controller, topic).0, 42);
}

#[test]
fn configs_are_checked_before_anything_is_created() {
    let controller = controller();
    let refused = |configs: &[(&str, Option<&str>)]| refusal(&controller, with_configs("a", configs));
    let invalid = |message: &str| (40, message.to_owned());
    assert_eq!(
        refused(&[("foo", Some("bar"))]),
        invalid("Unknown topic config name: foo")
    );
    let message = "Null value not supported for topic configs: retention.ms";
    assert_eq!(refused(&[("retention.ms", None)]), invalid(message));
    let message = "Invalid value -1 for configuration message.timestamp.before.max.ms: Value must be at least 0";
    assert_eq!(
        refused(&[("message.timestamp.before.max.ms", Some("-1"))]),
        invalid(message)
    );
}

#[test]
fn replaying_the_records_makes_the_topic() {
    let mut controller = controller();
    let outcome = ask(
        &controller,
        vec![CreatableTopic {
            num_partitions: 3,
            ..creatable("orders")
        }],
    );
    run(&mut controller, outcome);
    let topic = controller.image().topics().by_name("orders").expect("created");
    assert_eq!(topic.partition_count(), 3);
    assert!(topic.partitions().all(|(_, partition)| partition.leader == NodeId(1)));
    let again = crate::image::MetadataImage::replay(&controller.image().to_records());
    assert_eq!(&again, controller.image());
}
