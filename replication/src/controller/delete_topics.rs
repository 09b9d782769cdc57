//! DeleteTopics, by name and by id.

use super::{Controller, Outcome, text};
use crate::image::TopicImage;
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        DeleteTopicsRequest, DeleteTopicsResponse, RemoveTopicRecord, delete_topics_response::DeletableTopicResult,
    },
};
use std::collections::BTreeSet;

/// Why a topic is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DeleteTopicError {
    #[error("Topic deletion is disabled.")]
    Disabled,
    #[error("Neither topic name nor id were specified.")]
    Unnamed,
    #[error("You may not specify both topic name and topic id.")]
    NamedTwice,
    #[error("Duplicate topic name.")]
    DuplicateName,
    #[error("Duplicate topic id.")]
    DuplicateId,
    #[error("The provided topic name maps to an ID that was already supplied.")]
    NameOfGivenId,
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    #[error("This server does not host this topic ID.")]
    UnknownId,
}

impl DeleteTopicError {
    /// The code on the wire.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Disabled => ErrorCode::TopicDeletionDisabled,
            Self::Unnamed | Self::NamedTwice | Self::DuplicateName | Self::DuplicateId | Self::NameOfGivenId => {
                ErrorCode::InvalidRequest
            }
            Self::UnknownName => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownId => ErrorCode::UnknownTopicId,
        }
    }
}

/// How a request names a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Name(Str),
    Id(Uuid),
    Nothing,
    Both(Str, Uuid),
}

impl Controller {
    /// DeleteTopics.
    ///
    /// Names and ids that occur twice come once, refused. Before version 3 the code for deletion being disabled did not
    /// exist: there the caller answers INVALID_REQUEST.
    pub fn handle_delete_topics(&self, request: &DeleteTopicsRequest) -> Outcome<DeleteTopicsResponse> {
        let is_enabled = self.layers().broker_flag("delete.topic.enable");
        let named = named_topics(request);
        let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
        for topic in &named {
            if !seen.insert(topic.clone()) {
                repeated.insert(topic.clone());
            }
        }
        let (mut records, mut responses, mut deleted) = (Vec::new(), Vec::new(), BTreeSet::new());
        // Ids come first, so that a name which means one of them is the one that is refused.
        let ordered = seen.iter().filter(|topic| matches!(topic, Named::Id(_)));
        let ordered = ordered.chain(seen.iter().filter(|topic| !matches!(topic, Named::Id(_))));
        for topic in ordered {
            let verdict = match is_enabled {
                true => self.topic_to_delete(topic, repeated.contains(topic), &deleted),
                false => Err(DeleteTopicError::Disabled),
            };
            if let Ok(found) = verdict {
                deleted.insert(found.id);
                records.push(RemoveTopicRecord { topic_id: found.id }.into());
            }
            responses.push(result(topic, verdict));
        }
        Outcome {
            records,
            response: DeleteTopicsResponse {
                responses,
                ..Default::default()
            },
        }
    }

    fn topic_to_delete(
        &self,
        topic: &Named,
        is_repeated: bool,
        deleted: &BTreeSet<Uuid>,
    ) -> Result<&TopicImage, DeleteTopicError> {
        match topic {
            Named::Nothing => Err(DeleteTopicError::Unnamed),
            Named::Both(..) => Err(DeleteTopicError::NamedTwice),
            Named::Name(_) if is_repeated => Err(DeleteTopicError::DuplicateName),
            Named::Id(_) if is_repeated => Err(DeleteTopicError::DuplicateId),
            Named::Id(id) => Ok(self.image.topics().by_id(*id).ok_or(DeleteTopicError::UnknownId)?),
            Named::Name(name) => {
                let found = self.image.topics().by_name(name).ok_or(DeleteTopicError::UnknownName)?;
                if deleted.contains(&found.id) {
                    return Err(DeleteTopicError::NameOfGivenId);
                }
                Ok(found)
            }
        }
    }
}

fn named_topics(request: &DeleteTopicsRequest) -> Vec<Named> {
    let by_name = request.topic_names.iter().cloned().map(Named::Name);
    let topics = request
        .topics
        .iter()
        .map(|topic| match (&topic.name, topic.topic_id.is_zero()) {
            (None, true) => Named::Nothing,
            (None, false) => Named::Id(topic.topic_id),
            (Some(name), true) => Named::Name(name.clone()),
            (Some(name), false) => Named::Both(name.clone(), topic.topic_id),
        });
    by_name.chain(topics).collect()
}

