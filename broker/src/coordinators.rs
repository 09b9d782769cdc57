//! Routes groups to the shards that coordinate them.

use ottla_protocol::Str;

/// The coordinators of this broker.
#[derive(Default)]
pub(crate) struct Coordinators {}

impl Coordinators {
    /// Topics are gone: their offsets go too.
    pub(crate) fn on_topics_deleted(&self, _topics: Vec<Str>) {}

    /// Ends all shards.
    pub(crate) async fn stop(&self) {}
}
