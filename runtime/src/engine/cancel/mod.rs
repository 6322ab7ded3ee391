//! Cancellation, and the cleanups of guards.

pub(crate) mod cleanup;
pub(crate) mod counted;
mod generations;
pub(crate) mod group;
pub(crate) mod node;
pub(crate) mod node_guard;
pub(crate) mod queue;
pub(crate) mod state;
mod turn;
