//! [`Hello`], the first message to a worker.

use serde::{Deserialize, Serialize};

use crate::family::Key;

/// What a worker has to know. The message carries the descriptor of the worker's page.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The hash of the registry, which is the same in both processes if they run the same
    /// program.
    pub(crate) registry: u64,
    /// What the processes of the family know.
    pub(crate) family: Key,
    /// The process id of the master.
    pub(crate) master: u32,
    /// The name of the worker, for `ps` and `pool::current_process`.
    pub(crate) name: String,
    /// The maximum length of a frame's body.
    pub(crate) max_length: usize,
    /// Whether the first frame is a call of the initializer.
    pub(crate) has_initializer: bool,
    /// Whether the process ends after its first job.
    pub(crate) is_single: bool,
}
