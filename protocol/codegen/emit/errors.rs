//! Writes how the error codes of a message are visited and set, at whatever depth they stand.

use super::{Context, names::identifier, put};
use crate::parse::{Field, Structure, Type};
use std::fmt::Write;

const NAME: &str = "error_code";

/// Whether the structure has error codes in it.
pub(super) fn has_errors(context: &Context<'_>, structure: &Structure) -> bool {
    structure.fields.iter().any(|field| is_visited(context, field))
}

fn is_visited(context: &Context<'_>, field: &Field) -> bool {
    let within = |name| has_errors(context, context.structure(name));
    is_code(field) || field.kind.structure().is_some_and(within)
}

fn is_code(field: &Field) -> bool {
    field.kind == Type::Int16 && field.name == NAME
}

pub(super) fn emit_errors(out: &mut String, context: &Context<'_>, structure: &Structure) {
    if !has_errors(context, structure) {
        return;
    }
    put!(out, "#[allow(clippy::all)]");
    put!(out, "pub(crate) fn errors(&self, visit: &mut dyn FnMut(i16)) {{");
    for field in structure.fields.iter().filter(|field| is_visited(context, field)) {
        let name = format!("self.{}", identifier(&field.name));
        match (&field.kind, field.nullable) {
            (Type::Array(_), None) => put!(out, "for item in &{name} {{ item.errors(visit); }}"),
            (Type::Array(_), Some(_)) => {
                put!(out, "for item in {name}.iter().flatten() {{ item.errors(visit); }}");
            }
            (Type::Struct(_), None) => put!(out, "{name}.errors(visit);"),
            (Type::Struct(_), Some(_)) => put!(out, "if let Some(value) = &{name} {{ value.errors(visit); }}"),
            _ => put!(out, "if {name} != 0 {{ visit({name}); }}"),
        }
    }
    put!(out, "}}");
    emit_failure(out, context, structure);
}

fn emit_failure(out: &mut String, context: &Context<'_>, structure: &Structure) {
    put!(out, "#[allow(clippy::all)]");
    put!(out, "pub(crate) fn set_failed(&mut self, code: i16) {{");
    for field in structure.fields.iter().filter(|field| is_visited(context, field)) {
        let name = format!("self.{}", identifier(&field.name));
        match (&field.kind, field.nullable) {
            (Type::Array(_), None) => put!(out, "for item in &mut {name} {{ item.set_failed(code); }}"),
            (Type::Array(_), Some(_)) => {
                put!(
                    out,
                    "for item in {name}.iter_mut().flatten() {{ item.set_failed(code); }}"
                );
            }
            (Type::Struct(_), None) => put!(out, "{name}.set_failed(code);"),
            (Type::Struct(_), Some(_)) => put!(out, "if let Some(value) = &mut {name} {{ value.set_failed(code); }}"),
            _ => put!(out, "if {name} == 0 {{ {name} = code; }}"),
        }
    }
    put!(out, "}}");
}
