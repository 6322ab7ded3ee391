//! What differs between platforms.
//!
//! Each platform has a module here that defines all of these items. Nothing else in the
//! crate asks for which platform it is compiled, apart from public items that exist on some
//! platforms only.
//!
//! - `IS_EPOLL`: whether the kernel's events are epoll's.
//! - `READ_INTEREST`: what a task that waits to read is registered for.
//! - `limit_wait`: shortens a timeout to the longest that the kernel accepts.
//! - `TimerFd`: a timer of the kernel whose end makes a descriptor readable. `new` fails
//!   where the timeout of a wait is exact, or where there is no such timer.
//! - `IS_EXCLUSIVE`, `NO_DIRECTION`, `add_exclusive`, `remove`: registrations of which the
//!   kernel wakes one. `add_exclusive` and `remove` are called only if `IS_EXCLUSIVE`.
//! - `file_status`, `set_nonblocking`: what is asked of an open file description.
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
