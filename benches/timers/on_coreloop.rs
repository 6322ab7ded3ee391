//! The timers of coreloop.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use coreloop::spawn;
use coreloop::time::{Instant, interval_at, sleep, sleep_until, timeout};
