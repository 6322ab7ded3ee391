//! What happens to the programs that a worker has started, when the worker has ended.

use crate::supervisor::Supervisor;

impl Supervisor {
    /// Sets whether the programs that a worker process has started are killed when it has
    /// ended, however it ended; `false` by default, and then they continue.
    ///
    /// Each worker leads a process group of its own then, and the master kills what is left
    /// of the group. A program that has moved to another group, as a daemon does, is not
    /// killed. Nor is any if the master itself is killed by `kill -9`; a service manager or
    /// a container ends them then. Worker threads have no groups, and this changes nothing
    /// for them.
    ///
    /// In a terminal, these groups are in the background. Ctrl-C reaches the master only,
    /// which drains the workers, as without this; but not the programs that the workers have
    /// started. Ctrl-Z stops the master only: the workers continue, and are not replaced
    /// before the master continues too.
    pub fn kill_children(mut self, kill: bool) -> Self {
        self.confinement.kill_children = kill;
        self
    }
}
