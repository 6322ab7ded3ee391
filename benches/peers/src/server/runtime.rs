//! The kinds of servers.

use std::fmt;

use clap::ValueEnum;

/// A runtime that serves echo, or the bare loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Runtime {
    /// An edge-triggered epoll loop and nothing else.
    Bare,
    Coreloop,
    /// tokio's `current_thread` runtime.
    Tokio,
    /// monoio with its legacy driver, which is epoll.
    Monoio,
    /// smol's `LocalExecutor`.
    Smol,
    /// compio with its polling driver.
    Compio,
    /// glommio, which needs `io_uring`.
    Glommio,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Runtime::Bare => "bare epoll",
            Runtime::Coreloop => "coreloop",
            Runtime::Tokio => "tokio",
            Runtime::Monoio => "monoio",
            Runtime::Smol => "smol",
            Runtime::Compio => "compio",
            Runtime::Glommio => "glommio",
        })
    }
}
