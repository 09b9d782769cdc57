//! Well-formed requests that make no sense: each gets its typed error.

use ottla_protocol::{
    ErrorCode, Request,
    ids::Uuid,
    messages::{
        describe_configs_request::DescribeConfigsResource,
        fetch_request::FetchPartition,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        offset_fetch_request::OffsetFetchRequestGroup,
        *,
    },
};
use ottla_tests::{
    client::{Client, batch, code, fetch_request, first_code, produce_request},
    raw::with_broker,
};

type Outcome = ottla_tests::Result<()>;

#[test]
fn produce_says_what_is_wrong_with_acks_and_topics() -> Outcome {
    with_broker("bad-requests", &[], |broker, _| {
        let mut client = broker.connect()?;
        assert_eq!(
            client.produce("t", 0, batch(&[b"a"]), 2)?.0,
            ErrorCode::InvalidRequiredAcks
        );
        assert_eq!(
            client.produce("t", 1, batch(&[b"a"]), -1)?.0,
            ErrorCode::UnknownTopicOrPartition
        );
        assert_eq!(
            client.produce("missing", 0, batch(&[b"a"]), -1)?.0,
            ErrorCode::UnknownTopicOrPartition
        );
        let mut twice = produce_request("t", 0, batch(&[b"a"]), -1);
        let data = twice.topic_data[0].partition_data[0].clone();
        twice.topic_data[0].partition_data.push(data);
        let response = client.call(&twice, 9)?;
        let codes: Vec<_> = response.responses[0]
            .partition_responses
            .iter()
            .map(|each| each.error_code)
            .collect();
        assert_eq!(
            codes,
            [0, ErrorCode::InvalidRequest.code()],
            "a partition named twice is appended once"
        );
        let response = client.call(&produce_request("", 0, batch(&[b"a"]), -1), 13)?;
        assert_eq!(first_code(&response)?, ErrorCode::UnknownTopicId);
        Ok(())
    })
}

#[test]
fn fetch_refuses_offsets_outside_the_log_and_sessions_that_are_guessed() -> Outcome {
    with_broker("bad-requests", &[], |broker, _| {
        let mut client = broker.connect()?;
        for offset in [-5, 1, i64::MAX] {
            let response = client.fetch("t", 0, offset, 0)?;
            assert_eq!(
                code(response.responses[0].partitions[0].error_code),
                ErrorCode::OffsetOutOfRange,
                "{offset}"
            );
        }
        let mut negative = fetch_request("t", 0, 0, 0);
        negative.max_bytes = -1;
        negative.topics[0].partitions[0].partition_max_bytes = -1;
        let response = client.call(&negative, 12)?;
        assert_eq!(code(response.responses[0].partitions[0].error_code), ErrorCode::None);
        let guessed = FetchRequest {
            session_id: 4711,
            session_epoch: 3,
            ..Default::default()
        };
        assert_eq!(
            code(client.call(&guessed, 12)?.error_code),
            ErrorCode::FetchSessionIdNotFound
        );
        let mut opening = fetch_request("t", 0, 0, 0);
        opening.session_epoch = 0;
        let opened = client.call(&opening, 12)?;
        assert_ne!(opened.session_id, 0);
        let wrong = FetchRequest {
            session_id: opened.session_id,
            session_epoch: 9,
            ..Default::default()
        };
        assert_eq!(
            code(client.call(&wrong, 12)?.error_code),
            ErrorCode::InvalidFetchSessionEpoch
        );
        Ok(())
    })
}

/// The answer's number of entries to a question that repeats itself.
fn answers<R: Request>(
    client: &mut Client,
    request: &R,
    version: i16,
    count: impl Fn(R::Response) -> usize,
) -> ottla_tests::Result<usize> {
    Ok(count(client.call(request, version)?))
}

#[test]
fn what_is_named_a_thousand_times_is_answered_once() -> Outcome {
    const TIMES: usize = 1_000;
    with_broker("bad-requests", &[], |_, client| {
        let topics = vec![
            MetadataRequestTopic {
                name: Some("t".into()),
                ..Default::default()
            };
            TIMES
        ];
        let request = MetadataRequest {
            topics: Some(topics),
            ..Default::default()
        };
        for version in 1..=13 {
            assert_eq!(answers(client, &request, version, |answer| answer.topics.len())?, 1);
        }
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource; TIMES],
            ..Default::default()
        };
        assert_eq!(answers(client, &request, 4, |answer| answer.results.len())?, 1);
        let request = DescribeGroupsRequest {
            groups: vec!["g".into(); TIMES],
            ..Default::default()
        };
        assert_eq!(answers(client, &request, 6, |answer| answer.groups.len())?, 1);
        let group = OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: None,
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            groups: vec![group; TIMES],
            ..Default::default()
        };
        assert_eq!(answers(client, &request, 8, |answer| answer.groups.len())?, 1);
        let topic = describe_producers_request::TopicRequest {
            name: "t".into(),
            partition_indexes: vec![0; TIMES],
        };
        let request = DescribeProducersRequest { topics: vec![topic; 2] };
        let count = |answer: DescribeProducersResponse| answer.topics.iter().map(|topic| topic.partitions.len()).sum();
        assert_eq!(answers(client, &request, 0, count)?, 1);
        Ok(())
    })
}

