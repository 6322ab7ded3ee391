//! Runtimes whose clock tests move.

use coreloop::Runtime;
use coreloop::runtime::Builder;

/// A runtime whose clock stands still.
pub fn paused() -> Runtime {
    Builder::new()
        .start_paused(true)
        .build()
        .expect("descriptors for a loop")
}
