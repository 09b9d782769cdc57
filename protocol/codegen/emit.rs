//! Writes Rust for parsed schemas: a module a message with its structures, their defaults, decoding and encoding.

#[path = "emit/errors.rs"]
mod errors;
#[path = "emit/json.rs"]
mod json;
#[path = "emit/names.rs"]
mod names;
#[path = "emit/read.rs"]
mod read;
#[path = "emit/tables.rs"]
mod tables;
#[path = "emit/types.rs"]
mod types;
#[path = "emit/write.rs"]
mod write;

use crate::parse::{Field, Message, Schema, Structure, Type, Versions};
use errors::{emit_errors, has_errors};
use json::emit_json;
use names::{identifier, snake};
use read::emit_read;
use std::fmt::Write;
use tables::{emit_api_keys, emit_metadata_records};
use types::{default_value, rust_type};
use write::emit_write;

/// The whole generated file.
pub(crate) fn emit(schemas: &[Schema]) -> String {
    let mut out = String::new();
    for message in schemas.iter().flat_map(|schema| &schema.messages) {
        emit_message(&mut out, message);
    }
    emit_api_keys(&mut out, schemas);
    emit_metadata_records(&mut out, schemas);
    out
}

macro_rules! put {
    ($out:expr, $($text:tt)*) => { writeln!($out, $($text)*).expect("writing to a string") };
}
use put;

/// Everything that depends on the message a structure belongs to.
struct Context<'a> {
    message: &'a Message,
}

fn emit_message(out: &mut String, message: &Message) {
    let module = snake(&message.name);
    let context = Context { message };
    put!(
        out,
        "/// `{}` and its parts, versions {}-{}.",
        message.name,
        message.versions.first,
        message.versions.last
    );
    put!(out, "pub mod {module} {{\nuse super::*;");
    for structure in &message.structures {
        emit_structure(out, &context, structure);
    }
    put!(out, "impl Message for {} {{", message.name);
    put!(out, "const NAME: &'static str = {:?};", message.name);
    put!(
        out,
        "const VERSIONS: VersionRange = VersionRange {{ first: {}, last: {} }};",
        message.versions.first,
        message.versions.last
    );
    put!(
        out,
        "const FLEXIBLE_FROM: i16 = {};",
        message.flexible_from.unwrap_or(i16::MAX)
    );
    put!(out, "const RECORD_TYPE: Option<i16> = {:?};", message.record_type);
    put!(
        out,
        "fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {{ Self::read(r, version) }}"
    );
    put!(
        out,
        "fn encode(&self, w: &mut Writer, version: i16) {{ self.write(w, version) }}"
    );
    let root = message
        .structures
        .iter()
        .find(|structure| structure.name == message.name);
    if root.is_some_and(|root| has_errors(&context, root)) {
        put!(
            out,
            "fn visit_errors(&self, visit: &mut dyn FnMut(i16)) {{ self.errors(visit) }}"
        );
        put!(out, "fn fail(&mut self, code: i16) {{ self.set_failed(code) }}");
    }
    put!(
        out,
        "#[cfg(feature = \"json\")]\nfn to_json(&self, version: i16) -> serde_json::Value {{ self.json(version) }}"
    );
    put!(out, "}}\n}}\npub use {module}::{};", message.name);
}

fn emit_structure(out: &mut String, context: &Context<'_>, structure: &Structure) {
    put!(
        out,
        "#[derive(Clone, Debug, PartialEq)]\npub struct {} {{",
        structure.name
    );
    for field in &structure.fields {
        put!(out, "pub {}: {},", identifier(&field.name), rust_type(field));
    }
    put!(
        out,
        "}}\nimpl Default for {} {{\nfn default() -> Self {{\nSelf {{",
        structure.name
    );
    for field in &structure.fields {
        put!(out, "{}: {},", identifier(&field.name), default_value(field));
    }
    put!(out, "}}\n}}\n}}\nimpl {} {{", structure.name);
    emit_read(out, context, structure);
    emit_write(out, context, structure);
    emit_json(out, context, structure);
    emit_errors(out, context, structure);
    put!(out, "}}");
}

// Conditions on the version.

impl Context<'_> {
    fn always(&self, versions: Versions) -> bool {
        versions.first <= self.message.versions.first && versions.last >= self.message.versions.last
    }

    /// `None` where the range covers all versions of the message.
    fn condition(&self, versions: Versions) -> Option<String> {
        let all = self.message.versions;
        match (versions.first <= all.first, versions.last >= all.last) {
            (true, true) => None,
            (false, true) => Some(format!("version >= {}", versions.first)),
            (true, false) => Some(format!("version <= {}", versions.last)),
            (false, false) if versions.first == versions.last => Some(format!("version == {}", versions.first)),
            (false, false) => Some(format!("({}..={}).contains(&version)", versions.first, versions.last)),
        }
    }

    fn flexible(&self) -> &'static str {
        match self.message.flexible_from {
            None => "false",
            Some(first) if first <= self.message.versions.first => "true",
            Some(_) => "flexible",
        }
    }

    fn flexible_of(&self, field: &Field) -> &'static str {
        if field.classic { "false" } else { self.flexible() }
    }

    /// Binds `flexible` where the body needs it.
    fn bind_flexible(&self, out: &mut String) {
        if let (Some(first), "flexible") = (self.message.flexible_from, self.flexible()) {
            put!(out, "let flexible = version >= {first};");
        }
    }

    fn structure(&self, name: &str) -> &Structure {
        let found = self.message.structures.iter().find(|structure| structure.name == name);
        found.unwrap_or_else(|| panic!("{}: no structure {name}", self.message.name))
    }

    /// The fewest bytes that a value can take in any version; never less than one.
    fn smallest(&self, kind: &Type) -> usize {
        match kind {
            Type::Bool | Type::Int8 | Type::Text | Type::Bytes | Type::Records | Type::Array(_) => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 | Type::Uint32 => 4,
            Type::Int64 | Type::Float64 => 8,
            Type::Uuid => 16,
            Type::Struct(name) => {
                let fields = &self.structure(name).fields;
                let versions = self.message.versions;
                let in_version = |version| {
                    let present = fields
                        .iter()
                        .filter(|field| field.tag.is_none() && field.versions.contains(version));
                    present
                        .map(|field| {
                            if field.nullable.is_some() {
                                1
                            } else {
                                self.smallest(&field.kind)
                            }
                        })
                        .sum::<usize>()
                };
                (versions.first..=versions.last)
                    .map(in_version)
                    .filter(|size| *size > 0)
                    .min()
                    .unwrap_or(1)
            }
        }
    }
}

fn tagged(structure: &Structure) -> Vec<&Field> {
    let mut fields: Vec<&Field> = structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    fields.sort_by_key(|field| field.tag);
    fields
}
