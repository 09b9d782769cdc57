//! What public bug reports of other brokers and clients expose, and no other test here asks. Each names its report.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message,
    frame::split_response,
    ids::{ProducerEpoch, ProducerId, Uuid},
    messages::{
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
        *,
    },
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{Client, batch, code, fetch_request, first_code, now_ms, produce_request},
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

/// BR-29: an epoch is answered with where it ended, one between two with the lower, one to come with nothing.
#[test]
fn leader_epochs_end_where_the_next_begins() -> Outcome {
    with_broker("bug-reports", &[], |broker, client| {
        let mut epochs = Vec::new();
        client.produce("t", 0, batch(&[b"a", b"b", b"c"]), -1)?;
        epochs.push(client.metadata(Some("t"))?.topics[0].partitions[0].leader_epoch);
        broker.kill_and_restart()?;
        let mut client = broker.connect()?;
        client.produce("t", 0, batch(&[b"d", b"e"]), -1)?;
        epochs.push(client.metadata(Some("t"))?.topics[0].partitions[0].leader_epoch);
        let mut ends = |leader_epoch: i32, current_leader_epoch: i32| {
            let partition = OffsetForLeaderPartition {
                leader_epoch,
                current_leader_epoch,
                ..Default::default()
            };
            let topics = vec![OffsetForLeaderTopic {
                topic: "t".into(),
                partitions: vec![partition],
            }];
            let request = OffsetForLeaderEpochRequest { replica_id: -1, topics };
            client.call(&request, 4).map(|response| {
                let answer = &response.topics[0].partitions[0];
                (code(answer.error_code), answer.leader_epoch, answer.end_offset)
            })
        };
        let (first, last) = (epochs[0], epochs[1]);
        assert!(first < last, "a leader that comes back leads in a new epoch");
        assert_eq!(ends(first, -1)?, (ErrorCode::None, first, 3));
        assert_eq!(ends(last, -1)?, (ErrorCode::None, last, 5));
        assert_eq!(ends(last, last)?, (ErrorCode::None, last, 5));
        assert_eq!(ends(last + 1, -1)?, (ErrorCode::None, -1, -1));
        assert_eq!(ends(last, last + 1)?, (ErrorCode::UnknownLeaderEpoch, -1, -1));
        assert_eq!(ends(last, first)?, (ErrorCode::FencedLeaderEpoch, -1, -1));
        Ok(())
    })
}
