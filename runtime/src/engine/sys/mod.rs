//! The differences between platforms.
//!
//! Each platform has a module here that defines all of these items. No other code in the
//! crate depends on the platform that it is compiled for, apart from public items that
//! exist on some platforms only.
//!
//! - `IS_EPOLL`: whether the kernel reports events by epoll.
//! - `READ_INTEREST`: what a task that waits to read is registered for.
//! - `limit_wait`: shortens a timeout to the longest that the kernel accepts.
//! - `TimerFd`: a kernel timer that makes a descriptor readable when it expires. `new`
//!   fails on platforms that have no such timer, or whose waits have exact timeouts.
//! - `IS_EXCLUSIVE`, `NO_DIRECTION`, `add_exclusive`, `remove`: exclusive registrations,
//!   of which the kernel wakes one. `add_exclusive` and `remove` are called only if
//!   `IS_EXCLUSIVE`.
//! - `file_status`, `set_nonblocking`: the status of an open file, and its blocking mode.
//! - `thread_cpu_time`: the CPU time that this thread has used.
//!
//! The atomics of [`atomic`] differ under loom.

pub(crate) mod atomic;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod linux;
#[cfg(miri)]
mod miri;
#[cfg(not(any(target_os = "linux", target_os = "android", miri)))]
mod others;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod timerfd;
#[cfg(any(not(any(target_os = "linux", target_os = "android")), miri))]
mod unsupported;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
use self::linux as platform;
#[cfg(miri)]
use self::miri as platform;
#[cfg(not(any(target_os = "linux", target_os = "android", miri)))]
use self::others as platform;

pub(crate) use platform::{
    IS_EPOLL, IS_EXCLUSIVE, NO_DIRECTION, READ_INTEREST, TimerFd, add_exclusive, file_status,
    limit_wait, remove, set_nonblocking, thread_cpu_time,
};
