//! The refusals and records were read from Apache Kafka 4.4.0.

use super::*;
use crate::controller::fixture::{controller, controller_with_topics, run};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

type Asked<'a> = (i8, &'a str, &'a str, Option<&'a str>, i8);

fn incremental(asked: &[Asked<'_>]) -> IncrementalAlterConfigsRequest {
    let resource = |(kind, resource, name, value, operation): &Asked<'_>| {
        let config = incremental_alter_configs_request::AlterableConfig {
            name: (*name).into(),
            config_operation: *operation,
            value: value.map(Str::from),
        };
        incremental_alter_configs_request::AlterConfigsResource {
            resource_type: *kind,
            resource_name: (*resource).into(),
            configs: vec![config],
        }
    };
    let resources = asked.iter().map(resource).collect();
    IncrementalAlterConfigsRequest {
        resources,
        ..Default::default()
    }
}

fn refusal(controller: &Controller, asked: Asked<'_>) -> (i16, String) {
    let outcome = controller.handle_incremental_alter_configs(&incremental(&[asked]));
    assert_eq!(outcome.records, [], "{asked:?}");
    let response = &outcome.response.responses[0];
    (
        response.error_code,
        response.error_message.as_deref().unwrap_or_default().to_owned(),
    )
}

fn alter(controller: &mut Controller, asked: Asked<'_>) -> Vec<MetadataRecord> {
    let outcome = controller.handle_incremental_alter_configs(&incremental(&[asked]));
    let records = outcome.records.clone();
    let response = run(controller, outcome);
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
    records
}

fn value(controller: &Controller, topic: &str, name: &str) -> Option<String> {
    controller
        .image()
        .configs()
        .of_topic(topic)
        .get(name)
        .map(ToString::to_string)
}

#[test]
fn replacing_forgets_what_is_not_named_and_incrementing_keeps_it() {
    let mut controller = controller_with_topics(&["a"]);
    alter(&mut controller, (TOPIC, "a", "retention.ms", Some("1000"), SET));
    alter(&mut controller, (TOPIC, "a", "segment.ms", Some("2000"), SET));
    assert_eq!(value(&controller, "a", "retention.ms").as_deref(), Some("1000"));
    let config = alter_configs_request::AlterableConfig {
        name: "segment.ms".into(),
        value: Some("3000".into()),
    };
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "a".into(),
        configs: vec![config],
    };
    let request = AlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    let outcome = controller.handle_alter_configs(&request);
    run(&mut controller, outcome);
    assert_eq!(value(&controller, "a", "segment.ms").as_deref(), Some("3000"));
    assert_eq!(value(&controller, "a", "retention.ms"), None);
}

#[test]
fn lists_grow_and_shrink_from_what_is_there_or_from_the_default() {
    let mut controller = controller_with_topics(&["a"]);
    let policy = |controller: &Controller| value(controller, "a", "cleanup.policy").expect("set");
    alter(&mut controller, (TOPIC, "a", "cleanup.policy", Some("compact"), APPEND));
    assert_eq!(policy(&controller), "delete,compact");
    let again = alter(&mut controller, (TOPIC, "a", "cleanup.policy", Some("compact"), APPEND));
    assert_eq!(again, []);
    alter(
        &mut controller,
        (TOPIC, "a", "cleanup.policy", Some("delete"), SUBTRACT),
    );
    alter(
        &mut controller,
        (TOPIC, "a", "cleanup.policy", Some("compact"), SUBTRACT),
    );
    assert_eq!(policy(&controller), "");
    let expected = (
        40,
        "Can't APPEND to key retention.ms because its type is not LIST.".to_owned(),
    );
    assert_eq!(
        refusal(&controller, (TOPIC, "a", "retention.ms", Some("5"), APPEND)),
        expected
    );
    let message = "Invalid value zip for configuration cleanup.policy: String must be one of: compact, delete";
    assert_eq!(
        refusal(&controller, (TOPIC, "a", "cleanup.policy", Some("zip"), APPEND)),
        (40, message.to_owned())
    );
}

