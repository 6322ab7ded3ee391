//! What hyper makes its timeouts of.

use std::pin::Pin;
use std::time::{Duration, Instant as SystemInstant};

use ::hyper::rt;

use crate::engine::core::context;
use crate::engine::timers::instant::Instant;
use crate::hyper::sleep::Sleep;

/// Tells hyper the time, and waits for it, on the loop that it is used in.
///
/// Give one to the builders of hyper: without it, a server waits for ever for
/// the head of a request. It goes by the clock of the runtime, so a test that
/// [pauses](crate::time::pause) that has hyper's timeouts at once and exactly.
///
/// # Panics
///
/// [`sleep`](rt::Timer::sleep) and [`sleep_until`](rt::Timer::sleep_until) panic
/// outside a runtime. [`now`](rt::Timer::now) shows the time of the system there.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use coreloop::hyper::LoopTimer;
/// use coreloop::time;
/// use hyper::rt::Timer;
///
/// # coreloop::block_on(async {
/// time::pause();
/// let before = LoopTimer.now();
/// LoopTimer.sleep(Duration::from_secs(60)).await;
/// assert_eq!(LoopTimer.now() - before, Duration::from_secs(60));
/// # })
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LoopTimer;

impl rt::Timer for LoopTimer {
    #[track_caller]
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        let Some(event_loop) = context::current() else {
            context::missing("LoopTimer::sleep");
        };
        let now = event_loop.timers.now().into_std();
        Box::pin(Sleep::new(&event_loop, now.checked_add(duration)))
    }

    #[track_caller]
    fn sleep_until(&self, deadline: SystemInstant) -> Pin<Box<dyn rt::Sleep>> {
        let Some(event_loop) = context::current() else {
            context::missing("LoopTimer::sleep_until");
        };
        Box::pin(Sleep::new(&event_loop, Some(deadline)))
    }

    fn now(&self) -> SystemInstant {
        Instant::now().into_std()
    }

    #[track_caller]
    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: SystemInstant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => ours.get_mut().reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}
