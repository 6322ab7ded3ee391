//! [`SpawnOptions`]: what the caller of a spawn determines beside the future.

use std::panic::Location;

use crate::engine::id::Id;

/// What a task is spawned with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpawnOptions<'a> {
    /// The id, if it was allocated before.
    pub(super) id: Option<Id>,
    pub(super) name: Option<&'a str>,
    pub(super) spawned_at: &'static Location<'static>,
}

impl<'a> SpawnOptions<'a> {
    /// Options for a task without a name that is spawned at `spawned_at`.
    #[inline]
    pub(crate) fn at(spawned_at: &'static Location<'static>) -> Self {
        Self {
            id: None,
            name: None,
            spawned_at,
        }
    }

    #[inline]
    pub(crate) fn with_id(self, id: Id) -> Self {
        Self {
            id: Some(id),
            ..self
        }
    }

    pub(crate) fn with_name(self, name: Option<&'a str>) -> Self {
        Self { name, ..self }
    }
}
