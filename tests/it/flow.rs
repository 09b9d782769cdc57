//! The order of answers on a connection, and what a client that sends too much or reads too little costs.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest},
};
use ottla_tests::{
    client::{batch, code, fetch_request, first_code, produce_request},
    raw::with_broker,
};

type Outcome = ottla_tests::Result<()>;

#[test]
fn pipelined_requests_are_answered_in_order() -> Outcome {
    with_broker("flow", &[], |broker, _| {
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
