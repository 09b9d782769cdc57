//! Writes what goes over all messages: the keys of the APIs, the metadata records, a macro that visits each type.

use super::put;
use crate::parse::{Message, Schema};
use std::fmt::Write;

pub(super) fn emit_api_keys(out: &mut String, schemas: &[Schema]) {
    let mut apis: Vec<&(i16, String)> = schemas.iter().filter_map(|schema| schema.api.as_ref()).collect();
    apis.sort();
    put!(
        out,
        "/// The number of an API on the wire.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]"
    );
    put!(out, "#[repr(i16)]\npub enum ApiKey {{");
    for (key, name) in &apis {
        put!(out, "{name} = {key},");
    }
    put!(
        out,
        "}}\nimpl ApiKey {{\n/// Every key, ascending.\npub const ALL: &'static [Self] = &["
    );
    for (_, name) in &apis {
        put!(out, "Self::{name},");
    }
    put!(
        out,
        "];\n/// The name in Kafka's protocol guide.\npub const fn name(self) -> &'static str {{ match self {{"
    );
    for (_, name) in &apis {
        put!(out, "Self::{name} => {name:?},");
    }
    put!(
        out,
        "}} }}\n/// The first flexible version of the request; `i16::MAX` where there is none."
    );
    put!(out, "pub const fn flexible_from(self) -> i16 {{ match self {{");
    for (_, name) in &apis {
        put!(out, "Self::{name} => {name}Request::FLEXIBLE_FROM,");
    }
    put!(out, "}} }}\n/// The versions that the schema of the request covers.");
    put!(out, "pub const fn versions(self) -> VersionRange {{ match self {{");
    for (_, name) in &apis {
        put!(out, "Self::{name} => {name}Request::VERSIONS,");
    }
    put!(out, "}} }} }}\nimpl TryFrom<i16> for ApiKey {{\ntype Error = i16;");
    put!(out, "fn try_from(key: i16) -> Result<Self, i16> {{ match key {{");
    for (key, name) in &apis {
        put!(out, "{key} => Ok(Self::{name}),");
    }
    put!(out, "other => Err(other), }} }} }}");
    for (_, name) in &apis {
        put!(
            out,
            "impl Request for {name}Request {{ const KEY: ApiKey = ApiKey::{name}; type Response = {name}Response; }}"
        );
    }
    put!(
        out,
        "/// Calls a macro with the name of every request and response type.\n#[macro_export]"
    );
    put!(out, "macro_rules! for_each_message {{ ($callback:ident) => {{");
    for message in schemas.iter().flat_map(|schema| &schema.messages) {
        put!(out, "$callback!({});", message.name);
    }
    put!(out, "}}; }}");
}

pub(super) fn emit_metadata_records(out: &mut String, schemas: &[Schema]) {
    let is_record = |schema: &&Schema| schema.api.is_none() && schema.messages[0].record_type.is_some();
    let records: Vec<&Message> = schemas
        .iter()
        .filter(is_record)
        .map(|schema| &schema.messages[0])
        // Coordinator records come as keys and values, tiering's have a log of their own.
        .filter(|message| message.name.ends_with("Record") && !message.name.starts_with("Remote"))
        .collect();
    put!(
        out,
        "/// One record of `__cluster_metadata` (KIP-631).\n#[derive(Clone, Debug, PartialEq)]\npub enum MetadataRecord {{"
    );
    for record in &records {
        put!(out, "{}({}),", record.name.trim_end_matches("Record"), record.name);
    }
    put!(out, "}}\nimpl MetadataRecord {{");
    put!(
        out,
        "/// The type number.\npub const fn record_type(&self) -> i16 {{ match self {{"
    );
    for record in &records {
        put!(
            out,
            "Self::{}(_) => {},",
            record.name.trim_end_matches("Record"),
            record.record_type.unwrap_or_default()
        );
    }
    put!(
        out,
        "}} }}\n/// The name of the record's schema.\npub const fn name(&self) -> &'static str {{ match self {{"
    );
    for record in &records {
        put!(
            out,
            "Self::{}(_) => {:?},",
            record.name.trim_end_matches("Record"),
            record.name
        );
    }
    put!(
        out,
        "}} }}\n/// The newest version that the schema has.\npub const fn newest_version(&self) -> i16 {{ match self {{"
    );
    for record in &records {
        put!(
            out,
            "Self::{}(_) => {}::VERSIONS.last,",
            record.name.trim_end_matches("Record"),
            record.name
        );
    }
    put!(
        out,
        "}} }}\npub(crate) fn read_body(record_type: i16, r: &mut Reader, version: i16) -> Result<Self, DecodeError> {{"
    );
    put!(out, "match record_type {{");
    for record in &records {
        let (name, number) = (&record.name, record.record_type.unwrap_or_default());
        put!(
            out,
            "{number} => Ok(Self::{}({name}::decode_at(r, version)?)),",
            name.trim_end_matches("Record")
        );
    }
    put!(out, "other => Err(DecodeError::UnknownRecordType(other)), }} }}");
    put!(
        out,
        "pub(crate) fn write_body(&self, w: &mut Writer, version: i16) {{ match self {{"
    );
    for record in &records {
        put!(
            out,
            "Self::{}(record) => record.encode(w, version),",
            record.name.trim_end_matches("Record")
        );
    }
    put!(
        out,
        "}} }}\n/// The record as Apache Kafka's JSON converters render it.\n#[cfg(feature = \"json\")]"
    );
    put!(
        out,
        "pub fn to_json(&self, version: i16) -> serde_json::Value {{ match self {{"
    );
    for record in &records {
        put!(
            out,
            "Self::{}(record) => record.to_json(version),",
            record.name.trim_end_matches("Record")
        );
    }
    put!(out, "}} }} }}");
    for record in &records {
        let variant = record.name.trim_end_matches("Record");
        put!(
            out,
            "impl From<{}> for MetadataRecord {{ fn from(record: {}) -> Self {{ Self::{variant}(record) }} }}",
            record.name,
            record.name
        );
    }
}
