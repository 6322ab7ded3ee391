//! [`Builder`]: how a runtime is to be.

use std::io;

use crate::event_loop::EventLoop;
use crate::runtime::Runtime;

/// Makes a [`Runtime`] that is not the default one.
///
/// # Examples
///
/// ```
/// use coreloop_runtime::runtime::Builder;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Builder::new().event_interval(31).build()?;
/// runtime.block_on(async {});
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    event_interval: u32,
    start_paused: bool,
}

impl Builder {
    /// What [`Runtime::new`] uses.
    pub fn new() -> Builder {
        Builder {
            event_interval: 61,
            start_paused: false,
        }
    }

    /// After so many tasks, at the latest, the loop looks at its clock, and
    /// asks the kernel for events if a hundred microseconds have passed. 61 unless
    /// set. The loop looks more often by itself when tasks are long.
    ///
    /// # Panics
    ///
    /// If `tasks` is zero.
    #[track_caller]
    pub fn event_interval(mut self, tasks: u32) -> Builder {
        assert!(tasks > 0, "event_interval must be at least 1");
        self.event_interval = tasks;
        self
    }

    /// Whether the clock stands still, for tests. It then jumps to the next
    /// timer whenever no task is ready and the kernel has no event.
    pub fn start_paused(mut self, paused: bool) -> Builder {
        self.start_paused = paused;
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left for the loop: it needs two, and a
    /// third when the first timer is set.
    pub fn build(&self) -> io::Result<Runtime> {
        let event_loop = EventLoop::new(self.event_interval, self.start_paused)?;
        Ok(Runtime::from_loop(event_loop))
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}
