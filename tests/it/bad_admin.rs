//! Admin requests that make no sense: each part gets its typed error, and nothing is changed.

use ottla_protocol::{
    ErrorCode,
    messages::{
        create_partitions_request::CreatePartitionsTopic,
        create_topics_request::CreatableTopic,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        delete_topics_request::DeleteTopicState,
        describe_configs_request::DescribeConfigsResource,
        *,
    },
};
use ottla_tests::{client::code, raw::with_broker};

type Outcome = ottla_tests::Result<()>;

#[test]
fn topic_names_are_checked() -> Outcome {
    with_broker("bad-requests", &[], |broker, _| {
        let mut client = broker.connect()?;
        for name in ["", ".", "..", "a b", "a/b", "ü", &"x".repeat(250)] {
            let error = client.create_topic(name, 1, &[]).expect_err(name).to_string();
            assert!(error.contains("INVALID_TOPIC_EXCEPTION"), "{name}: {error}");
        }
        client.create_topic(&"x".repeat(249), 1, &[])?;
        Ok(())
    })
}

#[test]
fn topics_named_twice_are_created_and_deleted_by_neither() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        let topic = |name: &str| CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        let topics = vec![topic("twice"), topic("once"), topic("twice")];
        let response = client.call(
            &CreateTopicsRequest {
                topics,
                ..Default::default()
            },
            7,
        )?;
        let mut codes: Vec<_> = response
            .topics
            .iter()
            .map(|topic| (&*topic.name, code(topic.error_code)))
            .collect();
        codes.sort_by_key(|(name, _)| *name);
        assert_eq!(codes, [("once", ErrorCode::None), ("twice", ErrorCode::InvalidRequest)]);
        let named = |name: &str| DeleteTopicState {
            name: Some(name.into()),
            ..Default::default()
        };
        let topics = vec![named("once"), named("once")];
        let response = client.call(
            &DeleteTopicsRequest {
                topics,
                timeout_ms: 1000,
                ..Default::default()
            },
            6,
        )?;
        assert!(
            response
                .responses
                .iter()
                .all(|topic| code(topic.error_code) == ErrorCode::InvalidRequest)
        );
        assert_eq!(client.metadata(Some("once"))?.topics[0].error_code, 0);
        Ok(())
    })
}

#[test]
fn numbers_of_partitions_and_replicas_are_checked() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        for (num_partitions, replication_factor, expected) in [
            (0, 1, ErrorCode::InvalidPartitions),
            (-2, 1, ErrorCode::InvalidPartitions),
            (i32::MAX, 1, ErrorCode::PolicyViolation),
            (1, 0, ErrorCode::InvalidReplicationFactor),
            (1, -2, ErrorCode::InvalidReplicationFactor),
            (1, 2, ErrorCode::InvalidReplicationFactor),
        ] {
            let topic = CreatableTopic {
                name: "x".into(),
                num_partitions,
                replication_factor,
                ..Default::default()
            };
            let response = client.call(
                &CreateTopicsRequest {
                    topics: vec![topic],
                    ..Default::default()
                },
                7,
            )?;
            assert_eq!(
                code(response.topics[0].error_code),
                expected,
                "{num_partitions} {replication_factor}"
            );
        }
        for (name, count, expected) in [
            ("t", 1, ErrorCode::InvalidPartitions),
            ("t", 0, ErrorCode::InvalidPartitions),
            ("t", -1, ErrorCode::InvalidPartitions),
            ("missing", 3, ErrorCode::UnknownTopicOrPartition),
        ] {
            let topic = CreatePartitionsTopic {
                name: name.into(),
                count,
                assignments: None,
            };
            let request = CreatePartitionsRequest {
                topics: vec![topic],
                timeout_ms: 1000,
                validate_only: false,
            };
            let response = client.call(&request, 3)?;
            assert_eq!(code(response.results[0].error_code), expected, "{name} {count}");
        }
        Ok(())
    })
}

