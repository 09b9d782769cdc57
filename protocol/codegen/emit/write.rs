//! Writes the encoding of a structure.

use super::{Context, names::identifier, put, read::fixed_name, tagged, types::differs};
use crate::parse::{Field, Structure, Type};
use std::fmt::Write;

pub(super) fn emit_write(out: &mut String, context: &Context<'_>, structure: &Structure) {
    put!(out, "#[allow(unused_variables, clippy::all)]");
    put!(out, "pub(crate) fn write(&self, w: &mut Writer, version: i16) {{");
    context.bind_flexible(out);
    for field in structure.fields.iter().filter(|field| field.tag.is_none()) {
        let write = write_field(context, structure, field);
        match context.condition(field.versions) {
            None => put!(out, "{write}"),
            Some(condition) => {
                put!(out, "if {condition} {{ {write} }}");
                if !field.ignorable {
                    put!(out, "else if {} {{ {} }}", differs(field), lacks(structure, field));
                }
            }
        }
    }
    if context.message.flexible_from.is_some() {
        emit_write_tagged(out, context, structure);
    }
    put!(out, "}}");
}

pub(super) fn lacks(structure: &Structure, field: &Field) -> String {
    format!("w.lacks(\"{}.{}\", version)", structure.name, field.name)
}

pub(super) fn emit_write_tagged(out: &mut String, context: &Context<'_>, structure: &Structure) {
    let fields = tagged(structure);
    let condition = |field: &Field| match context.condition(field.versions) {
        None => differs(field),
        Some(condition) => format!("{condition} && ({})", differs(field)),
    };
    for field in fields
        .iter()
        .filter(|field| !field.ignorable && !context.always(field.versions))
    {
        let outside = context.condition(field.versions).unwrap_or_default();
        put!(
            out,
            "if !({outside}) && ({}) {{ {} }}",
            differs(field),
            lacks(structure, field)
        );
    }
    put!(out, "if {} {{", context.flexible());
    let count: Vec<String> = fields
        .iter()
        .map(|field| format!("u32::from({})", condition(field)))
        .collect();
    put!(
        out,
        "w.unsigned_varint({});",
        if count.is_empty() {
            "0".into()
        } else {
            count.join(" + ")
        }
    );
    for field in &fields {
        let (tag, write) = (field.tag.unwrap_or_default(), write_field(context, structure, field));
        put!(
            out,
            "if {} {{ w.tagged_field({tag}, |w| {{ {write} }}); }}",
            condition(field)
        );
    }
    put!(out, "}}");
}

pub(super) fn write_field(context: &Context<'_>, structure: &Structure, field: &Field) -> String {
    let flexible = context.flexible_of(field);
    let name = format!("self.{}", identifier(&field.name));
    let Some(nullable) = field.nullable else {
        return write_plain(&field.kind, &name, flexible);
    };
    let optional = match &field.kind {
        Type::Text => format!("w.nullable_string({name}.as_ref(), {flexible});"),
        Type::Bytes => format!("w.nullable_bytes({name}.as_ref(), {flexible});"),
        Type::Records => format!("w.records({name}.as_ref(), {flexible});"),
        Type::Array(element) => {
            let write = write_plain(element, "(*item)", flexible);
            format!("w.nullable_array({name}.as_deref(), {flexible}, |w, item| {{ {write} }});")
        }
        kind => {
            let write = write_plain(kind, "value", flexible);
            let is_tagged = field.tag.is_some();
            format!("w.presence({name}.is_some(), {is_tagged}); if let Some(value) = &{name} {{ {write} }}")
        }
    };
    let covers_field = nullable.first <= field.versions.first && nullable.last >= field.versions.last;
    match context.condition(nullable) {
        Some(condition) if !covers_field => {
            let plain = write_plain(&field.kind, "(*value)", flexible);
            let null = format!("w.refuse_null(\"{}.{}\", version)", structure.name, field.name);
            format!("if {condition} {{ {optional} }} else if let Some(value) = &{name} {{ {plain} }} else {{ {null} }}")
        }
        _ => optional,
    }
}

pub(super) fn write_plain(kind: &Type, name: &str, flexible: &str) -> String {
    match kind {
        Type::Text => format!("w.string(&{name}, {flexible});"),
        Type::Bytes => format!("w.bytes(&{name}, {flexible});"),
        Type::Records => format!("w.records(Some(&{name}), {flexible});"),
        Type::Struct(_) => format!("{name}.write(w, version);"),
        Type::Array(element) => {
            let write = write_plain(element, "(*item)", flexible);
            format!("w.array(&{name}, {flexible}, |w, item| {{ {write} }});")
        }
        fixed => format!("w.{}({name});", fixed_name(fixed)),
    }
}
