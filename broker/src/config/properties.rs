//! Reads Java properties files, the form of Kafka's server.properties.

use std::{fmt, path::PathBuf};

/// Where a value was given, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file, counted from 1.
    Line(PathBuf, usize),
    /// `--override KEY=VALUE`.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Override => f.write_str("--override"),
        }
    }
}

/// One key with its value, where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// The key.
    pub(super) key: String,
    /// The value, unescaped.
    pub(super) value: String,
    /// Where it stands.
    pub(super) origin: Origin,
}

/// Why a file is not a properties file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {what}", file.display())]
pub struct PropertiesError {
    file: PathBuf,
    line: usize,
    what: String,
}

/// Parses the text of `file`: `#` and `!` begin comments, `=`, `:` or white space end the key, `\` continues a line
/// or escapes a character. A key given twice keeps its last value, as in Java.
///
/// # Errors
/// A `\u` escape without four hexadecimal digits.
pub(super) fn parse(file: &std::path::Path, text: &str) -> Result<Vec<Property>, PropertiesError> {
    let mut properties: Vec<Property> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut logical = first.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let failed = |what| PropertiesError {
            file: file.to_owned(),
            line: index + 1,
            what,
        };
        let (key, value) = split(&logical);
        let property = Property {
            key: unescape(key).map_err(failed)?,
            value: unescape(value).map_err(failed)?.trim_end().to_owned(),
            origin: Origin::Line(file.to_owned(), index + 1),
        };
        properties.retain(|earlier| earlier.key != property.key);
        properties.push(property);
    }
    Ok(properties)
}

fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn split(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = line.char_indices().find(|(_, letter)| {
        let ends = !is_escaped && (matches!(letter, '=' | ':') || letter.is_whitespace());
        is_escaped = *letter == '\\' && !is_escaped;
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start())
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                let letter = code.and_then(char::from_u32);
                out.push(letter.ok_or_else(|| format!("\\u{digits} is no character"))?);
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let parsed = parse(Path::new("f"), text).expect("well-formed");
        parsed
            .into_iter()
            .map(|property| (property.key, property.value))
            .collect()
    }

    #[test]
    fn keys_end_at_the_first_separator_and_lines_go_on_after_a_backslash() {
        let text = "# comment\n! too\n\na=1\nb : 2 \nc 3\nd=x=y\\\n   z\ne\nf\\:g=\\u00e9\\\\\n";
        let expected = [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", "x=yz"),
            ("e", ""),
            ("f:g", "é\\"),
        ];
        assert_eq!(
            pairs(text),
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        assert_eq!(
            pairs("a=1\nb=2\na=3"),
            [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "3".to_owned())]
        );
    }

    #[test]
    fn errors_name_file_and_line() {
        let error = parse(Path::new("server.properties"), "a=1\nb=\\u00g0").expect_err("no hexadecimal number");
        assert_eq!(error.to_string(), "server.properties:2: \\u00g0 is no character");
    }
}
