//! How a metadata record lies in the value of a record of `__cluster_metadata` (KIP-631).
//!
//! | bytes | what |
//! |---|---|
//! | varint | frame version, 1 |
//! | varint | type number |
//! | varint | version of the type |
//! | rest | the record |

use crate::{
    messages::MetadataRecord,
    primitives::{DecodeError, EncodeError, Reader, Writer},
};
use bytes::Bytes;

const FRAME_VERSION: u32 = 1;

impl MetadataRecord {
    /// Reads the value of a record of the metadata log.
    ///
    /// # Errors
    /// The bytes are no metadata record, or of a type or version that is unknown here.
    pub fn from_value(value: Bytes) -> Result<Self, DecodeError> {
        Self::read_value(value).map(|(record, _)| record)
    }

    /// As [`MetadataRecord::from_value`], with the version that the record is written in.
    ///
    /// # Errors
    /// The bytes are no metadata record, or of a type or version that is unknown here.
    pub fn read_value(value: Bytes) -> Result<(Self, i16), DecodeError> {
        let mut reader = Reader::new(value);
        if reader.unsigned_varint()? != FRAME_VERSION {
            return Err(DecodeError::UnknownRecordType(-1));
        }
        let number = |value: u32| i16::try_from(value).map_err(|_| DecodeError::UnknownRecordType(-1));
        let record_type = number(reader.unsigned_varint()?)?;
        let version = number(reader.unsigned_varint()?)?;
        Ok((Self::read_body(record_type, &mut reader, version)?, version))
    }

    /// The value of a record of the metadata log, written in `version` of its type.
    ///
    /// # Errors
    /// A field holds a value that `version` cannot carry.
    pub fn to_value(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::default();
        writer.unsigned_varint(FRAME_VERSION);
        writer.unsigned_varint(u32::from(self.record_type().unsigned_abs()));
        writer.unsigned_varint(u32::from(version.unsigned_abs()));
        self.write_body(&mut writer, version);
        Ok(writer.finish()?.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::Uuid, messages::TopicRecord};

    #[test]
    fn records_come_back_from_their_value() {
        let record = MetadataRecord::from(TopicRecord {
            name: "orders".into(),
            topic_id: Uuid([7; 16]),
        });
        let value = record.to_value(0).expect("version 0 has every field");
        assert_eq!(&value[..3], [1, 2, 0]);
        assert_eq!(MetadataRecord::from_value(value), Ok(record));
    }

    #[test]
    fn unknown_types_and_frame_versions_are_errors() {
        let unknown_type = MetadataRecord::from_value(Bytes::from_static(&[1, 99, 0]));
        assert_eq!(unknown_type, Err(DecodeError::UnknownRecordType(99)));
        let unknown_frame = MetadataRecord::from_value(Bytes::from_static(&[2, 2, 0]));
        assert_eq!(unknown_frame, Err(DecodeError::UnknownRecordType(-1)));
    }
}
