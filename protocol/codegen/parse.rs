//! Reads schema files: one message a block, one field a line, nesting by two spaces of indentation.
//! The notation is described in protocol/schemas/README.md.

use std::fmt;

/// An inclusive range of versions; `last` is `i16::MAX` in the text form `3+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Versions {
    pub(crate) const ALL: Self = Self {
        first: 0,
        last: i16::MAX,
    };

    pub(crate) fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(first) = text.strip_suffix('+') {
            return Some(Self {
                first: first.parse().ok()?,
                last: i16::MAX,
            });
        }
        match text.split_once('-') {
            Some((first, last)) => Some(Self {
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            }),
            None => text.parse().ok().map(|only| Self {
                first: only,
                last: only,
            }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    Text,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::Array(Box::new(Self::parse(element)));
        }
        match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "uint32" => Self::Uint32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "uuid" => Self::Uuid,
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name => Self::Struct(name.to_owned()),
        }
    }

    /// The struct that this type is or holds.
    pub(crate) fn structure(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.structure(),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) versions: Versions,
    pub(crate) nullable: Option<Versions>,
    pub(crate) tag: Option<u32>,
    pub(crate) ignorable: bool,
    /// Keeps the old length encoding even in a flexible version (the client id of request headers).
    pub(crate) classic: bool,
    pub(crate) default: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Structure {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) versions: Versions,
    /// The first flexible version (KIP-482).
    pub(crate) flexible_from: Option<i16>,
    /// The top level first, then every nested structure in the order of its appearance.
    pub(crate) structures: Vec<Structure>,
    /// Type number of a metadata or coordinator record.
    pub(crate) record_type: Option<i16>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    /// Key and name, for a request with its response.
    pub(crate) api: Option<(i16, String)>,
    pub(crate) messages: Vec<Message>,
}

#[derive(Debug)]
pub(crate) struct ParseError {
    line: usize,
    what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Parses one schema file.
pub(crate) fn parse(text: &str) -> Result<Schema, ParseError> {
    let mut parser = Parser {
        schema: Schema::default(),
        open: Vec::new(),
        record_type: None,
    };
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        if !line.trim().is_empty() {
            parser.line(line).map_err(|what| ParseError { line: index + 1, what })?;
        }
    }
    Ok(parser.schema)
}

struct Parser {
    schema: Schema,
    /// For each nesting depth the index of the structure that fields at that depth belong to.
    open: Vec<usize>,
    record_type: Option<i16>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let words: Vec<&str> = line.split_whitespace().collect();
        match (depth, words[0]) {
            (0, "api") => {
                let [_, key, name] = words[..] else {
                    return Err("expected: api KEY NAME".into());
                };
                self.schema.api = Some((key.parse().map_err(|_| "bad api key")?, name.to_owned()));
                Ok(())
            }
            (0, "record") => {
                let [_, number] = words[..] else {
                    return Err("expected: record TYPE".into());
                };
                self.record_type = Some(number.parse().map_err(|_| "bad record type")?);
                Ok(())
            }
            (0, "message") => self.message(&words),
            (0, other) => Err(format!("unexpected word {other}")),
            (1, "struct") => {
                let name = words.get(1).ok_or("a struct needs a name")?;
                self.push_structure(name, 1)
            }
            _ => self.field(depth, &words),
        }
    }

    fn message(&mut self, words: &[&str]) -> Result<(), String> {
        let (name, versions, flexible) = match *words {
            [_, name, versions] => (name, versions, None),
            [_, name, versions, "flexible", from] => (name, versions, Some(from)),
            _ => return Err("expected: message NAME VERSIONS [flexible N+]".into()),
        };
        let flexible_from = match flexible {
            Some(from) => Some(Versions::parse(from).ok_or("bad flexible versions")?.first),
            None => None,
        };
        self.schema.messages.push(Message {
            name: name.to_owned(),
            versions: Versions::parse(versions).ok_or("bad versions")?,
            flexible_from,
            structures: vec![Structure {
                name: name.to_owned(),
                fields: Vec::new(),
            }],
            record_type: self.record_type.take(),
        });
        self.open = vec![0];
        Ok(())
    }

    fn push_structure(&mut self, name: &str, depth: usize) -> Result<(), String> {
        let message = self.schema.messages.last_mut().ok_or("a struct outside a message")?;
        message.structures.push(Structure {
            name: name.to_owned(),
            fields: Vec::new(),
        });
        self.open.truncate(depth);
        self.open.push(message.structures.len() - 1);
        Ok(())
    }

    fn field(&mut self, depth: usize, words: &[&str]) -> Result<(), String> {
        let field = parse_field(words)?;
        if depth > self.open.len() {
            let parent = self.open_structure(self.open.len() - 1)?;
            let inner = parent.fields.last().and_then(|field| field.kind.structure());
            let inner = inner.ok_or("indented below a field that is no struct")?.to_owned();
            self.push_structure(&inner, depth - 1)?;
        } else {
            self.open.truncate(depth);
        }
        self.open_structure(depth - 1)?.fields.push(field);
        Ok(())
    }

    fn open_structure(&mut self, depth: usize) -> Result<&mut Structure, String> {
        let index = *self.open.get(depth).ok_or("a field outside a message")?;
        let message = self.schema.messages.last_mut().ok_or("a field outside a message")?;
        Ok(&mut message.structures[index])
    }
}

fn parse_field(words: &[&str]) -> Result<Field, String> {
    let [name, kind, attributes @ ..] = words else {
        return Err("expected: NAME TYPE".into());
    };
    let mut field = Field {
        name: (*name).to_owned(),
        kind: Type::parse(kind),
        versions: Versions::ALL,
        nullable: None,
        tag: None,
        ignorable: false,
        classic: false,
        default: None,
    };
    let mut rest = attributes.iter().peekable();
    while let Some(word) = rest.next() {
        match *word {
            "nullable" => {
                let narrower = rest.peek().and_then(|text| Versions::parse(text));
                field.nullable = Some(narrower.unwrap_or(field.versions));
                if narrower.is_some() {
                    rest.next();
                }
            }
            "tag" => field.tag = Some(rest.next().and_then(|tag| tag.parse().ok()).ok_or("bad tag")?),
            "ignorable" => field.ignorable = true,
            "classic" => field.classic = true,
            "=" => field.default = Some((*rest.next().ok_or("a default is missing")?).to_owned()),
            versions => field.versions = Versions::parse(versions).ok_or(format!("unexpected word {versions}"))?,
        }
    }
    Ok(field)
}
