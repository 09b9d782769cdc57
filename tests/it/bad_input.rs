//! What a broker answers to bytes that no well-behaved client sends. Each test ends with a look at a fresh
//! connection: whatever was sent, it cost nobody else anything.

use bytes::{BufMut, Bytes, BytesMut};
use ottla_protocol::{
    ErrorCode, Message,
    frame::split_response,
    messages::{
        ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchRequest, JoinGroupRequest, MetadataRequest,
        ProduceRequest, ProduceResponse,
    },
    records::batch::{HEADER_BYTES, update_crc},
};
use ottla_tests::{
    client::{Client, batch, code, fetch_request, first_code, produce_request},
    process::Broker,
    scratch::Scratch,
};

type Outcome = ottla_tests::Result<()>;

/// Runs `test` against a broker of its own with a topic `t` of one partition.
fn with_broker(test: impl FnOnce(&Broker) -> Outcome) -> Outcome {
    let scratch = Scratch::new("bad-input");
    let broker = Broker::start(scratch.path(), &[])?;
    broker.connect()?.create_topic("t", 1, &[])?;
    test(&broker)?;
    let (code, _) = broker.connect()?.produce("t", 0, batch(&[b"still here"]), -1)?;
    assert_eq!(code, ErrorCode::None);
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
    Ok(())
}

/// A frame with its length: header version 1 and a body.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(4 + 4 + 2 + body.len() as i32);
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(77);
    frame.put_i16(-1);
    frame.put_slice(body);
    frame.to_vec()
}

fn is_closed_by(broker: &Broker, bytes: &[u8]) -> ottla_tests::Result<bool> {
    let mut client = broker.connect()?;
    client.send_raw(bytes)?;
    client.is_closed_in_silence()
}

#[test]
fn impossible_lengths_and_other_protocols_close_the_connection() -> Outcome {
    with_broker(|broker| {
        for bytes in [
            &(-1_i32).to_be_bytes()[..],
            &0_i32.to_be_bytes(),
            &7_i32.to_be_bytes(),
            &(100 << 20 | 1_i32).to_be_bytes(),
            &i32::MAX.to_be_bytes(),
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        ] {
            assert!(is_closed_by(broker, bytes)?, "{bytes:?}");
        }
        Ok(())
    })
}

#[test]
fn unknown_apis_and_versions_close_the_connection_but_for_api_versions() -> Outcome {
    with_broker(|broker| {
        let metadata = ApiKey::Metadata as i16;
        for (key, version) in [
            (-1, 0),
            (999, 0),
            (4, 0),
            (metadata, 99),
            (metadata, -1),
            (ApiKey::Fetch as i16, 0),
        ] {
            assert!(
                is_closed_by(broker, &request(key, version, &[0; 8]))?,
                "key {key} version {version}"
            );
        }
        for version in [6, 99, i16::MAX] {
            let mut client = broker.connect()?;
            client.send_raw(&request(ApiKey::ApiVersions as i16, version, &[]))?;
            let (correlation_id, mut reader) = split_response(client.receive_raw()?, ApiKey::ApiVersions, 0)?;
            let response = ApiVersionsResponse::decode(&mut reader, 0)?;
            assert_eq!(correlation_id, 77);
            assert_eq!(code(response.error_code), ErrorCode::UnsupportedVersion);
            let ranges: Vec<_> = response
                .api_keys
                .iter()
                .map(|api| (api.api_key, api.max_version))
                .collect();
            assert_eq!(ranges, [(ApiKey::ApiVersions as i16, 5)]);
            // The connection goes on: the client asks again in a version that is there.
            assert_eq!(code(client.api_versions()?.error_code), ErrorCode::None);
        }
        Ok(())
    })
}

