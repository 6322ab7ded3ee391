//! The tasks of coreloop.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use std::future::Future;

use coreloop::spawn;
use coreloop::task::{JoinSet, spawn_blocking, yield_now};

fn spawn_in<F: Future<Output = usize> + 'static>(set: &mut JoinSet<usize>, future: F) {
    set.spawn(future);
}
