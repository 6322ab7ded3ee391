//! The timers of tokio.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use tokio::task::spawn_local as spawn;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
