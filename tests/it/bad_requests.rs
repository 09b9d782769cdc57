//! Well-formed requests that make no sense: each gets its typed error.

use ottla_protocol::{ErrorCode, messages::FetchRequest};
use ottla_tests::{
    client::{batch, code, fetch_request, first_code, produce_request},
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