#[test]
fn topics_are_refused_with_kafkas_words() {
    let mut controller = controller_with_topics(&["a"]);
    let expected = (3, "The topic 'nope' does not exist.".to_owned());
    assert_eq!(
        refusal(&controller, (TOPIC, "nope", "retention.ms", Some("5"), SET)),
        expected
    );
    let expected = (40, "Unknown topic config name: foo".to_owned());
    assert_eq!(refusal(&controller, (TOPIC, "a", "foo", Some("5"), SET)), expected);
    assert_eq!(alter(&mut controller, (TOPIC, "a", "foo", None, DELETE)), []);
    let expected = (42, "Null value not supported for : retention.ms".to_owned());
    assert_eq!(refusal(&controller, (TOPIC, "a", "retention.ms", None, SET)), expected);
    let expected = (42, "Default topic resources are not allowed.".to_owned());
    assert_eq!(
        refusal(&controller, (TOPIC, "", "retention.ms", Some("5"), SET)),
        expected
    );
    assert_eq!(
        refusal(&controller, (TOPIC, "b/d", "retention.ms", Some("5"), SET)).0,
        17
    );
    assert_eq!(
        refusal(&controller, (0, "1", "kafka", Some("x"), SET)),
        (42, "Unknown resource type 0".to_owned())
    );
    assert_eq!(
        refusal(&controller, (8, "1", "kafka", Some("x"), SET)),
        (40, "Logger kafka does not exist!".into())
    );
}

#[test]
fn a_resource_that_is_refused_leaves_the_others_alone() {
    let controller = controller_with_topics(&["a", "b"]);
    let request = incremental(&[
        (TOPIC, "a", "retention.ms", Some("5"), SET),
        (TOPIC, "b", "retention.ms", Some("x"), SET),
        (TOPIC, "a", "segment.ms", Some("5"), SET),
    ]);
    let outcome = controller.handle_incremental_alter_configs(&request);
    let codes: Vec<_> = outcome.response.responses.iter().map(|it| it.error_code).collect();
    assert_eq!(
        (codes, outcome.records.len()),
        (vec![42, 40, 42], 0),
        "a resource that occurs twice is refused"
    );
}

#[test]
fn broker_keys_change_only_if_they_can_and_where_they_can() {
    let controller = controller();
    let refused = |resource, name, value| refusal(&controller, (BROKER, resource, name, Some(value), SET));
    let invalid = |message: &str| (42, message.to_owned());
    let expected = invalid("Cannot update these configs dynamically: [num.partitions]");
    assert_eq!(refused("1", "num.partitions", "5"), expected);
    assert_eq!(refused("", "num.partitions", "5"), expected);
    let message = "Cannot update these configs at default cluster level, broker id must be specified: [listeners]";
    assert_eq!(refused("", "listeners", "PLAINTEXT://:1"), invalid(message));
    let message = "Invalid value x for configuration log.retention.ms: Not a number of type LONG";
    assert_eq!(refused("", "log.retention.ms", "x"), invalid(message));
    let message = "Unexpected broker id, expected 1, but received 7";
    assert_eq!(refused("7", "log.retention.ms", "5"), invalid(message));
    assert_eq!(
        refused("x", "log.retention.ms", "5"),
        invalid("Node id must be an integer, but it is: x")
    );
    assert_eq!(refused("1", "ssl.keystore.location", "/x").0, 42);
}

