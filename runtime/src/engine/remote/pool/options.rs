//! [`Options`]: the settings of a pool.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::engine::panics::{self, UserValue};

/// The default name of the threads. Linux shows 15 bytes.
const NAME: &str = "coreloop-pool";

/// The settings of the pool's threads.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) max_threads: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) stack_size: Option<usize>,
    /// The user's function that names threads. Without one, all threads have the same name.
    pub(crate) name: UserValue<Arc<dyn Fn() -> String + Send + Sync>>,
}

// The function is only called for a name, and its panics are caught.
impl UnwindSafe for Options {}
impl RefUnwindSafe for Options {}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_threads: 512,
            keep_alive: Duration::from_secs(10),
            stack_size: None,
            name: UserValue::default(),
        }
    }
}

impl Options {
    /// Returns a builder for a new thread. Calls the user's function for its name.
    pub(super) fn thread(&self) -> thread::Builder {
        let name = match self.name.get().map(|name| panics::catch(|| name())) {
            Some(Ok(name)) => name.replace('\0', ""),
            Some(Err(payload)) => {
                panics::discard(payload);
                NAME.to_owned()
            }
            None => NAME.to_owned(),
        };
        let thread = thread::Builder::new().name(name);
        match self.stack_size {
            Some(bytes) => thread.stack_size(bytes),
            None => thread,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_threads", &self.max_threads)
            .field("keep_alive", &self.keep_alive)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
