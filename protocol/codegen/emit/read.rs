//! Writes the decoding of a structure.

use super::{Context, names::identifier, put, tagged, types::plain_type};
use crate::parse::{Field, Structure, Type};
use std::fmt::Write;

pub(super) fn emit_read(out: &mut String, context: &Context<'_>, structure: &Structure) {
    put!(out, "#[allow(unused_variables, unused_mut, clippy::all)]");
    put!(
        out,
        "pub(crate) fn read(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {{"
    );
    context.bind_flexible(out);
    put!(out, "let mut v = Self::default();");
    for field in structure.fields.iter().filter(|field| field.tag.is_none()) {
        let assign = format!("v.{} = {};", identifier(&field.name), read_field(context, field));
        match context.condition(field.versions) {
            None => put!(out, "{assign}"),
            Some(condition) => put!(out, "if {condition} {{ {assign} }}"),
        }
    }
    if context.message.flexible_from.is_some() {
        put!(
            out,
            "if {} {{ r.tagged_fields(|tag, r| {{ match tag {{",
            context.flexible()
        );
        for field in tagged(structure) {
            let guard = context
                .condition(field.versions)
                .map(|condition| format!("if {condition} "))
                .unwrap_or_default();
            let (tag, name) = (field.tag.unwrap_or_default(), identifier(&field.name));
            put!(
                out,
                "{tag} {guard}=> {{ v.{name} = {}; Ok(true) }}",
                read_field(context, field)
            );
        }
        put!(out, "_ => Ok(false), }} }})?; }}");
    }
    put!(out, "Ok(v)\n}}");
}

pub(super) fn read_field(context: &Context<'_>, field: &Field) -> String {
    let flexible = context.flexible_of(field);
    let Some(nullable) = field.nullable else {
        return read_plain(context, &field.kind, flexible);
    };
    let plain = || match &field.kind {
        Type::Struct(_) => format!("Some(Box::new({}))", read_plain(context, &field.kind, flexible)),
        kind => format!("Some({})", read_plain(context, kind, flexible)),
    };
    let optional = match &field.kind {
        Type::Text => format!("r.nullable_string({flexible})?"),
        Type::Bytes | Type::Records => format!("r.nullable_bytes({flexible})?"),
        Type::Array(element) => {
            let read = read_plain(context, element, flexible);
            format!(
                "r.nullable_array({flexible}, {}, |r| Ok({read}))?",
                context.smallest(element)
            )
        }
        _ => format!(
            "if r.is_present({})? {{ {} }} else {{ None }}",
            field.tag.is_some(),
            plain()
        ),
    };
    let covers_field = nullable.first <= field.versions.first && nullable.last >= field.versions.last;
    match context.condition(nullable) {
        Some(condition) if !covers_field => format!("if {condition} {{ {optional} }} else {{ {} }}", plain()),
        _ => optional,
    }
}

pub(super) fn read_plain(context: &Context<'_>, kind: &Type, flexible: &str) -> String {
    match kind {
        Type::Text => format!("r.string({flexible})?"),
        Type::Bytes | Type::Records => format!("r.bytes({flexible})?"),
        Type::Struct(name) => format!("{name}::read(r, version)?"),
        Type::Array(element) => {
            let read = read_plain(context, element, flexible);
            format!("r.array({flexible}, {}, |r| Ok({read}))?", context.smallest(element))
        }
        fixed => format!("r.{}()?", fixed_name(fixed)),
    }
}

pub(super) fn fixed_name(kind: &Type) -> String {
    match kind {
        Type::Uuid => "uuid".into(),
        other => plain_type(other),
    }
}
