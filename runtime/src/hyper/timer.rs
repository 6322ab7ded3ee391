//! [`LoopTimer`]: the source of hyper's timeouts.

use std::pin::Pin;
use std::time::{Duration, Instant as SystemInstant};

use ::hyper::rt;

use crate::engine::core::context;
use crate::engine::timers::instant::Instant;
use crate::hyper::sleep::Sleep;
use crate::time;

/// A timer for hyper that uses the clock and the timers of the current loop.
///
/// Pass one to the builders of hyper: without it, a server waits forever for the head of
/// a request. Because it uses the clock of the runtime, a test that
/// [pauses](crate::time::pause) the clock reaches hyper's timeouts at once and at exact
/// times.
///
/// # Panics
///
/// [`sleep`](rt::Timer::sleep) and [`sleep_until`](rt::Timer::sleep_until) panic
/// outside a runtime. [`now`](rt::Timer::now) returns the system's time there.
/// [`reset`](rt::Timer::reset) replaces the sleep of another loop or another timer with
/// one of the current loop, so it panics too if no runtime is entered.
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
        Box::pin(Sleep::new(time::Sleep::on(event_loop, duration)))
    }

    #[track_caller]
    fn sleep_until(&self, deadline: SystemInstant) -> Pin<Box<dyn rt::Sleep>> {
        let Some(event_loop) = context::current() else {
            context::missing("LoopTimer::sleep_until");
        };
        let deadline = Instant::from_std(deadline);
        Box::pin(Sleep::new(time::Sleep::until(event_loop, deadline)))
    }

    fn now(&self) -> SystemInstant {
        Instant::now().into_std()
    }

    #[track_caller]
    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: SystemInstant) {
        let own = sleep.as_mut().downcast_mut_pin::<Sleep>();
        if !own.is_some_and(|own| own.get_mut().reset(deadline)) {
            *sleep = self.sleep_until(deadline);
        }
    }
}
