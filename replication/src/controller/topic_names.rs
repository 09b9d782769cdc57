//! Which names a topic may have.

use crate::image::TopicsImage;

/// The longest name: with partition number and suffix it must still be a file name.
const MAX_NAME_LENGTH: usize = 249;

/// Why a name is not allowed. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// No name at all.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// A directory of every file system.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Reserved(String),
    /// Longer than a file name can be.
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length {MAX_NAME_LENGTH}")]
    TooLong(String),
    /// A character outside of what is allowed.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Character(String),
}

/// Checks that `name` may be the name of a topic.
///
/// # Errors
/// It may not; says why.
pub fn check_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    if name.is_empty() {
        return Err(InvalidTopicName::Empty);
    }
    if name == "." || name == ".." {
        return Err(InvalidTopicName::Reserved(name.to_owned()));
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(InvalidTopicName::TooLong(name.to_owned()));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(is_allowed) {
        return Err(InvalidTopicName::Character(name.to_owned()));
    }
    Ok(())
}

/// A topic whose metrics would have the same name: those put `_` for `.`.
pub(super) fn colliding_topic(topics: &TopicsImage, name: &str) -> Option<String> {
    let common = name.find(['.', '_']).map(|end| &name[..end])?;
    let unified = name.replace('.', "_");
    let candidates = topics
        .iter_from(common)
        .take_while(|topic| topic.name.starts_with(common));
    let colliding = candidates
        .map(|topic| &topic.name)
        .find(|other| other.replace('.', "_") == unified);
    colliding.map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MetadataImage;
    use ottla_protocol::{ids::Uuid, messages::TopicRecord};

    #[test]
    fn names_are_short_and_of_plain_characters() {
        for name in ["a", "A.b_c-9", &"x".repeat(249)] {
            assert_eq!(check_topic_name(name), Ok(()));
        }
        for (name, start) in [
            ("", "Topic name is invalid: the empty string"),
            ("..", "Topic name is invalid: '..' is not allowed"),
            ("x/y", "Topic name is invalid: 'x/y' contains one or more characters"),
            (&"x".repeat(250), "Topic name is invalid: the length of"),
        ] {
            let refusal = check_topic_name(name).expect_err("not allowed").to_string();
            assert!(refusal.starts_with(start), "{refusal}");
        }
    }

    #[test]
    fn names_that_differ_in_dots_and_underscores_collide() {
        let record = TopicRecord {
            name: "a.b_c".into(),
            topic_id: Uuid([1; 16]),
        };
        let image = MetadataImage::replay(&[record.into()]);
        for (name, collides) in [
            ("a_b.c", true),
            ("a_b_c", true),
            ("a-b.c", false),
            ("ab", false),
            ("a.b", false),
        ] {
            assert_eq!(colliding_topic(image.topics(), name).is_some(), collides, "{name}");
        }
    }
}
