//! Writes how a structure renders as JSON.

use super::{
    Context,
    names::{camel, identifier},
    put,
    types::differs,
};
use crate::parse::{Structure, Type};
use std::fmt::Write;

pub(super) fn emit_json(out: &mut String, context: &Context<'_>, structure: &Structure) {
    put!(
        out,
        "#[cfg(feature = \"json\")]\n#[allow(unused_variables, unused_mut, clippy::all)]"
    );
    put!(out, "pub(crate) fn json(&self, version: i16) -> serde_json::Value {{");
    put!(out, "let mut object = serde_json::Map::new();");
    for field in &structure.fields {
        let name = format!("self.{}", identifier(&field.name));
        let value = if field.nullable.is_some() {
            format!(
                "match &{name} {{ None => serde_json::Value::Null, Some(value) => {} }}",
                json_plain(&field.kind, "(*value)")
            )
        } else {
            json_plain(&field.kind, &name)
        };
        let insert = format!("object.insert({:?}.to_owned(), {value});", camel(&field.name));
        let tagged = field.tag.map(|_| differs(field));
        match (context.condition(field.versions), tagged) {
            (None, None) => put!(out, "{insert}"),
            (Some(condition), None) | (None, Some(condition)) => put!(out, "if {condition} {{ {insert} }}"),
            (Some(range), Some(differs)) => put!(out, "if {range} && ({differs}) {{ {insert} }}"),
        }
    }
    put!(out, "serde_json::Value::Object(object)\n}}");
}

pub(super) fn json_plain(kind: &Type, name: &str) -> String {
    match kind {
        Type::Text => format!("serde_json::Value::from({name}.as_str())"),
        Type::Bytes | Type::Records => format!("crate::json::bytes(&{name})"),
        Type::Uuid => format!("serde_json::Value::from({name}.to_string())"),
        Type::Struct(_) => format!("{name}.json(version)"),
        Type::Array(element) => {
            format!(
                "serde_json::Value::Array({name}.iter().map(|item| {}).collect())",
                json_plain(element, "(*item)")
            )
        }
        _ => format!("serde_json::Value::from({name})"),
    }
}
