//! What public bug reports of other brokers and clients expose, and no other test here asks. Each names its report.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message,
    frame::split_response,
    ids::{ProducerEpoch, ProducerId, Uuid},
    messages::{
        alter_configs_request::{AlterConfigsResource, AlterableConfig},
        create_partitions_request::CreatePartitionsTopic,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::DescribeConfigsResult,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        *,
    },
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{Client, batch, code, fetch_request, first_code, now_ms, produce_request},
    process::Broker,
    raw::{self, with_broker},
};

type Outcome = ottla_tests::Result<()>;

/// BR-01: librdkafka compresses only for a broker that lists Produce from 0; 0 to 2 are refused if really sent.
/// BR-06: what names topics by id comes with the Metadata that has the ids.
#[test]
fn the_versions_on_offer_fit_together() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        let offered = client.api_versions()?;
        let range = |key: ApiKey| {
            let api = offered.api_keys.iter().find(|api| api.api_key == key as i16);
            api.map_or((-1, -1), |api| (api.min_version, api.max_version))
        };
        assert_eq!(range(ApiKey::Produce).0, 0);
        assert!(range(ApiKey::Produce).1 < 13 || range(ApiKey::Metadata).1 >= 12);
        assert!(range(ApiKey::Fetch).1 < 13 || range(ApiKey::Metadata).1 >= 12);
        let metadata = client.metadata(Some("t"))?;
        assert!(!metadata.topics[0].topic_id.is_zero());
        let response = client.call(&produce_request("t", 0, batch(&[b"x"]), -1), 13)?;
        assert_eq!(
            first_code(&response)?,
            ErrorCode::UnknownTopicId,
            "the zero id is not a name"
        );
        Ok(())
    })
}

/// BR-04: the answer to ApiVersions has header version 0 in every version, flexible ones too.
#[test]
fn the_header_of_api_versions_never_has_tags() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        for version in 3..=5 {
            let body = ApiVersionsRequest {
                client_software_name: "a".into(),
                client_software_version: "1".into(),
                ..Default::default()
            };
            client.send_raw(&raw::request(
                ApiKey::ApiVersions as i16,
                version,
                &body.to_bytes(version)?,
            ))?;
            let frame = client.receive_raw()?;
            assert_eq!(frame[..4], raw::CORRELATION_ID.to_be_bytes());
            assert_eq!(frame[4..6], [0, 0], "the error follows at once");
            assert!(frame[6] > 30, "then the number of APIs, in one byte");
        }
        Ok(())
    })
}

/// BR-05: errors are written in the version of the request.
#[test]
fn errors_decode_in_every_version() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        for version in 3..=12 {
            let response = client.call(&produce_request("missing", 0, batch(&[b"x"]), -1), version)?;
            assert_eq!(
                first_code(&response)?,
                ErrorCode::UnknownTopicOrPartition,
                "Produce {version}"
            );
        }
        for version in 4..=18 {
            let mut request = fetch_request("missing", 0, 0, 0);
            request.topics[0].topic_id = Uuid([9; 16]);
            let response = client.call(&request, version)?;
            let expected = match version {
                13.. => ErrorCode::UnknownTopicId,
                _ => ErrorCode::UnknownTopicOrPartition,
            };
            assert_eq!(
                code(response.responses[0].partitions[0].error_code),
                expected,
                "Fetch {version}"
            );
            let guessed = FetchRequest {
                session_id: 5,
                session_epoch: 5,
                ..Default::default()
            };
            if version >= 7 {
                let error = client.call(&guessed, version)?.error_code;
                assert_eq!(code(error), ErrorCode::FetchSessionIdNotFound, "Fetch {version}");
            }
        }
        for version in 0..=13 {
            let topic = MetadataRequestTopic {
                name: Some("a b".into()),
                ..Default::default()
            };
            let request = MetadataRequest {
                topics: Some(vec![topic]),
                ..Default::default()
            };
            let error = client.call(&request, version)?.topics[0].error_code;
            assert_eq!(code(error), ErrorCode::InvalidTopicException, "Metadata {version}");
        }
        for version in 1..=11 {
            let partition = ListOffsetsPartition {
                timestamp: -1,
                ..Default::default()
            };
            let topics = vec![ListOffsetsTopic {
                name: "missing".into(),
                partitions: vec![partition],
            }];
            let response = client.call(
                &ListOffsetsRequest {
                    topics,
                    ..Default::default()
                },
                version,
            )?;
            let error = response.topics[0].partitions[0].error_code;
            assert_eq!(code(error), ErrorCode::UnknownTopicOrPartition, "ListOffsets {version}");
        }
        Ok(())
    })
}