#[test]
fn broker_values_are_recorded_even_if_they_are_the_same_and_unknown_keys_are_kept() {
    let mut controller = controller();
    for _ in 0..2 {
        assert_eq!(
            alter(&mut controller, (BROKER, "1", "log.retention.ms", Some("98"), SET)).len(),
            1
        );
    }
    assert_eq!(
        alter(&mut controller, (BROKER, "1", "foo.bar", Some("x"), SET)).len(),
        1
    );
    let name = "listener.name.plaintext.max.connections";
    assert_eq!(alter(&mut controller, (BROKER, "", name, Some("1000"), SET)).len(), 1);
    assert_eq!(controller.layers().broker_number("log.retention.ms"), 98);
}

#[test]
fn min_insync_replicas_starts_eligible_replicas_anew_and_is_the_same_for_all_brokers() {
    let mut controller = controller_with_topics(&["a"]);
    let records = alter(&mut controller, (TOPIC, "a", "min.insync.replicas", Some("5"), SET));
    assert_eq!(records[1], ClearElrRecord { topic_name: "a".into() }.into());
    let records = alter(&mut controller, (BROKER, "", "min.insync.replicas", Some("2"), SET));
    assert_eq!(records[1], ClearElrRecord { topic_name: Str::EMPTY }.into());
    let message = "Broker-level min.insync.replicas cannot be altered while ELR is enabled.";
    let refused = refusal(&controller, (BROKER, "1", "min.insync.replicas", Some("2"), SET));
    assert_eq!(refused, (40, message.to_owned()));
    let message = "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.";
    let refused = refusal(&controller, (BROKER, "", "min.insync.replicas", None, DELETE));
    assert_eq!(refused, (40, message.to_owned()));
}

#[test]
fn group_keys_stay_within_the_brokers_bounds() {
    let mut controller = controller();
    let refused = |name, value| refusal(&controller, (GROUP, "g", name, Some(value), SET));
    let invalid = |message: &str| (40, message.to_owned());
    let message = "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.";
    assert_eq!(refused("consumer.session.timeout.ms", "1"), invalid(message));
    assert_eq!(refused("foo", "1"), invalid("Unknown group config name: foo"));
    let message = "streams.num.standby.replicas must be less than or equal to 2";
    assert_eq!(refused("streams.num.standby.replicas", "3"), invalid(message));
    let message = "streams.assignor.name 'foo' is not a registered task assignor. Registered assignors are: [sticky].";
    assert_eq!(refused("streams.assignor.name", "foo"), invalid(message));
    let message = "errors.deadletterqueue.topic.name: DLQ topic name must not start with '__'";
    assert_eq!(refused("errors.deadletterqueue.topic.name", "__x"), invalid(message));
    alter(
        &mut controller,
        (GROUP, "g", "consumer.session.timeout.ms", Some("46000"), SET),
    );
}

#[test]
fn defaults_of_groups_stay_within_the_brokers_bounds() {
    let mut controller = controller();
    let message =
        "group.consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms";
    for broker in ["", "1"] {
        let change = |value| {
            (
                BROKER,
                broker,
                "group.consumer.assignment.interval.ms",
                Some(value),
                SET,
            )
        };
        assert_eq!(refusal(&controller, change("20000")), (42, message.to_owned()));
        alter(&mut controller, change("15000"));
    }
}

#[test]
fn subscriptions_to_client_metrics_are_checked() {
    let mut controller = controller();
    let refused = |name, value| refusal(&controller, (METRICS, "m", name, Some(value), SET));
    let message = "Invalid value 60 for interval.ms, interval must be between 100 and 3600000 (1 hour)";
    assert_eq!(refused("interval.ms", "60"), (42, message.to_owned()));
    assert_eq!(
        refused("match", "bad"),
        (40, "Illegal client matching pattern: bad".to_owned())
    );
    assert_eq!(
        refused("x", "bad"),
        (42, "Unknown client metrics configuration: x".to_owned())
    );
    assert_eq!(refusal(&controller, (METRICS, "m", "metrics", Some("d"), APPEND)).0, 40);
    let pattern = "client_id=a.*,client_software_name=b";
    alter(&mut controller, (METRICS, "m", "match", Some(pattern), SET));
}
