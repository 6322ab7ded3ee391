// The README links to files of the repository. Here its links are defined again, because
// they lead elsewhere in the documentation, and the first definition of a link is used.
#![cfg_attr(
    all(
        feature = "jobs",
        feature = "macros",
        feature = "net",
        feature = "pool",
        feature = "process",
        feature = "signal",
        feature = "sync"
    ),
    doc = "[guide]: crate::guide\n[examples]: crate::guide::examples"
)]
//! [architecture]: https://github.com/coreloop/coreloop/blob/main/ARCHITECTURE.md
//! [contributing]: https://github.com/coreloop/coreloop/blob/main/CONTRIBUTING.md
//! [examples]: https://github.com/coreloop/coreloop/tree/main/examples
//! [guide]: https://github.com/coreloop/coreloop/tree/main/src/guide
//! [race]: https://raw.githubusercontent.com/coreloop/coreloop/main/benches/report/race.svg
//! [report]: https://github.com/coreloop/coreloop/blob/main/benches/REPORT.md
//!
#![doc = include_str!("../README.md")]
//!
//! # A tour
//!
//! | module | what it holds |
//! |---|---|
//! | [`runtime`] | [`Runtime`], which is one event loop, and its [`Builder`](runtime::Builder) |
//! | [`task`] | [`spawn`](task::spawn), [`JoinHandle`](task::JoinHandle), yielding, the budget that keeps tasks fair |
//! | [`cleanup`] | async cleanup, however a task ends: [`AsyncGuard`](cleanup::AsyncGuard), [`bracket`](cleanup::bracket) |
//! | [`scope`] | structured concurrency: [`scope`](scope::scope) with children that borrow, [`cancel_scope`](scope::cancel_scope) |
//! | [`time`] | [`sleep`](time::sleep), [`timeout`](time::timeout), [`interval`](time::interval), and a clock that tests can pause |
//! | [`io`] | [`Async`](io::Async), which puts any descriptor on the loop; copying, splicing, and readers and writers of all kinds |
//! | [`stream`](mod@stream) | [`stream`](stream::stream()), which makes a stream of an async function with yields |
#![cfg_attr(
    feature = "signal",
    doc = "| [`signal`] | [`ctrl_c`](signal::ctrl_c), and listeners for other signals |"
)]
#![cfg_attr(
    feature = "net",
    doc = "| [`net`] | [`TcpStream`](net::TcpStream), [`UnixStream`](net::UnixStream), [`UdpSocket`](net::UdpSocket) and the other sockets; name lookup |"
)]
#![cfg_attr(
    feature = "hyper",
    doc = "| [`hyper`] | HTTP through hyper: [`serve`](hyper::serve), and the executor and timer that hyper requires of a runtime |"
)]
#![cfg_attr(
    feature = "process",
    doc = "| [`process`] | child processes, and a supervised worker with its own loop for every core |"
)]
#![cfg_attr(
    feature = "pool",
    doc = "| [`pool`] | functions that run in other processes: pools, executors, single processes |"
)]
#![cfg_attr(
    feature = "pool",
    doc = "| [`ipc`] | pipes, channels, queues, locks and shared memory between processes; descriptors in messages |"
)]
#![cfg_attr(
    feature = "jobs",
    doc = "| [`jobs`] | work on several machines: queues of jobs, and a manager that serves queues and typed services |"
)]
#![cfg_attr(
    feature = "sync",
    doc = "| [`sync`] | locks and channels for tasks that share a thread |"
)]
#![cfg_attr(
    all(
        feature = "jobs",
        feature = "macros",
        feature = "net",
        feature = "pool",
        feature = "process",
        feature = "signal",
        feature = "sync"
    ),
    doc = "| [`guide`] | how to use all of this, chapter by chapter |"
)]
//!
//! A program starts in one of four ways:
//!
//! - `#[coreloop::main]` on an async `main`;
//! - [`block_on`], which makes a runtime for one future;
//! - [`Runtime::block_on`], where several futures share a runtime, one after
//!   another, and may borrow from the function that calls it;
//! - [`Runtime::turn`], where another event loop owns the thread: it watches
//!   the runtime's descriptor and runs a turn when the descriptor is readable.
//!
//! Inside the runtime, [`spawn`] starts tasks. A task need not be `Send`, because it
//! never leaves its thread; its [`Waker`](std::task::Waker) may be sent to any thread.
//! Dropping a [`JoinHandle`](task::JoinHandle) detaches the task, which continues to run.
//! Within a task, [`select!`] waits for the first of several futures and drops the others,
//! [`race!`] waits for the first and lets the others clean up, and [`join!`] and
//! [`try_join!`] wait for all of them.
//!
//! ```
//! use std::cell::Cell;
//! use std::rc::Rc;
//!
//! let total = Rc::new(Cell::new(0));
//! coreloop::block_on(async {
//!     let tasks: Vec<_> = (1..=4)
//!         .map(|number| {
//!             let total = Rc::clone(&total);
//!             coreloop::spawn(async move { total.set(total.get() + number) })
//!         })
//!         .collect();
//!     for task in tasks {
//!         task.await.unwrap();
//!     }
//! });
//! assert_eq!(total.get(), 10);
//! ```
#![forbid(unsafe_code)]

#[doc(inline)]
pub use coreloop_runtime::{Runtime, block_on, cleanup, runtime, scope, spawn, stream, task, time};

#[doc(inline)]
pub use coreloop_runtime::{for_await, join, pin, race, select, task_local, try_join};

#[cfg(feature = "signal")]
#[doc(inline)]
pub use coreloop_runtime::signal;

// Copying and splicing need the I/O traits and the sockets of `coreloop_net`, whose `io`
// re-exports `coreloop_runtime::io`.
#[cfg(feature = "net")]
#[doc(inline)]
pub use coreloop_net::io;
#[cfg(not(feature = "net"))]
#[doc(inline)]
pub use coreloop_runtime::io;

#[cfg(feature = "net")]
pub mod net;

#[cfg(feature = "hyper")]
#[doc(inline)]
pub use coreloop_net::hyper;

#[cfg(feature = "process")]
#[doc(inline)]
pub use coreloop_process as process;

#[cfg(feature = "pool")]
#[doc(inline)]
pub use coreloop_pool as pool;

#[cfg(feature = "pool")]
#[doc(inline)]
pub use coreloop_pool::ipc;

#[cfg(feature = "jobs")]
#[doc(inline)]
pub use coreloop_jobs as jobs;

#[cfg(feature = "sync")]
#[doc(inline)]
pub use coreloop_sync as sync;

#[cfg(feature = "macros")]
mod attributes;
#[cfg(all(feature = "macros", feature = "pool"))]
pub use attributes::job;
#[cfg(feature = "macros")]
pub use attributes::{main, test};

// `#[main]` expands to a call of it.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub use attributes::enter as __enter;

#[cfg(feature = "macros")]
#[doc(hidden)]
pub use coreloop_macros::__generator;

#[cfg(feature = "macros")]
mod sugar;

// The guide holds no code, so it is compiled for documentation only. It links to items
// of all these features.
#[cfg(all(
    any(doc, doctest),
    feature = "jobs",
    feature = "macros",
    feature = "net",
    feature = "pool",
    feature = "process",
    feature = "signal",
    feature = "sync"
))]
pub mod guide;
