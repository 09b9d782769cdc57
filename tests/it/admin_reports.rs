//! Topics and configs as public bug reports of other brokers ask for them. Each test names its report.

use ottla_protocol::{
    ErrorCode,
    messages::{
        alter_configs_request::{AlterConfigsResource, AlterableConfig},
        create_partitions_request::CreatePartitionsTopic,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::DescribeConfigsResult,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        *,
    },
};
use ottla_tests::{
    client::{Client, batch, code},
    process::Broker,
    raw::with_broker,
};

type Outcome = ottla_tests::Result<()>;

fn described(
    client: &mut Client,
    resource_type: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> ottla_tests::Result<DescribeConfigsResult> {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        ..Default::default()
    };
    let mut response = client.call(&request, 4)?;
    Ok(response.results.remove(0))
}

/// Value and source of a key of topic `t`.
fn config(client: &mut Client, key: &str) -> ottla_tests::Result<(String, i8)> {
    let result = described(client, 2, "t", Some(&[key]))?;
    assert_eq!(result.configs.len(), 1, "{key}");
    let found = &result.configs[0];
    Ok((
        found.value.as_deref().unwrap_or_default().to_owned(),
        found.config_source,
    ))
}

const DYNAMIC_TOPIC: i8 = 1;
const DYNAMIC_DEFAULT_BROKER: i8 = 3;
const DEFAULT: i8 = 5;

/// BR-47: AlterConfigs replaces all that was set; CreatePartitions counts the total.
#[test]
fn alter_configs_replaces_and_create_partitions_counts_the_total() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        let alter = |client: &mut Client, configs: &[(&str, &str)]| -> Outcome {
            let configs = configs.iter().map(|(name, value)| AlterableConfig {
                name: (*name).into(),
                value: Some((*value).into()),
            });
            let resource = AlterConfigsResource {
                resource_type: 2,
                resource_name: "t".into(),
                configs: configs.collect(),
            };
            let response = client.call(
                &AlterConfigsRequest {
                    resources: vec![resource],
                    validate_only: false,
                },
                2,
            )?;
            assert_eq!(response.responses[0].error_code, 0);
            Ok(())
        };
        alter(client, &[("retention.ms", "1000"), ("max.message.bytes", "2000")])?;
        alter(client, &[("retention.ms", "3000")])?;
        assert_eq!(config(client, "retention.ms")?, ("3000".into(), DYNAMIC_TOPIC));
        assert_eq!(config(client, "max.message.bytes")?, ("1048588".into(), DEFAULT));
        let create = |count: i32, validate_only: bool| CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: "t".into(),
                count,
                assignments: None,
            }],
            timeout_ms: 1000,
            validate_only,
        };
        let partitions = |client: &mut Client| -> ottla_tests::Result<Vec<i32>> {
            let metadata = client.metadata(Some("t"))?;
            let indexes = metadata.topics[0]
                .partitions
                .iter()
                .map(|partition| partition.partition_index);
            Ok(indexes.collect())
        };
        assert_eq!(client.call(&create(5, true), 3)?.results[0].error_code, 0);
        assert_eq!(partitions(client)?, [0], "validate_only changes nothing");
        assert_eq!(client.call(&create(5, false), 3)?.results[0].error_code, 0);
        assert_eq!(partitions(client)?, [0, 1, 2, 3, 4]);
        Ok(())
    })
}

