//! A line of output: names and values, for people or as JSON.

use std::fmt::{Display, Write as _};

/// Collects the fields of a line.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    is_json: bool,
}

impl Line {
    /// Begins one about a `kind` of thing.
    pub(super) fn new(is_json: bool, kind: &str) -> Self {
        let line = Self {
            text: String::new(),
            is_json,
        };
        match is_json {
            true => line.text("kind", kind),
            false => Self {
                text: kind.into(),
                ..line
            },
        }
    }

    /// Adds something that stands for itself: a number, a truth value.
    pub(super) fn plain(mut self, name: &str, value: impl Display) -> Self {
        self.name(name);
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a text.
    pub(super) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        match self.is_json {
            true => push_json(&mut self.text, value),
            false if value.chars().any(char::is_control) => self.text.extend(value.escape_default()),
            false => self.text.push_str(value),
        }
        self
    }

    /// Adds bytes, as text where they are one.
    pub(super) fn bytes(self, name: &str, value: Option<&[u8]>) -> Self {
        match value.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => self.plain(name, "null"),
            Some((_, Ok(text))) => self.text(name, text),
            Some((bytes, Err(_))) => {
                let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
                self.text(name, &format!("0x{}", digits.collect::<String>()))
            }
        }
    }

    /// Adds what is JSON already.
    pub(super) fn json(self, name: &str, value: &serde_json::Value) -> Self {
        self.plain(name, value)
    }

    /// Adds a field where there is a value.
    pub(super) fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.plain(name, value),
            None => self,
        }
    }

    /// The whole line, without its end.
    pub(super) fn finish(mut self) -> String {
        if self.is_json {
            self.text.push('}');
        }
        self.text
    }

    fn name(&mut self, name: &str) {
        if self.is_json {
            self.text.push(if self.text.is_empty() { '{' } else { ',' });
            push_json(&mut self.text, name);
            self.text.push(':');
        } else {
            self.text.push_str("  ");
            self.text.push_str(name);
            self.text.push(' ');
        }
    }
}

/// Adds `text` as a JSON string.
fn push_json(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(is_json: bool) -> String {
        Line::new(is_json, "record")
            .plain("offset", 7)
            .bytes("key", Some(b"a\"\n"))
            .bytes("value", Some(&[0xff, 0]))
            .bytes("none", None)
            .json("json", &serde_json::json!({ "a": [1, null] }))
            .finish()
    }

    #[test]
    fn a_line_is_read_by_people_or_programs() {
        assert_eq!(
            line(true),
            r#"{"kind":"record","offset":7,"key":"a\"\n","value":"0xff00","none":null,"json":{"a":[1,null]}}"#
        );
        assert_eq!(
            line(false),
            r#"record  offset 7  key a\"\n  value 0xff00  none null  json {"a":[1,null]}"#
        );
    }
}