/// A batch of one record of an idempotent producer.
fn numbered(id: ProducerId, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(id, ProducerEpoch(0), sequence);
    builder.append(&NewRecord::of(now_ms(), b"k", format!("{sequence}").as_bytes()));
    builder.build()
}

/// The answers to batches that were sent before, each again.
fn repeated(
    client: &mut Client,
    id: ProducerId,
    sequences: std::ops::Range<i32>,
) -> ottla_tests::Result<Vec<(ErrorCode, i64)>> {
    sequences
        .map(|sequence| client.produce("t", 0, numbered(id, sequence), -1))
        .collect()
}

/// BR-08: what was appended before the connection broke is not appended again, and has its old offset; after a crash
/// too. BR-09: also when the records are deleted.
#[test]
fn a_repeated_batch_has_its_first_offset_whatever_happened_between() -> Outcome {
    with_broker("bug-reports", &[], |broker, client| {
        let id = client.init_producer_id()?;
        let mut broken = broker.connect()?;
        for sequence in 0..5 {
            broken.send(&produce_request("t", 0, numbered(id, sequence), -1), 9)?;
        }
        // The answers are lost, the records are not: an answer to a later request says that they are in.
        broken.end()?;
        while broken.receive_unless_closed()?.is_some() {}
        let first: Vec<_> = (0..5).map(|offset| (ErrorCode::None, offset)).collect();
        assert_eq!(repeated(client, id, 0..5)?, first);
        broker.kill_and_restart()?;
        let mut client = broker.connect()?;
        assert_eq!(repeated(&mut client, id, 0..5)?, first, "after a crash");
        let partitions = vec![DeleteRecordsPartition {
            partition_index: 0,
            offset: -1,
        }];
        let topics = vec![DeleteRecordsTopic {
            name: "t".into(),
            partitions,
        }];
        let deleted = client.call(
            &DeleteRecordsRequest {
                topics,
                timeout_ms: 1000,
            },
            2,
        )?;
        assert_eq!(deleted.topics[0].partitions[0].low_watermark, 5);
        assert_eq!(repeated(&mut client, id, 0..5)?, first, "after DeleteRecords");
        broker.kill_and_restart()?;
        let mut client = broker.connect()?;
        assert_eq!(
            repeated(&mut client, id, 0..5)?,
            first,
            "after DeleteRecords and a crash"
        );
        assert_eq!(repeated(&mut client, id, 5..6)?, [(ErrorCode::None, 5)]);
        Ok(())
    })
}

/// BR-10: a producer that the partition does not know may begin with any sequence.
#[test]
fn an_unknown_producer_may_begin_anywhere() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        client.produce("t", 0, batch(&[b"data"]), -1)?;
        assert_eq!(repeated(client, ProducerId(4711), 7..8)?, [(ErrorCode::None, 1)]);
        Ok(())
    })
}

/// BR-22: the record set of a partition without news is empty in every version, not null.
#[test]
fn no_records_are_no_bytes_and_not_null() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        let topic_id = client.metadata(Some("t"))?.topics[0].topic_id;
        for version in 4..=18 {
            let mut request = fetch_request("t", 0, 0, 0);
            request.topics[0].topic_id = topic_id;
            let response = client.call(&request, version)?;
            let partition = &response.responses[0].partitions[0];
            assert_eq!(
                (partition.error_code, partition.records.as_ref().map(Bytes::len)),
                (0, Some(0)),
                "{version}"
            );
        }
        Ok(())
    })
}

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

/// BR-02: a version that is far too new is answered in version 0, and the connection stays usable.
#[test]
fn api_versions_of_the_far_future_are_answered_in_version_0() -> Outcome {
    with_broker("bug-reports", &[], |_, client| {
        client.send_raw(&raw::request(
            ApiKey::ApiVersions as i16,
            i16::MAX,
            b"whatever that version has",
        ))?;
        let (_, mut reader) = split_response(client.receive_raw()?, ApiKey::ApiVersions, 0)?;
        let response = ApiVersionsResponse::decode(&mut reader, 0)?;
        assert_eq!(code(response.error_code), ErrorCode::UnsupportedVersion);
        client.api_versions()?;
        Ok(())
    })
}