/// BR-47: CreateTopics says what it made. BR-48: what was set has another source than what was not, and a key that is
/// not there is absent.
#[test]
fn configs_say_where_their_value_comes_from() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        let topic = CreatableTopic {
            name: "compacted".into(),
            num_partitions: -1,
            replication_factor: -1,
            configs: vec![CreatableTopicConfig {
                name: "cleanup.policy".into(),
                value: Some("compact".into()),
            }],
            ..Default::default()
        };
        for version in 5..=7 {
            let request = CreateTopicsRequest {
                topics: vec![topic.clone()],
                validate_only: version < 7,
                ..Default::default()
            };
            let response = client.call(&request, version)?;
            let created = &response.topics[0];
            assert_eq!(
                (created.error_code, created.num_partitions, created.replication_factor),
                (0, 1, 1)
            );
            let configs = created.configs.as_ref().map_or(0, Vec::len);
            assert!(configs > 20, "{configs} configs in version {version}");
        }
        let all = described(client, 2, "compacted", None)?;
        for config in &all.configs {
            let expected = match &*config.name {
                "cleanup.policy" => DYNAMIC_TOPIC,
                // Eligible leader replicas make it a setting of the cluster (KIP-966).
                "min.insync.replicas" => DYNAMIC_DEFAULT_BROKER,
                _ => DEFAULT,
            };
            assert_eq!(config.config_source, expected, "{}", config.name);
            assert!(
                !config.synonyms.is_empty() || config.config_source == DEFAULT,
                "{}",
                config.name
            );
        }
        let policy = all.configs.iter().find(|config| &*config.name == "cleanup.policy");
        assert_eq!(policy.and_then(|policy| policy.value.as_deref()), Some("compact"));
        let some = described(client, 2, "compacted", Some(&["retention.ms", "no.such.key"]))?;
        assert_eq!(
            some.configs.iter().map(|config| &*config.name).collect::<Vec<_>>(),
            ["retention.ms"]
        );
        for broker in ["1", ""] {
            assert_eq!(described(client, 4, broker, None)?.error_code, 0);
        }
        Ok(())
    })
}

/// Uses a topic through connections of their own, at once.
fn use_at_once(broker: &Broker, topic: &str) -> Outcome {
    assert_eq!(
        broker.connect()?.metadata(Some(topic))?.topics[0].error_code,
        0,
        "{topic}"
    );
    let partition = ListOffsetsPartition {
        timestamp: -1,
        ..Default::default()
    };
    let topics = vec![ListOffsetsTopic {
        name: topic.into(),
        partitions: vec![partition],
    }];
    let listed = broker.connect()?.call(
        &ListOffsetsRequest {
            topics,
            ..Default::default()
        },
        5,
    )?;
    assert_eq!(listed.topics[0].partitions[0].error_code, 0, "{topic}");
    assert_eq!(
        broker.connect()?.fetch(topic, 0, 0, 0)?.responses[0].partitions[0].error_code,
        0,
        "{topic}"
    );
    let produced = broker.connect()?.produce(topic, 0, batch(&[b"at once"]), -1)?;
    assert_eq!(produced, (ErrorCode::None, 0), "{topic}");
    Ok(())
}

/// BR-63: a topic whose creation is answered is there for everybody.
#[test]
fn a_created_topic_is_there_at_once() -> Outcome {
    with_broker("bug-reports", &[], |broker, client| {
        (0..100).try_for_each(|number| {
            let topic = format!("new-{number}");
            client.create_topic(&topic, 1, &[])?;
            use_at_once(broker, &topic)
        })
    })
}

/// BR-63: so is a topic that Metadata made, if not in the first answer then in the next.
#[test]
fn a_topic_made_by_its_first_use_is_there_at_once() -> Outcome {
    with_broker("bug-reports", &[], |broker, client| {
        (0..100).try_for_each(|number| {
            let topic = format!("used-{number}");
            let asked = MetadataRequestTopic {
                name: Some(topic.as_str().into()),
                ..Default::default()
            };
            let request = MetadataRequest {
                topics: Some(vec![asked]),
                ..Default::default()
            };
            let first = code(client.call(&request, 12)?.topics[0].error_code);
            let may_come_later = [
                ErrorCode::None,
                ErrorCode::LeaderNotAvailable,
                ErrorCode::UnknownTopicOrPartition,
            ];
            assert!(may_come_later.contains(&first), "{first:?}");
            use_at_once(broker, &topic)
        })
    })
}
