//! The tasks of tokio.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use std::future::Future;

use tokio::task::{JoinSet, spawn_blocking, spawn_local as spawn, yield_now};

fn spawn_in<F: Future<Output = usize> + 'static>(set: &mut JoinSet<usize>, future: F) {
    set.spawn_local(future);
}
