//! Writes Rust for parsed schemas: a module a message with its structures, their defaults, decoding and encoding.

use crate::parse::{Field, Message, Schema, Structure, Type, Versions};
use std::fmt::Write;

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
    put!(out, "}}");
}

// Types and defaults.

fn rust_type(field: &Field) -> String {
    let plain = plain_type(&field.kind);
    match (field.nullable, &field.kind) {
        (None, _) => plain,
        (Some(_), Type::Struct(_)) => format!("Option<Box<{plain}>>"),
        (Some(_), _) => format!("Option<{plain}>"),
    }
}

fn plain_type(kind: &Type) -> String {
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

fn default_is_null(field: &Field) -> bool {
    field.nullable.is_some() && (field.default.as_deref() == Some("null") || field.kind == Type::Records)
}

fn default_value(field: &Field) -> String {
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
fn differs(field: &Field) -> String {
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

// Decoding.

fn emit_read(out: &mut String, context: &Context<'_>, structure: &Structure) {
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

fn read_field(context: &Context<'_>, field: &Field) -> String {
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

fn read_plain(context: &Context<'_>, kind: &Type, flexible: &str) -> String {
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

fn fixed_name(kind: &Type) -> String {
    match kind {
        Type::Uuid => "uuid".into(),
        other => plain_type(other),
    }
}

// Encoding.

fn emit_write(out: &mut String, context: &Context<'_>, structure: &Structure) {
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

fn lacks(structure: &Structure, field: &Field) -> String {
    format!("w.lacks(\"{}.{}\", version)", structure.name, field.name)
}

fn emit_write_tagged(out: &mut String, context: &Context<'_>, structure: &Structure) {
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

fn write_field(context: &Context<'_>, structure: &Structure, field: &Field) -> String {
    let flexible = context.flexible_of(field);
    let name = format!("self.{}", identifier(&field.name));
    let Some(nullable) = field.nullable else {
        return write_plain(&field.kind, &name, flexible);
    };
    let optional = match &field.kind {
        Type::Text => format!("w.nullable_string({name}.as_ref(), {flexible});"),
        Type::Bytes | Type::Records => format!("w.nullable_bytes({name}.as_ref(), {flexible});"),
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

fn write_plain(kind: &Type, name: &str, flexible: &str) -> String {
    match kind {
        Type::Text => format!("w.string(&{name}, {flexible});"),
        Type::Bytes | Type::Records => format!("w.bytes(&{name}, {flexible});"),
        Type::Struct(_) => format!("{name}.write(w, version);"),
        Type::Array(element) => {
            let write = write_plain(element, "(*item)", flexible);
            format!("w.array(&{name}, {flexible}, |w, item| {{ {write} }});")
        }
        fixed => format!("w.{}({name});", fixed_name(fixed)),
    }
}

// JSON.

fn emit_json(out: &mut String, context: &Context<'_>, structure: &Structure) {
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

fn json_plain(kind: &Type, name: &str) -> String {
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

// Tables over all messages.

fn emit_api_keys(out: &mut String, schemas: &[Schema]) {
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

fn emit_metadata_records(out: &mut String, schemas: &[Schema]) {
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

// Names.

fn identifier(name: &str) -> String {
    match name {
        "type" | "match" | "ref" | "use" | "where" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_small = index > 0 && !letters[index - 1].is_uppercase();
        let before_small = index > 0 && letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn camel(name: &str) -> String {
    let mut out = String::new();
    for (index, word) in name.split('_').enumerate() {
        if index == 0 {
            out.push_str(word);
        } else {
            out.extend(word.chars().take(1).flat_map(char::to_uppercase));
            out.push_str(word.get(1..).unwrap_or_default());
        }
    }
    out
}