#[test]
fn configs_of_what_does_not_exist_or_with_wrong_values_are_refused() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        for (resource_type, name, expected) in [
            (2, "t", ErrorCode::None),
            (2, "missing", ErrorCode::UnknownTopicOrPartition),
            (2, "a b", ErrorCode::InvalidTopicException),
            (4, "1", ErrorCode::None),
            (4, "", ErrorCode::None),
            (4, "2", ErrorCode::InvalidRequest),
            (4, "x", ErrorCode::InvalidRequest),
            (0, "t", ErrorCode::InvalidRequest),
            (99, "t", ErrorCode::InvalidRequest),
        ] {
            let keys = Some(vec!["no.such.key".into()]);
            let resource = DescribeConfigsResource {
                resource_type,
                resource_name: name.into(),
                configuration_keys: keys,
            };
            let request = DescribeConfigsRequest {
                resources: vec![resource],
                ..Default::default()
            };
            let response = client.call(&request, 4)?;
            assert_eq!(code(response.results[0].error_code), expected, "{resource_type} {name}");
            assert_eq!(response.results[0].configs, [], "an unknown key is absent");
        }
        for (resource_type, name, key, value, expected) in [
            (2, "t", "no.such.key", Some("1"), ErrorCode::InvalidConfig),
            (2, "t", "retention.ms", Some("x"), ErrorCode::InvalidConfig),
            (2, "t", "retention.ms", None, ErrorCode::InvalidRequest),
            (
                2,
                "missing",
                "retention.ms",
                Some("1"),
                ErrorCode::UnknownTopicOrPartition,
            ),
            (4, "x", "log.retention.ms", Some("1"), ErrorCode::InvalidRequest),
            (99, "t", "a", Some("1"), ErrorCode::InvalidRequest),
        ] {
            let config = alter_configs_request::AlterableConfig {
                name: key.into(),
                value: value.map(Into::into),
            };
            let resource = alter_configs_request::AlterConfigsResource {
                resource_type,
                resource_name: name.into(),
                configs: vec![config],
            };
            let response = client.call(
                &AlterConfigsRequest {
                    resources: vec![resource],
                    validate_only: false,
                },
                2,
            )?;
            assert_eq!(
                code(response.responses[0].error_code),
                expected,
                "{resource_type} {name} {key}"
            );
        }
        for (key, config_operation, value, expected) in [
            ("retention.ms", 9, Some("1"), ErrorCode::InvalidRequest),
            ("retention.ms", -1, Some("1"), ErrorCode::InvalidRequest),
            ("retention.ms", 2, Some("1"), ErrorCode::InvalidConfig),
            ("retention.ms", 0, None, ErrorCode::InvalidRequest),
            ("cleanup.policy", 2, Some("nonsense"), ErrorCode::InvalidConfig),
        ] {
            let config = incremental_alter_configs_request::AlterableConfig {
                name: key.into(),
                config_operation,
                value: value.map(Into::into),
            };
            let resource = incremental_alter_configs_request::AlterConfigsResource {
                resource_type: 2,
                resource_name: "t".into(),
                configs: vec![config],
            };
            let request = IncrementalAlterConfigsRequest {
                resources: vec![resource],
                validate_only: false,
            };
            let response = client.call(&request, 1)?;
            assert_eq!(
                code(response.responses[0].error_code),
                expected,
                "{key} {config_operation}"
            );
        }
        Ok(())
    })
}

#[test]
fn records_are_deleted_up_to_offsets_that_exist() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        client.create_topic("compacted", 1, &[("cleanup.policy", "compact")])?;
        for (name, partition_index, offset, expected) in [
            ("t", 0, -2, ErrorCode::OffsetOutOfRange),
            ("t", 0, i64::MIN, ErrorCode::OffsetOutOfRange),
            ("t", 0, 1, ErrorCode::OffsetOutOfRange),
            ("t", -1, 0, ErrorCode::UnknownTopicOrPartition),
            ("t", 9, 0, ErrorCode::UnknownTopicOrPartition),
            ("missing", 0, 0, ErrorCode::UnknownTopicOrPartition),
            ("compacted", 0, 0, ErrorCode::PolicyViolation),
            ("t", 0, -1, ErrorCode::None),
        ] {
            let partitions = vec![DeleteRecordsPartition {
                partition_index,
                offset,
            }];
            let topics = vec![DeleteRecordsTopic {
                name: name.into(),
                partitions,
            }];
            let response = client.call(
                &DeleteRecordsRequest {
                    topics,
                    timeout_ms: 1000,
                },
                2,
            )?;
            let answer = &response.topics[0].partitions[0];
            assert_eq!(code(answer.error_code), expected, "{name} {partition_index} {offset}");
        }
        Ok(())
    })
}
