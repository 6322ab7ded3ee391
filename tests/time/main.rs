//! Timers: sleeps, timeouts, intervals, and a paused clock that tests move.
#![cfg(test)]

mod alarm;
mod blocking;
mod endless;
mod hyper_sleep;
mod interval;
mod other_executors;
mod pause;
mod reset;
mod sleep;
mod timeout;
mod timeout_budget;
mod wakers;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::Runtime;
use coreloop::time::{Sleep, sleep};

fn poll(timer: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(timer).poll(&mut Context::from_waker(waker))
}

fn sleep_in(runtime: &Runtime, duration: Duration) -> Sleep {
    let _guard = runtime.enter();
    sleep(duration)
}
