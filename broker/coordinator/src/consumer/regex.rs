//! Regular expressions that subscribe to topics (KIP-848).
//!
//! Matching takes linear time, whatever the expression: members may send any. The syntax is that of RE2, as Kafka's; a
//! topic's name must match as a whole.

use super::refusal::Refusal;
use crate::cluster::ClusterView;
use ottla_protocol::Str;
use regex::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes that a compiled expression may take.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// The most bytes of an expression that a member may send.
pub(super) const MAX_REGEX_BYTES: usize = 8_192;

/// Compiles an expression so that it matches whole names.
///
/// # Errors
/// It is none, or too large; the answer for the member that sent it.
pub(super) fn compile(expression: &str) -> Result<Regex, Refusal> {
    if expression.len() > MAX_REGEX_BYTES {
        return Err(Refusal::invalid_regex(expression, "expression is too long"));
    }
    let translated = without_quotes(expression);
    // Alone first: `)|(` is no expression, though it is one between parentheses.
    build(&translated).map_err(|error| Refusal::invalid_regex(expression, &reason(&error)))?;
    build(&format!(r"\A(?:{translated})\z")).map_err(|error| Refusal::invalid_regex(expression, &reason(&error)))
}

/// As [`compile`], for whoever asks which names match.
pub(crate) fn compile_pattern(expression: &str) -> Option<Regex> {
    compile(expression).ok()
}

fn build(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression).size_limit(MAX_COMPILED_BYTES).build()
}

/// What the parser says in its last line (the rest shows where), in Kafka's words where it has any for it.
fn reason(error: &regex::Error) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "missing closing )"),
        ("unclosed character class", "missing closing ]"),
        (
            "repetition operator missing expression",
            "missing argument to repetition operator",
        ),
        ("incomplete escape sequence", "trailing backslash at end of expression"),
        ("unrecognized escape sequence", "invalid escape sequence"),
        ("backreferences are not supported", "invalid escape sequence"),
        ("look-around", "invalid or unsupported Perl syntax"),
    ];
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    let known = WORDS.iter().find(|(ours, _)| line.contains(ours));
    let ours = line.strip_prefix("error: ").unwrap_or(line);
    known.map_or(ours, |(_, kafkas)| kafkas).to_owned()
}

/// RE2 has `\Q...\E` for text that is taken as it is.
fn without_quotes(expression: &str) -> String {
    let mut translated = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(position) = rest.find('\\') {
        translated.push_str(&rest[..position]);
        rest = &rest[position..];
        if let Some(quoted) = rest.strip_prefix(r"\Q") {
            let (text, behind) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            translated.push_str(&regex::escape(text));
            rest = behind;
        } else {
            let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
            translated.push_str(&rest[..1 + escaped]);
            rest = &rest[1 + escaped..];
        }
    }
    translated.push_str(rest);
    translated
}

/// The topics that each of `expressions` matches. One that cannot be compiled matches none.
pub(super) fn resolve(cluster: &dyn ClusterView, expressions: &BTreeSet<Str>) -> BTreeMap<Str, BTreeSet<Str>> {
    let mut resolved: BTreeMap<Str, BTreeSet<Str>> = expressions
        .iter()
        .map(|expression| (expression.clone(), BTreeSet::new()))
        .collect();
    let compiled: Vec<Option<Regex>> = resolved.keys().map(|expression| compile(expression).ok()).collect();
    cluster.visit_topic_names(&mut |name| {
        for (topics, regex) in resolved.values_mut().zip(&compiled) {
            if regex.as_ref().is_some_and(|regex| regex.is_match(name)) {
                topics.insert(name.clone());
            }
        }
    });
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, name: &str) -> bool {
        compile(expression).expect("an expression").is_match(name)
    }

    #[test]
    fn a_name_matches_as_a_whole() {
        assert!(matches("foo|foobar", "foobar"));
        assert!(matches("foo.*", "foobar"));
        assert!(!matches("oo", "foo"));
        assert!(!matches("foo", "foo1"));
        assert!(!matches("", "foo"));
    }

    #[test]
    fn quoted_text_is_taken_as_it_is() {
        assert!(matches(r"\Qa.b\E.*", "a.bcd"));
        assert!(!matches(r"\Qa.b\E.*", "axbcd"));
        assert!(matches(r"x\Qa.b", "xa.b"));
        assert!(matches(r"a\\Qb", r"a\Qb"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for expression in [
            "[",
            "(foo",
            ")|(",
            "*",
            r"\",
            "a{2,1}",
            r"(\w{1000}){1000}",
            r"(a)\1",
            "(?=a)",
        ] {
            let refusal = compile(expression).expect_err(expression);
            let begin = format!("SubscribedTopicRegex `{expression}` is not a valid regular expression: ");
            assert!(refusal.message.starts_with(&begin), "{}", refusal.message);
        }
        let message = compile("(foo").expect_err("it is not closed").message;
        assert!(message.ends_with(": missing closing )."), "{message}");
    }
}
