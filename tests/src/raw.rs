//! Frames put together from bytes, for what no well-behaved client sends.

use crate::{
    client::Client,
    process::{Broker, eventually},
    scratch::Scratch,
};
use bytes::{BufMut, BytesMut};
use ottla_protocol::{ApiKey, ErrorCode, frame::request_header_version};

/// The correlation id of raw frames.
pub const CORRELATION_ID: i32 = 77;

/// A frame with its length: a header without client id, of the version that the API wants, and a body.
///
/// An API that is not known gets header version 1.
pub fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(CORRELATION_ID);
    frame.put_i16(-1);
    if ApiKey::try_from(key).is_ok_and(|key| request_header_version(key, version) >= 2) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    with_length(&frame)
}

/// Any bytes as a frame.
pub fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut frame = (bytes.len() as i32).to_be_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}

/// Whether the broker closes a new connection on which `bytes` arrive, without a word.
pub fn is_closed_by(broker: &Broker, bytes: &[u8]) -> crate::Result<bool> {
    let mut client = broker.connect()?;
    client.send_raw(bytes)?;
    client.is_closed_in_silence()
}

/// Runs `test` against a broker of its own with a topic `t` of one partition; then looks at it through a fresh
/// connection: whatever was sent, it cost nobody else anything.
///
/// # Panics
/// The broker has suffered.
pub fn with_broker(
    name: &str,
    overrides: &[&str],
    test: impl FnOnce(&mut Broker, &mut Client) -> crate::Result<()>,
) -> crate::Result<()> {
    let scratch = Scratch::new(name);
    let mut broker = Broker::start(scratch.path(), overrides)?;
    let mut client = broker.connect()?;
    client.create_topic("t", 1, &[])?;
    test(&mut broker, &mut client)?;
    let batch = crate::client::batch(&[b"still here"]);
    // Not at once: the places of the connections that the test had may not be free yet.
    eventually(|| {
        let produced = broker.connect()?.produce("t", 0, batch.clone(), -1);
        Ok(produced.is_ok_and(|(code, _)| code == ErrorCode::None))
    })?;
    broker.assert_sound()
}
