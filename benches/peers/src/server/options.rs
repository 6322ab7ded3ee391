//! [`Options`]: the options of an echo server.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::Runtime;
use crate::child::value_name;

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options<B: ValueEnum + Send + Sync + 'static> {
    /// The server.
    #[arg(value_enum)]
    pub(crate) runtime: Runtime,
    /// How many connections to accept; the server exits when all have closed.
    #[arg(long, default_value_t = 16)]
    pub(crate) connections: usize,
    /// The size of each connection's buffer.
    #[arg(long, value_enum, default_value = "1024")]
    pub(crate) buffer: B,
    /// Keeps to this core.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Gives up after this number of seconds.
    #[arg(long, default_value_t = 600)]
    pub(crate) limit: u32,
}

impl<B: ValueEnum + Send + Sync + 'static> Options<B> {
    /// Returns options with defaults for the settings that most measurements do not change.
    pub(crate) fn new(runtime: Runtime, connections: usize, buffer: B) -> Self {
        Options {
            runtime,
            connections,
            buffer,
            core: None,
            limit: 600,
        }
    }

    /// Returns the options as words of a command line.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = vec![
            value_name(&self.runtime),
            "--connections".to_owned(),
            self.connections.to_string(),
            "--buffer".to_owned(),
            value_name(&self.buffer),
            "--limit".to_owned(),
            self.limit.to_string(),
        ];
        if let Some(core) = self.core {
            words.extend(["--core".to_owned(), core.to_string()]);
        }
        words.into_iter().map(OsString::from).collect()
    }
}
