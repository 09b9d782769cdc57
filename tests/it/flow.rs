//! The order of answers on a connection, and what a client that sends too much or reads too little costs.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, frame,
    messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest},
};
use ottla_tests::{
    client::{Client, batch, code, fetch_request, first_code, produce_request},
    process::{Broker, eventually},
    raw::with_broker,
};
use std::{
    thread,
    time::{Duration, Instant},
};

type Outcome = ottla_tests::Result<()>;

#[test]
fn pipelined_requests_are_answered_in_order() -> Outcome {
    with_broker("flow", &[], |broker, _| {
        let mut client = broker.connect()?;
        let mut sent = Vec::new();
        for number in 0..1_500 {
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
    with_broker("flow", &[], |broker, _| {
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

/// More requests than may be in flight, all received before the first is answered: nothing more comes from the socket that
/// could remind the broker of those it has not begun.
#[test]
fn requests_that_had_to_wait_for_room_are_begun_when_there_is_some() -> Outcome {
    with_broker("flow", &[], |broker, _| {
        const BEHIND: i32 = 140;
        let mut client = broker.connect()?;
        let mut bytes = frame::request(&fetch_request("t", 0, 0, 300), 12, 0, "t")?
            .into_bytes()
            .to_vec();
        for correlation_id in 1..=BEHIND {
            let request = frame::request(&ApiVersionsRequest::default(), 0, correlation_id, "t")?;
            bytes.extend_from_slice(&request.into_bytes());
        }
        assert!(bytes.len() < 4096, "{} bytes, read at once", bytes.len());
        client.send_raw(&bytes)?;
        client.receive::<FetchRequest>(12, 0)?;
        for correlation_id in 1..=BEHIND {
            client.receive::<ApiVersionsRequest>(0, correlation_id)?;
        }
        Ok(())
    })
}

/// BR-11.
#[test]
fn acks_0_has_no_answer_and_an_error_closes_the_connection() -> Outcome {
    with_broker("flow", &[], |broker, _| {
        let mut client = broker.connect()?;
        client.send(&produce_request("t", 0, batch(&[b"silent"]), 0), 9)?;
        // The next answer on the wire is that of the next request.
        assert_eq!(code(client.api_versions()?.error_code), ErrorCode::None);
        client.send(&produce_request("missing", 0, batch(&[b"silent"]), 0), 9)?;
        assert!(client.is_closed_in_silence()?);
        Ok(())
    })
}

/// Anonymous memory that one connection may make the broker hold, whatever it sends.
const CONNECTION_BYTES_MAX: usize = 64 << 20;
/// What the broker may take from a client that reads nothing.
const UNREAD_REQUEST_BYTES_MAX: usize = 16 << 20;

#[test]
fn a_client_that_reads_nothing_is_held_back_and_let_go() -> Outcome {
    with_broker("flow", &["connections.max.idle.ms=1000"], |broker, client| {
        client.create_topic("many", 200, &[])?;
        let before = broker.anonymous_bytes()?;
        let mut deaf = broker.connect()?;
        let request = frame::request(
            &MetadataRequest {
                topics: None,
                ..Default::default()
            },
            12,
            1,
            "deaf",
        )?
        .into_bytes();
        // Writing blocks while the broker does not read, and fails when the broker has had enough.
        let mut sent = 0;
        deaf.give_up_writing_after(Duration::from_secs(30))?;
        while deaf.send_raw(&request).is_ok() {
            sent += request.len();
            assert!(
                sent < UNREAD_REQUEST_BYTES_MAX,
                "requests are read although no answer is"
            );
        }
        let grown = broker.anonymous_bytes()?.saturating_sub(before);
        assert!(grown < CONNECTION_BYTES_MAX, "{grown} bytes");
        eventually(|| Ok(broker.log().contains("answers were not read in time")))
    })
}

#[test]
fn a_frame_that_trickles_has_a_deadline() -> Outcome {
    with_broker("flow", &["connections.max.idle.ms=1000"], |broker, _| {
        let mut slow = broker.connect()?;
        let mut silent = broker.connect()?;
        silent.send_raw(&[0, 0, 1])?;
        // Each byte comes well before the idle limit. The frame never ends.
        slow.send_raw(&i32::to_be_bytes(1 << 20))?;
        let closed = (0..600).any(|_| {
            thread::sleep(Duration::from_millis(50));
            slow.send_raw(&[0]).is_err()
        });
        assert!(closed, "a frame may take for ever");
        assert!(silent.is_closed_in_silence()?);
        eventually(|| Ok(broker.log().contains("a request did not come to its end in time")))
    })
}

/// A topic whose first segment has `SEALED_BYTES` and is sealed, so that what is read of it is copied.
fn with_sealed_segment(client: &mut Client) -> Outcome {
    client.create_topic("sealed", 1, &[("segment.bytes", &SEALED_BYTES.to_string())])?;
    let batch = batch(&[&vec![b'x'; 1_000_000]]);
    for _ in 0..=SEALED_BYTES / 1_000_000 {
        assert_eq!(client.produce("sealed", 0, batch.clone(), -1)?.0, ErrorCode::None);
    }
    Ok(())
}

const SEALED_BYTES: usize = 16 << 20;

/// A fetch of all the sealed segment that waits a minute for `min_bytes`.
fn sealed_fetch(min_bytes: i32) -> FetchRequest {
    let mut fetch = fetch_request("sealed", 0, 0, 60_000);
    fetch.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    FetchRequest { min_bytes, ..fetch }
}

/// The memory that `fetches` large fetches hold while an answer before them is waited for.
fn held_behind_a_waiting_fetch(broker: &Broker, client: &mut Client, min_bytes: i32) -> ottla_tests::Result<usize> {
    const FETCHES: usize = 60;
    with_sealed_segment(client)?;
    let mut greedy = broker.connect()?;
    let before = broker.anonymous_bytes()?;
    let waiting = frame::request(&fetch_request("t", 0, 0, 1_000), 12, 1, "greedy")?.into_bytes();
    let large = frame::request(&sealed_fetch(min_bytes), 12, 2, "greedy")?.into_bytes();
    greedy.send_raw(&[&waiting[..], &large.repeat(FETCHES)].concat())?;
    // While the first waits its second out, those behind it, which came in the same bytes, are begun.
    greedy.receive::<FetchRequest>(12, 1)?;
    Ok(broker.anonymous_bytes()?.saturating_sub(before))
}

#[test]
fn answers_that_wait_behind_another_are_bounded_in_bytes() -> Outcome {
    with_broker("flow", &[], |broker, client| {
        let held = held_behind_a_waiting_fetch(broker, client, 1)?;
        assert!(held < CONNECTION_BYTES_MAX, "{held} bytes");
        Ok(())
    })
}

#[test]
fn a_fetch_that_waits_for_more_holds_no_records() -> Outcome {
    with_broker("flow", &[], |broker, client| {
        let held = held_behind_a_waiting_fetch(broker, client, i32::MAX)?;
        assert!(held < CONNECTION_BYTES_MAX, "{held} bytes");
        Ok(())
    })
}

#[test]
fn connections_beyond_the_limit_are_closed_until_others_go() -> Outcome {
    const LIMIT: usize = 20;
    with_broker("flow", &[&format!("max.connections={LIMIT}")], |broker, _| {
        let mut open = Vec::new();
        let mut refused = 0;
        for _ in 0..10 * LIMIT {
            let mut client = broker.connect()?;
            match client.api_versions() {
                Ok(_) => open.push(client),
                Err(_) => refused += 1,
            }
        }
        assert!(
            open.len() < LIMIT && refused > 8 * LIMIT,
            "{} open, {refused} refused",
            open.len()
        );
        open.iter_mut().try_for_each(|client| client.api_versions().map(drop))?;
        drop(open);
        eventually(|| Ok(broker.connect()?.api_versions().is_ok()))
    })
}

#[test]
fn an_address_that_is_full_does_not_keep_others_out() -> Outcome {
    const LIMIT: usize = 5;
    let overrides = [
        &*format!("max.connections.per.ip={LIMIT}"),
        "max.connections.per.ip.overrides=127.0.0.3:1",
    ];
    with_broker("flow", &overrides, |broker, _| {
        // The test's own connection has one of the places of this address.
        let served = |address: &str, count: usize| -> ottla_tests::Result<Vec<Client>> {
            let clients = (0..count).map(|_| Client::connect_from(address.parse()?, broker.address()));
            let clients: Vec<Client> = clients.collect::<ottla_tests::Result<_>>()?;
            Ok(clients
                .into_iter()
                .filter_map(|mut client| client.api_versions().is_ok().then_some(client))
                .collect())
        };
        let mine = served("127.0.0.1", 3 * LIMIT)?;
        assert_eq!(mine.len(), LIMIT - 1, "with the one that was there");
        assert_eq!(served("127.0.0.2", 3 * LIMIT)?.len(), LIMIT);
        assert_eq!(served("127.0.0.3", 3 * LIMIT)?.len(), 1, "its own limit");
        drop(mine);
        eventually(|| Ok(!served("127.0.0.1", 1)?.is_empty()))
    })
}

#[test]
fn connections_that_come_too_fast_wait_and_are_served() -> Outcome {
    const PER_SECOND: usize = 50;
    let rate = format!("max.connection.creation.rate={PER_SECOND}");
    with_broker("flow", &[&rate], |broker, _| {
        let begin = Instant::now();
        let mut open = Vec::new();
        for _ in 0..2 * PER_SECOND {
            open.push(broker.connect()?);
        }
        open.iter_mut().try_for_each(|client| client.api_versions().map(drop))?;
        // A second's worth may come at once, the other half is paid for with a second; half of that is asked for.
        assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
        Ok(())
    })
}

#[test]
fn a_client_that_hangs_up_leaves_no_long_wait_behind() -> Outcome {
    const LIMIT: usize = 8;
    let overrides = [&*format!("max.connections={LIMIT}"), "connections.max.idle.ms=1000"];
    with_broker("flow", &overrides, |broker, _| {
        let mut gone = 0;
        // More of them than there are places: each that got one gives it back.
        eventually(|| {
            let mut client = broker.connect()?;
            if client.api_versions().is_ok() {
                client.send(&fetch_request("t", 0, 0, i32::MAX), 12)?;
                client.end()?;
                gone += 1;
            }
            Ok(gone > 3 * LIMIT)
        })?;
        eventually(|| Ok(broker.connect()?.api_versions().is_ok()))
    })
}
