//! Bytes that are no frame, frames that are no request, and requests that no schema has: the connection is closed in
//! silence, except where Kafka answers.

use ottla_protocol::{ApiKey, ErrorCode, Message, frame::split_response, messages::ApiVersionsResponse};
use ottla_tests::{
    client::code,
    raw::{CORRELATION_ID, is_closed_by, request, with_broker, with_length},
};

type Outcome = ottla_tests::Result<()>;

#[test]
fn impossible_lengths_and_other_protocols_close_the_connection() -> Outcome {
    with_broker("bad-frames", &[], |broker, _| {
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
    with_broker("bad-frames", &[], |broker, _| {
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
            assert_eq!(correlation_id, CORRELATION_ID);
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
    with_broker("bad-frames", &[], |broker, _| {
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
        // A flexible version: varints that do not end, tags that repeat, a required array that is null.
        for body in [
            &[0x80; 12][..],
            &[1, 0, 0, 0, 2, 5, 0, 5, 0],
            &[1, 0, 0, 0, 2, 5, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(is_closed_by(broker, &request(metadata, 9, body))?, "{body:?}");
        }
        Ok(())
    })
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_answered_and_a_cut_one_is_let_go() -> Outcome {
    with_broker("bad-frames", &[], |broker, _| {
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
fn a_header_that_makes_no_sense_closes_the_connection() -> Outcome {
    with_broker("bad-frames", &[], |broker, _| {
        let api_versions = (ApiKey::ApiVersions as i16).to_be_bytes();
        let header = |client_id: &[u8]| {
            let prelude = [&api_versions[..], &[0, 0, 0, 0, 0, 77]].concat();
            with_length(&[&prelude, client_id].concat())
        };
        let cases: [&[u8]; 6] = [
            &[],
            &[0],
            &[0xff, 0xfe],
            &[0x7f, 0xff],
            &[0, 5, b'a'],
            &[0, 2, 0xc3, 0x28],
        ];
        for client_id in cases {
            assert!(is_closed_by(broker, &header(client_id))?, "client id {client_id:?}");
        }
        // A flexible header: tags that are announced and do not come, tags out of order.
        for tags in [&[3][..], &[2, 1, 0, 1, 0], &[2, 2, 0, 1, 0], &[1, 0, 9]] {
            let bytes = [&api_versions[..], &[0, 3, 0, 0, 0, 77, 0xff, 0xff], tags].concat();
            assert!(is_closed_by(broker, &with_length(&bytes))?, "tags {tags:?}");
        }
        Ok(())
    })
}

#[test]
fn the_longest_client_id_is_a_client_id() -> Outcome {
    with_broker("bad-frames", &[], |_, client| {
        let mut header = (ApiKey::ApiVersions as i16).to_be_bytes().to_vec();
        header.extend_from_slice(&[0, 0, 0, 0, 0, 77]);
        header.extend_from_slice(&i16::MAX.to_be_bytes());
        header.extend_from_slice(&vec![b'x'; i16::MAX as usize]);
        client.send_raw(&with_length(&header))?;
        let (correlation_id, _) = split_response(client.receive_raw()?, ApiKey::ApiVersions, 0)?;
        assert_eq!(correlation_id, CORRELATION_ID);
        Ok(())
    })
}

#[test]
fn unknown_tags_and_bytes_behind_a_request_are_ignored() -> Outcome {
    with_broker("bad-frames", &[], |_, client| {
        let names = b"\x0cottla-tests\x021";
        let bodies = [
            // Two tags that nobody knows.
            [&names[..], &[2, 77, 3, 1, 2, 3, 0x80, 0x01, 0]].concat(),
            // Bytes behind the request.
            [&names[..], &[0, 1, 2, 3]].concat(),
        ];
        for body in bodies {
            client.send_raw(&request(ApiKey::ApiVersions as i16, 3, &body))?;
            let (_, mut reader) = split_response(client.receive_raw()?, ApiKey::ApiVersions, 3)?;
            let response = ApiVersionsResponse::decode(&mut reader, 3)?;
            assert_eq!(code(response.error_code), ErrorCode::None);
            assert!(response.api_keys.len() > 30);
        }
        Ok(())
    })
}

#[test]
fn null_where_the_schema_has_no_null_closes_the_connection() -> Outcome {
    with_broker("bad-frames", &[], |broker, _| {
        let null_array = (-1_i32).to_be_bytes();
        let null_string = [0xff, 0xff];
        // Topics of ListOffsets, Produce and CreateTopics; the group of Heartbeat; a null in compact form.
        let produce = [&null_string[..], &[0xff, 0xff, 0, 0, 0, 0], &null_array].concat();
        let list_offsets = [&[0xff; 4][..], &null_array].concat();
        let cases: [(ApiKey, i16, &[u8]); 5] = [
            (ApiKey::ListOffsets, 1, &list_offsets),
            (ApiKey::Produce, 3, &produce),
            (ApiKey::CreateTopics, 2, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0]),
            (ApiKey::Heartbeat, 0, &[0xff, 0xff, 0, 0, 0, 0, 0, 0]),
            (ApiKey::CreateTopics, 5, &[0, 0, 0, 0, 0, 0, 0]),
        ];
        for (key, version, body) in cases {
            assert!(
                is_closed_by(broker, &request(key as i16, version, body))?,
                "{key:?} v{version}"
            );
        }
        Ok(())
    })
}

#[test]
fn negative_counts_but_minus_one_close_the_connection() -> Outcome {
    with_broker("bad-frames", &[], |broker, _| {
        for count in [-2, -1_000_000, i32::MIN] {
            let count = count.to_be_bytes();
            let fetch = [&[0xff; 4][..], &[0; 13], &count].concat();
            let nested = [&[0xff; 4][..], &[0, 0, 0, 1, 0, 1, b't'], &count].concat();
            for (key, version, body) in [
                (ApiKey::Metadata, 1, &count[..]),
                (ApiKey::OffsetFetch, 2, &[&[0, 1, b'g'][..], &count].concat()),
                (ApiKey::Fetch, 4, &fetch),
                (ApiKey::ListOffsets, 1, &nested),
                (ApiKey::DescribeGroups, 0, &count),
            ] {
                assert!(
                    is_closed_by(broker, &request(key as i16, version, body))?,
                    "{key:?} {count:?}"
                );
            }
        }
        Ok(())
    })
}
