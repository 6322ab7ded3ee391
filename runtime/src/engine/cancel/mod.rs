//! Cancellation, and the cleanups of guards.

pub(crate) mod cleanup;
mod generations;
pub(crate) mod group;
pub(crate) mod in_place;
pub(crate) mod node;
pub(crate) mod node_guard;
pub(crate) mod queue;
mod request;
pub(crate) mod run;
pub(crate) mod site;
pub(crate) mod state;
mod turn;