#[test]
fn a_topic_without_a_name_where_there_are_no_ids_is_an_invalid_request() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        let of = |name: Option<&'static str>, id: [u8; 16]| MetadataRequestTopic {
            name: name.map(Into::into),
            topic_id: Uuid(id),
        };
        for version in [10, 11] {
            let topics = vec![of(None, [7; 16]), of(Some("t"), [0; 16])];
            let response = client.call(
                &MetadataRequest {
                    topics: Some(topics),
                    ..Default::default()
                },
                version,
            )?;
            let codes: Vec<_> = response.topics.iter().map(|topic| code(topic.error_code)).collect();
            assert_eq!(codes, [ErrorCode::InvalidRequest; 2], "version {version}");
        }
        Ok(())
    })
}

/// Anonymous memory that fetches of very many partitions may leave behind: what their answers need at a time.
const LARGE_FETCH_BYTES_MAX: usize = 256 << 20;

#[test]
fn a_fetch_of_more_partitions_than_there_can_be_is_refused() -> Outcome {
    with_broker("bad-requests", &[], |broker, client| {
        let of = |partitions: i32| {
            let mut request = fetch_request("t", 0, 0, 0);
            let one = request.topics[0].partitions[0].clone();
            let each = |partition| FetchPartition {
                partition,
                ..one.clone()
            };
            request.topics[0].partitions = (0..partitions).map(each).collect();
            request
        };
        let before = broker.anonymous_bytes()?;
        let response = client.call(&of(100_000), 12)?;
        assert_eq!(response.responses[0].partitions.len(), 100_000);
        for partitions in [100_001, 1_000_000] {
            for session_epoch in [-1, 0] {
                let response = client.call(
                    &FetchRequest {
                        session_epoch,
                        ..of(partitions)
                    },
                    12,
                )?;
                assert_eq!(code(response.error_code), ErrorCode::InvalidRequest);
                assert_eq!((response.session_id, response.responses.len()), (0, 0));
            }
        }
        let grown = broker.anonymous_bytes()?.saturating_sub(before);
        assert!(grown < LARGE_FETCH_BYTES_MAX, "{grown} bytes");
        Ok(())
    })
}

#[test]
fn a_session_does_not_grow_without_end() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        let mut opening = fetch_request("t", 0, 0, 0);
        opening.session_epoch = 0;
        let opened = client.call(&opening, 12)?;
        let mut more = opening.clone();
        (more.session_id, more.session_epoch) = (opened.session_id, 1);
        let one = more.topics[0].partitions[0].clone();
        more.topics[0].partitions = (1..100_001)
            .map(|partition| FetchPartition {
                partition,
                ..one.clone()
            })
            .collect();
        let response = client.call(&more, 12)?;
        assert_eq!(
            code(response.error_code),
            ErrorCode::FetchSessionIdNotFound,
            "the client begins anew"
        );
        Ok(())
    })
}

#[test]
fn a_fetch_of_nothing_is_answered_at_once() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        let nothing = FetchRequest {
            max_wait_ms: i32::MAX,
            min_bytes: 1,
            ..Default::default()
        };
        assert_eq!(client.call(&nothing, 12)?.responses, []);
        Ok(())
    })
}

#[test]
fn timestamps_that_mean_nothing_in_a_version_are_refused() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        let unsupported = ErrorCode::UnsupportedVersion;
        for (version, partition_index, timestamp, expected) in [
            (11, 0, -7, unsupported),
            (11, 0, i64::MIN, unsupported),
            (1, 0, -3, unsupported),
            (7, 0, -4, unsupported),
            (8, 0, -5, unsupported),
            (10, 0, -6, unsupported),
            (11, -1, -1, ErrorCode::UnknownTopicOrPartition),
            (11, 1, -1, ErrorCode::UnknownTopicOrPartition),
            (1, 0, -1, ErrorCode::None),
        ] {
            let partition = ListOffsetsPartition {
                partition_index,
                timestamp,
                ..Default::default()
            };
            let topics = vec![ListOffsetsTopic {
                name: "t".into(),
                partitions: vec![partition],
            }];
            let response = client.call(
                &ListOffsetsRequest {
                    replica_id: -1,
                    topics,
                    ..Default::default()
                },
                version,
            )?;
            let answer = &response.topics[0].partitions[0];
            assert_eq!(code(answer.error_code), expected, "version {version}: {timestamp}");
        }
        Ok(())
    })
}

#[test]
fn half_a_producer_identity_is_an_invalid_request() -> Outcome {
    with_broker("bad-requests", &[], |_, client| {
        for (producer_id, producer_epoch, expected) in [
            (-1, 5, ErrorCode::InvalidRequest),
            (5, -1, ErrorCode::InvalidRequest),
            (-5, -1, ErrorCode::InvalidRequest),
            (5, 0, ErrorCode::None),
            (-1, -1, ErrorCode::None),
        ] {
            let request = InitProducerIdRequest {
                transactional_id: None,
                producer_id,
                producer_epoch,
                ..Default::default()
            };
            let response = client.call(&request, 4)?;
            assert_eq!(code(response.error_code), expected, "{producer_id} {producer_epoch}");
        }
        let request = InitProducerIdRequest {
            transactional_id: Some("".into()),
            ..Default::default()
        };
        for version in 0..=5 {
            assert_eq!(
                code(client.call(&request, version)?.error_code),
                ErrorCode::InvalidRequest
            );
        }
        Ok(())
    })
}
