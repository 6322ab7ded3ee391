//! [`Restarts`]: how often and how soon.

use std::time::Duration;

/// How often and how soon workers that died are started again.
///
/// A worker that served and dies is replaced at once. If that happened to its slot
/// more than [`most`](Restarts::most) times within [`period`](Restarts::period), or
/// if it died before it was ready, the next start waits:
/// [`shortest`](Restarts::shortest) at first, twice as long each time, never longer
/// than [`longest`](Restarts::longest), and always somewhere between half of that
/// and all of it, so that slots that fail together do not start together. A worker
/// that serves for [`stable`](Restarts::stable) makes all that forgotten. Meanwhile
/// a sibling serves the sockets of the slot.
///
/// Workers that die before they are ready have a budget of their own: after
/// [`boots`](Restarts::boots) of them in a row, in a supervisor of which no worker
/// was ever ready, [`run`](super::super::Supervisor::run) gives up and returns an
/// error. Once one was ready it never gives up.
///
/// # Examples
///
/// ```
/// use coreloop::process::Restarts;
/// use std::time::Duration;
///
/// let restarts = Restarts::new().most(20).longest(Duration::from_secs(5));
/// # let _ = restarts;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Restarts {
    pub(in crate::supervisor) most: u32,
    pub(in crate::supervisor) period: Duration,
    pub(in crate::supervisor) shortest: Duration,
    pub(in crate::supervisor) longest: Duration,
    pub(in crate::supervisor) stable: Duration,
    pub(in crate::supervisor) boots: u32,
}

impl Restarts {
    /// Five in ten seconds; then 100 ms to 30 s; five before ready.
    pub fn new() -> Restarts {
        Restarts {
            most: 5,
            period: Duration::from_secs(10),
            shortest: Duration::from_millis(100),
            longest: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            boots: 5,
        }
    }

    /// How many deaths within the period are answered at once. Zero: none.
    pub fn most(mut self, deaths: u32) -> Restarts {
        self.most = deaths;
        self
    }

    /// The time in which deaths are counted.
    pub fn period(mut self, period: Duration) -> Restarts {
        self.period = period;
        self
    }

    /// The first wait.
    pub fn shortest(mut self, wait: Duration) -> Restarts {
        self.shortest = wait;
        self
    }

    /// No wait is longer.
    pub fn longest(mut self, wait: Duration) -> Restarts {
        self.longest = wait;
        self
    }

    /// How long a worker has to serve until earlier deaths are forgotten.
    pub fn stable(mut self, uptime: Duration) -> Restarts {
        self.stable = uptime;
        self
    }

    /// How many workers in a row may die before they are ready, if none ever was.
    pub fn boots(mut self, deaths: u32) -> Restarts {
        self.boots = deaths;
        self
    }
}

impl Default for Restarts {
    fn default() -> Restarts {
        Restarts::new()
    }
}
