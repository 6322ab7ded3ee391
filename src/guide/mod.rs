//! The guide: from a first server to one that is upgraded under load.
//!
//! Each chapter can be read by itself. The tests compile all of its Rust code, and run it
//! where that is possible.
//!
//! | chapter | |
//! |---|---|
//! | [`first_server`] | an echo server, step by step: sockets, tasks, errors, Ctrl-C |
//! | [`tasks`] | spawning, joining, sets, sharing, blocking work, other threads |
//! | [`cancellation`] | timeouts, aborts, scopes, and cleanup that may wait |
//! | [`sync`] | locks and channels: which one for what |
//! | [`streams`] | async generators, and loops over streams |
//! | [`many_cores`] | a worker for each core, as a process or as a thread |
//! | [`processes`] | functions in other processes: pools, single processes, Python's programs |
//! | [`many_machines`] | queues of jobs for workers on other machines: which engine, and what is lost when |
//! | [`embedding`] | a runtime inside another event loop |
//! | [`testing`] | a clock that tests move, and servers without a network |
//! | [`from_tokio`] | tokio's names, and their counterparts here |
//! | [`from_python`] | the names of `asyncio`, `multiprocessing` and `concurrent.futures`, and their counterparts here |
//! | [`deployment`] | systemd, containers, reloads, upgrades, limits, logs |
//! | [`examples`] | all programs in `examples`: what each of them shows, and its command |

#[doc = include_str!("first_server.md")]
pub mod first_server {}

#[doc = include_str!("tasks.md")]
pub mod tasks {}

#[doc = include_str!("cancellation.md")]
pub mod cancellation {}

#[doc = include_str!("sync.md")]
pub mod sync {}

#[doc = include_str!("streams.md")]
pub mod streams {}

#[doc = include_str!("many_cores.md")]
pub mod many_cores {}

#[doc = include_str!("processes.md")]
pub mod processes {}

#[doc = include_str!("many_machines.md")]
pub mod many_machines {}

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("from_tokio.md")]
pub mod from_tokio {}

#[doc = include_str!("from_python.md")]
pub mod from_python {}

#[doc = include_str!("deployment.md")]
pub mod deployment {}

#[doc = include_str!("../../examples/README.md")]
pub mod examples {}
