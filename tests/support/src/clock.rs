//! Runtimes with a paused clock.

use coreloop::Runtime;
use coreloop::runtime::Builder;

/// Creates a runtime whose clock is paused.
pub fn paused() -> Runtime {
    Builder::new()
        .start_paused(true)
        .build()
        .expect("descriptors for a loop")
}
