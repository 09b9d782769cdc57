//! Every request, response and record of Kafka 4.4.0, and the versions that Kafka 4 dropped.
//!
//! Generated at build time from protocol/schemas. Each message has a module of its own that holds its parts; the
//! message itself is also reachable from here. Names are Kafka's, fields in snake_case. A field that a version lacks
//! has its default after decoding; unknown tagged fields are skipped.

use crate::{
    ids::Uuid,
    primitives::{DecodeError, EncodeError, Frame, Reader, Str, Writer},
};
use bytes::Bytes;

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest version.
    pub first: i16,
    /// The highest version.
    pub last: i16,
}

impl VersionRange {
    /// Whether `version` lies in the range.
    pub const fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }
}

/// A message of the protocol: a request, a response, or a record of an internal topic.
pub trait Message: Sized + Default + Clone + std::fmt::Debug + PartialEq {
    /// The name in Kafka's protocol guide.
    const NAME: &'static str;
    /// The versions that the schema has.
    const VERSIONS: VersionRange;
    /// The first version with compact lengths and tagged fields (KIP-482); `i16::MAX` where there is none.
    const FLEXIBLE_FROM: i16;
    /// The type number of a metadata or coordinator record.
    const RECORD_TYPE: Option<i16>;

    /// Reads the message; `version` has been checked. Bytes that follow are left in the reader.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes the message; `version` has been checked.
    fn encode(&self, w: &mut Writer, version: i16);

    /// Shows `visit` the error codes of the message, at whatever depth they stand; success is none.
    fn visit_errors(&self, _visit: &mut dyn FnMut(i16)) {}

    /// Puts `code` in the place of each error code that says success, at whatever depth it stands.
    fn fail(&mut self, _code: i16) {}

    /// The message as Apache Kafka's JSON converters render it.
    #[cfg(feature = "json")]
    fn to_json(&self, version: i16) -> serde_json::Value;

    /// Whether `version` has compact lengths and tagged fields.
    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE_FROM
    }

    /// Reads the message in a version that the schema must have.
    fn decode_at(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion {
                message: Self::NAME,
                version,
            });
        }
        Self::decode(r, version)
    }

    /// Reads the message from `bytes`; what follows it is ignored, as Kafka does.
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        Self::decode_at(&mut Reader::new(bytes), version)
    }

    /// The encoded message.
    ///
    /// # Errors
    /// A field holds a value that `version` cannot carry.
    fn to_frame(&self, version: i16) -> Result<Frame, EncodeError> {
        let mut writer = Writer::default();
        if !Self::VERSIONS.contains(version) {
            writer.lacks(Self::NAME, version);
        }
        self.encode(&mut writer, version);
        writer.finish()
    }

    /// [`Message::to_frame`] in one piece.
    ///
    /// # Errors
    /// A field holds a value that `version` cannot carry.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        self.to_frame(version).map(Frame::into_bytes)
    }
}

/// A request and the response that belongs to it.
pub trait Request: Message {
    /// The key of the API.
    const KEY: ApiKey;
    /// What answers it.
    type Response: Message;
}

#[allow(
    missing_docs,
    unreachable_pub,
    unused_parens,
    dead_code,
    clippy::all,
    clippy::large_futures
)]
mod generated {
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}
pub use generated::*;

#[cfg(test)]
mod tests {
    use super::{create_topics_response::CreatableTopicResult, *};

    #[test]
    fn what_fails_as_a_whole_keeps_the_errors_that_it_had() {
        let topic = |error_code| CreatableTopicResult {
            error_code,
            ..Default::default()
        };
        let mut response = CreateTopicsResponse {
            topics: vec![topic(0), topic(36)],
            ..Default::default()
        };
        response.fail(56);
        let mut codes = Vec::new();
        response.visit_errors(&mut |code| codes.push(code));
        assert_eq!(codes, [56, 36]);
    }
}