fn result(topic: &Named, verdict: Result<&TopicImage, DeleteTopicError>) -> DeletableTopicResult {
    let (name, topic_id) = match (topic, verdict) {
        (_, Ok(found)) => (Some(found.name.clone()), found.id),
        (Named::Name(name), Err(_)) => (Some(name.clone()), Uuid::ZERO),
        (Named::Id(id), Err(_)) => (None, *id),
        (Named::Both(name, id), Err(_)) => (Some(name.clone()), *id),
        (Named::Nothing, Err(_)) => (None, Uuid::ZERO),
    };
    DeletableTopicResult {
        name,
        topic_id,
        error_code: verdict.err().map_or(ErrorCode::None, DeleteTopicError::code) as i16,
        error_message: verdict.err().and_then(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{controller_with_topics, run};
    use ottla_protocol::messages::delete_topics_request::DeleteTopicState;

    fn request(topics: &[(Option<&str>, Uuid)]) -> DeleteTopicsRequest {
        let topics = topics.iter().map(|(name, id)| DeleteTopicState {
            name: name.map(Str::from),
            topic_id: *id,
        });
        DeleteTopicsRequest {
            topics: topics.collect(),
            ..Default::default()
        }
    }

    fn codes(outcome: &Outcome<DeleteTopicsResponse>) -> Vec<(Option<&str>, i16)> {
        outcome
            .response
            .responses
            .iter()
            .map(|it| (it.name.as_deref(), it.error_code))
            .collect()
    }

    #[test]
    fn topics_are_deleted_by_name_and_by_id() {
        let mut controller = controller_with_topics(&["a", "b", "c"]);
        let id = controller.image().topics().by_name("b").expect("created").id;
        let outcome = controller.handle_delete_topics(&request(&[(Some("a"), Uuid::ZERO), (None, id)]));
        assert_eq!(codes(&outcome), [(Some("b"), 0), (Some("a"), 0)]);
        run(&mut controller, outcome);
        assert_eq!(
            controller
                .image()
                .topics()
                .iter()
                .map(|topic| topic.name.as_str())
                .collect::<Vec<_>>(),
            ["c"]
        );
    }

    #[test]
    fn what_is_named_wrongly_is_refused_alone() {
        let controller = controller_with_topics(&["a", "b"]);
        let id = controller.image().topics().by_name("a").expect("created").id;
        let unknown = Uuid([7; 16]);
        let outcome = controller.handle_delete_topics(&request(&[
            (Some("a"), Uuid::ZERO),
            (None, id),
            (None, unknown),
            (None, Uuid::ZERO),
            (Some("b"), id),
            (Some("nope"), Uuid::ZERO),
        ]));
        let messages: Vec<_> = outcome
            .response
            .responses
            .iter()
            .map(|it| (it.error_code, it.error_message.as_deref()))
            .collect();
        assert_eq!(outcome.records, [RemoveTopicRecord { topic_id: id }.into()]);
        for expected in [
            (
                42,
                Some("The provided topic name maps to an ID that was already supplied."),
            ),
            (100, Some("This server does not host this topic ID.")),
            (42, Some("Neither topic name nor id were specified.")),
            (42, Some("You may not specify both topic name and topic id.")),
            (3, Some("This server does not host this topic-partition.")),
            (0, None),
        ] {
            assert!(messages.contains(&expected), "{expected:?} in {messages:?}");
        }
    }

    #[test]
    fn a_name_given_twice_is_refused_once() {
        let controller = controller_with_topics(&["a"]);
        let outcome = controller.handle_delete_topics(&request(&[(Some("a"), Uuid::ZERO), (Some("a"), Uuid::ZERO)]));
        assert_eq!((codes(&outcome), outcome.records.len()), (vec![(Some("a"), 42)], 0));
    }

    #[test]
    fn nothing_is_deleted_where_deletion_is_disabled() {
        let mut controller = controller_with_topics(&["a"]);
        controller
            .settings
            .file
            .insert("delete.topic.enable".into(), "false".into());
        let outcome = controller.handle_delete_topics(&request(&[(Some("a"), Uuid::ZERO)]));
        assert_eq!((codes(&outcome), outcome.records.len()), (vec![(Some("a"), 73)], 0));
    }
}
