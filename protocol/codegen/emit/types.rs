//! The Rust types of fields and their defaults.

use super::names::identifier;
use crate::parse::{Field, Type};

pub(super) fn rust_type(field: &Field) -> String {
    let plain = plain_type(&field.kind);
    match (field.nullable, &field.kind) {
        (None, _) => plain,
        (Some(_), Type::Struct(_)) => format!("Option<Box<{plain}>>"),
        (Some(_), _) => format!("Option<{plain}>"),
    }
}

pub(super) fn plain_type(kind: &Type) -> String {
    match kind {
        Type::Bool => "bool".into(),
        Type::Int8 => "i8".into(),
        Type::Int16 => "i16".into(),
        Type::Uint16 => "u16".into(),
        Type::Int32 => "i32".into(),
        Type::Uint32 => "u32".into(),
        Type::Int64 => "i64".into(),
        Type::Float64 => "f64".into(),
        Type::Uuid => "Uuid".into(),
        Type::Text => "Str".into(),
        Type::Bytes | Type::Records => "Bytes".into(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", plain_type(element)),
    }
}

pub(super) fn default_is_null(field: &Field) -> bool {
    field.nullable.is_some() && (field.default.as_deref() == Some("null") || field.kind == Type::Records)
}

pub(super) fn default_value(field: &Field) -> String {
    if default_is_null(field) {
        return "None".into();
    }
    let plain = match (&field.kind, &field.default) {
        (Type::Text, Some(text)) => format!("Str::from_static({text:?})"),
        (_, Some(literal)) => literal.clone(),
        (Type::Struct(name), None) => format!("{name}::default()"),
        _ => "Default::default()".into(),
    };
    match (field.nullable, &field.kind) {
        (None, _) => plain,
        (Some(_), Type::Struct(_)) => format!("Some(Box::new({plain}))"),
        (Some(_), _) => format!("Some({plain})"),
    }
}

/// A condition that holds where the field differs from its default.
pub(super) fn differs(field: &Field) -> String {
    let name = format!("self.{}", identifier(&field.name));
    if default_is_null(field) {
        return format!("{name}.is_some()");
    }
    if field.nullable.is_some() {
        return match &field.kind {
            Type::Text | Type::Bytes | Type::Array(_) => {
                format!("{name}.as_ref().is_none_or(|value| !value.is_empty())")
            }
            _ => format!("{name} != {}", default_value(field)),
        };
    }
    match (&field.kind, &field.default) {
        (Type::Bool, Some(literal)) if literal == "true" => format!("!{name}"),
        (Type::Bool, _) => name,
        (Type::Float64, _) => format!("{name} != 0.0"),
        (Type::Uuid, _) => format!("!{name}.is_zero()"),
        (Type::Text, None) | (Type::Bytes | Type::Records | Type::Array(_), _) => format!("!{name}.is_empty()"),
        (Type::Struct(_) | Type::Text, _) => format!("{name} != {}", default_value(field)),
        (_, default) => format!("{name} != {}", default.as_deref().unwrap_or("0")),
    }
}