#[test]
fn counts_and_lengths_beyond_the_frame_close_the_connection() -> Outcome {
    with_broker(|broker| {
        let metadata = ApiKey::Metadata as i16;
        let join = ApiKey::JoinGroup as i16;
        let cases: [(i16, i16, &[u8]); 6] = [
            (metadata, 1, &i32::MAX.to_be_bytes()),
            (metadata, 1, &[0x00, 0x0f, 0x42, 0x41]),
            (metadata, 1, &(-2_i32).to_be_bytes()),
            (metadata, 1, &[0, 0, 0, 1, 0x7f, 0xff]),
            (metadata, 1, &[0, 0, 0, 1, 0, 2, 0xc3, 0x28]),
            (join, 0, &[0, 1, b'g', 0, 0]),
        ];
        for (key, version, body) in cases {
            assert!(
                is_closed_by(broker, &request(key, version, body))?,
                "{key} v{version} {body:?}"
            );
        }
        // A flexible version: varints that do not end, tags that repeat.
        let flexible = |body: &[u8]| {
            let mut bytes = vec![0];
            bytes.extend_from_slice(body);
            request(metadata, 9, &bytes)
        };
        assert!(is_closed_by(broker, &flexible(&[0x80; 12]))?);
        assert!(is_closed_by(broker, &flexible(&[0, 0, 0, 0, 2, 5, 0, 5, 0]))?);
        Ok(())
    })
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_answered_and_a_cut_one_is_let_go() -> Outcome {
    with_broker(|broker| {
        let mut slow = broker.connect()?;
        for byte in request(ApiKey::ApiVersions as i16, 0, &[]) {
            slow.send_raw(&[byte])?;
        }
        split_response(slow.receive_raw()?, ApiKey::ApiVersions, 0)?;
        let mut cut = broker.connect()?;
        cut.send_raw(&[0, 0, 1, 0, 0, 3])?;
        drop(cut);
        Ok(())
    })
}

#[test]
fn pipelined_requests_are_answered_in_order() -> Outcome {
    with_broker(|broker| {
        let mut client = broker.connect()?;
        let mut sent = Vec::new();
        for number in 0..300 {
            sent.push(match number % 3 {
                0 => client.send(&produce_request("t", 0, batch(&[b"x"]), -1), 9)?,
                1 => client.send(&ApiVersionsRequest::default(), 0)?,
                _ => client.send(&MetadataRequest::default(), 1)?,
            });
        }
        for (number, correlation_id) in sent.into_iter().enumerate() {
            match number % 3 {
                0 => drop(client.receive::<ProduceRequest>(9, correlation_id)?),
                1 => drop(client.receive::<ApiVersionsRequest>(0, correlation_id)?),
                _ => drop(client.receive::<MetadataRequest>(1, correlation_id)?),
            }
        }
        Ok(())
    })
}

#[test]
fn a_request_behind_a_waiting_fetch_is_begun_and_ends_the_wait() -> Outcome {
    with_broker(|broker| {
        let mut client = broker.connect()?;
        // The fetch waits a minute for records that the next request on the same connection brings.
        let fetch = client.send(&fetch_request("t", 0, 0, 60_000), 12)?;
        let produce = client.send(&produce_request("t", 0, batch(&[b"news"]), -1), 9)?;
        let fetched = client.receive::<FetchRequest>(12, fetch)?;
        let records = fetched.responses[0].partitions[0]
            .records
            .as_ref()
            .map_or(0, Bytes::len);
        assert!(records > 0);
        assert_eq!(
            first_code(&client.receive::<ProduceRequest>(9, produce)?)?,
            ErrorCode::None
        );
        Ok(())
    })
}

#[test]
fn acks_0_has_no_answer_and_an_error_closes_the_connection() -> Outcome {
    with_broker(|broker| {
        let mut client = broker.connect()?;
        client.send(&produce_request("t", 0, batch(&[b"silent"]), 0), 9)?;
        // The next answer on the wire is that of the next request.
        assert_eq!(code(client.api_versions()?.error_code), ErrorCode::None);
        client.send(&produce_request("missing", 0, batch(&[b"silent"]), 0), 9)?;
        assert!(client.is_closed_in_silence()?);
        Ok(())
    })
}

/// Changes bytes of a good batch, corrects its checksum, and says what the broker answers.
fn code_for(client: &mut Client, change: impl FnOnce(&mut Vec<u8>)) -> ottla_tests::Result<ErrorCode> {
    let mut bytes = batch(&[b"a", b"b"]).to_vec();
    change(&mut bytes);
    if bytes.len() >= HEADER_BYTES {
        update_crc(&mut bytes);
    }
    Ok(client.produce("t", 0, bytes.into(), -1)?.0)
}

#[test]
fn batches_that_are_not_right_are_refused_with_their_code_and_nothing_is_appended() -> Outcome {
    with_broker(|broker| {
        let mut client = broker.connect()?;
        let mut damaged = batch(&[b"a"]).to_vec();
        *damaged.last_mut().expect("a batch has bytes") ^= 1;
        assert_eq!(client.produce("t", 0, damaged.into(), -1)?.0, ErrorCode::CorruptMessage);
        assert_eq!(
            code_for(&mut client, |batch| batch[16] = 1)?,
            ErrorCode::InvalidRecord,
            "magic 1"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[16] = 3)?,
            ErrorCode::InvalidRecord,
            "magic 3"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[22] |= 0x20)?,
            ErrorCode::InvalidRecord,
            "control bit"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[26] = 9)?,
            ErrorCode::InvalidRecord,
            "last offset delta"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[60] = 9)?,
            ErrorCode::InvalidRecord,
            "records count"
        );
        let unsupported = ErrorCode::UnsupportedCompressionType;
        assert_eq!(code_for(&mut client, |batch| batch[22] = 7)?, unsupported, "codec 7");
        let two = |batch: &mut Vec<u8>| batch.extend_from_within(..);
        assert_eq!(code_for(&mut client, two)?, ErrorCode::InvalidRecord, "two batches");
        assert_eq!(code_for(&mut client, Vec::clear)?, ErrorCode::InvalidRecord, "no batch");
        let zstd = |batch: &mut Vec<u8>| batch[22] = 4;
        let mut old = batch(&[b"a"]).to_vec();
        zstd(&mut old);
        update_crc(&mut old);
        let response: ProduceResponse = client.call(&produce_request("t", 0, old.into(), -1), 6)?;
        assert_eq!(first_code(&response)?, unsupported, "zstd in version 6");
        let large = vec![b'x'; 2 << 20];
        assert_eq!(
            client.produce("t", 0, batch(&[&large]), -1)?.0,
            ErrorCode::MessageTooLarge
        );
        let end = client.fetch("t", 0, 0, 0)?.responses[0].partitions[0].high_watermark;
        assert_eq!(end, 0, "something was appended");
        Ok(())
    })
}

