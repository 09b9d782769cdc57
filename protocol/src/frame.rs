//! Requests and responses with their headers.
//!
//! On the wire every frame is preceded by its length as a 32-bit number; [`request`] and [`response`] include it.

use crate::{
    messages::{ApiKey, Message, Request, RequestHeader, ResponseHeader},
    primitives::{DecodeError, EncodeError, Frame, Reader, Str, Writer},
};
use bytes::Bytes;
use std::collections::VecDeque;

/// The version of the header before a request.
///
/// Only ControlledShutdown 0 ever had header 0, and Kafka 4 dropped it.
pub const fn request_header_version(key: ApiKey, version: i16) -> i16 {
    if version >= key.flexible_from() { 2 } else { 1 }
}

/// The version of the header before a response.
///
/// ApiVersions is always answered with header 0: the client cannot know yet what the broker speaks (KIP-511).
pub const fn response_header_version(key: ApiKey, version: i16) -> i16 {
    if matches!(key, ApiKey::ApiVersions) || version < key.flexible_from() {
        0
    } else {
        1
    }
}

/// What the first bytes of a request say, readable even where the API or its version is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelude {
    /// The number of the API.
    pub api_key: i16,
    /// The version of the API.
    pub api_version: i16,
    /// What the response has to repeat.
    pub correlation_id: i32,
}

impl Prelude {
    /// Reads the prelude from the front of a frame (without its length).
    ///
    /// # Errors
    /// The frame has fewer than eight bytes.
    pub fn peek(frame: &[u8]) -> Result<Self, DecodeError> {
        let [k0, k1, v0, v1, c0, c1, c2, c3] = *frame.first_chunk().ok_or(DecodeError::Truncated)?;
        Ok(Self {
            api_key: i16::from_be_bytes([k0, k1]),
            api_version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

/// Splits a frame (without its length) into its header and a reader that stands at the body.
///
/// # Errors
/// The header is malformed for `key` and `version`.
pub fn split_request(frame: Bytes, key: ApiKey, version: i16) -> Result<(RequestHeader, Reader), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader, request_header_version(key, version))?;
    Ok((header, reader))
}

/// A whole request with its length.
///
/// # Errors
/// A field holds a value that `version` cannot carry.
pub fn request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let header = RequestHeader {
        request_api_key: R::KEY as i16,
        request_api_version: version,
        correlation_id,
        client_id: Some(Str::from(client_id)),
    };
    let mut writer = begun();
    header.encode(&mut writer, request_header_version(R::KEY, version));
    request.encode(&mut writer, version);
    writer.finish_with_length()
}

/// A whole response with its length. What `version` cannot say is left out.
///
/// # Errors
/// A field is null or too long for `version`.
pub fn response<M: Message>(key: ApiKey, version: i16, correlation_id: i32, body: &M) -> Result<Frame, EncodeError> {
    response_around(key, version, correlation_id, body, VecDeque::new())
}

/// As [`response`], with a gap in the place of each record set for which `elsewhere` has a length: see
/// [`Writer::take_records_from`].
///
/// # Errors
/// A field is null or too long for `version`.
pub fn response_around<M: Message>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
    elsewhere: VecDeque<Option<usize>>,
) -> Result<Frame, EncodeError> {
    let mut writer = begun();
    writer.take_records_from(elsewhere);
    writer.leave_out_unknown_fields();
    ResponseHeader { correlation_id }.encode(&mut writer, response_header_version(key, version));
    body.encode(&mut writer, version);
    writer.finish_with_length()
}

/// Takes the header off a response frame (without its length): the correlation id and a reader at the body.
///
/// # Errors
/// The header is malformed for `key` and `version`.
pub fn split_response(frame: Bytes, key: ApiKey, version: i16) -> Result<(i32, Reader), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, response_header_version(key, version))?;
    Ok((header.correlation_id, reader))
}

/// A frame with room for its length.
fn begun() -> Writer {
    let mut writer = Writer::with_capacity(128);
    writer.i32(0);
    writer
}