#[test]
fn keys_and_timestamps_are_held_against_the_topic() -> Outcome {
    with_broker(|broker| {
        use ottla_protocol::records::{BatchBuilder, NewRecord};
        let mut client = broker.connect()?;
        client.create_topic("compacted", 1, &[("cleanup.policy", "compact")])?;
        let mut keyless = BatchBuilder::new();
        let now = ottla_tests::client::now_ms();
        keyless.append(&NewRecord {
            key: None,
            ..NewRecord::of(now, b"", b"v")
        });
        let response = client.call(&produce_request("compacted", 0, keyless.build(), -1), 9)?;
        assert_eq!(first_code(&response)?, ErrorCode::InvalidRecord);
        let errors = &response.responses[0].partition_responses[0].record_errors;
        assert_eq!(errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [0]);
        let mut future = BatchBuilder::new();
        future.append(&NewRecord::of(now + 7_200_000, b"k", b"v"));
        assert_eq!(
            client.produce("t", 0, future.build(), -1)?.0,
            ErrorCode::InvalidTimestamp
        );
        Ok(())
    })
}

#[test]
fn produce_says_what_is_wrong_with_acks_and_topics() -> Outcome {
    with_broker(|broker| {
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
    with_broker(|broker| {
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

#[test]
fn groups_refuse_what_makes_no_sense() -> Outcome {
    with_broker(|broker| {
        let mut client = broker.connect()?;
        let join = |group: &str, session_timeout_ms: i32, member: &str| {
            use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
            let protocol = JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: Bytes::from_static(b"m"),
            };
            JoinGroupRequest {
                group_id: group.into(),
                session_timeout_ms,
                rebalance_timeout_ms: 1000,
                member_id: member.into(),
                protocol_type: "consumer".into(),
                protocols: vec![protocol],
                ..Default::default()
            }
        };
        let mut answer = |request: &JoinGroupRequest| client.call(request, 5).map(|answer| code(answer.error_code));
        assert_eq!(answer(&join("", 10_000, ""))?, ErrorCode::InvalidGroupId);
        assert_eq!(answer(&join("g", 1, ""))?, ErrorCode::InvalidSessionTimeout);
        assert_eq!(answer(&join("g", i32::MAX, ""))?, ErrorCode::InvalidSessionTimeout);
        assert_eq!(answer(&join("g", 10_000, "nobody"))?, ErrorCode::UnknownMemberId);
        let mut without_protocols = join("g", 10_000, "");
        without_protocols.protocols.clear();
        assert_eq!(answer(&without_protocols)?, ErrorCode::InconsistentGroupProtocol);
        Ok(())
    })
}

#[test]
fn topic_names_are_checked() -> Outcome {
    with_broker(|broker| {
        let mut client = broker.connect()?;
        for name in ["", ".", "..", "a b", "a/b", "ü", &"x".repeat(250)] {
            let error = client.create_topic(name, 1, &[]).expect_err(name).to_string();
            assert!(error.contains("INVALID_TOPIC_EXCEPTION"), "{name}: {error}");
        }
        client.create_topic(&"x".repeat(249), 1, &[])?;
        Ok(())
    })
}
