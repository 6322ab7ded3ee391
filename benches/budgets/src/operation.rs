//! The operations that have a budget.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An operation whose cost is counted. The variants are in the order of the output.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// Sends and echoes 64 bytes, on one of 16 connections
    Echo,
    /// Spawns and joins a task that is ready at once, one of a hundred
    SpawnAndJoin,
    /// Polls a task that wakes itself, one of a hundred
    SelfWake,
    /// Sets a timer, one of a hundred, and lets it fire and its task continue
    TimerFire,
    /// Sets a timer beside a thousand others, and cancels one of these
    TimerCancel,
    /// Locks and unlocks an uncontended mutex
    Mutex,
    /// Locks and unlocks a mutex contended by eight tasks, whose holder yields
    MutexContended,
    /// Passes a value through a bounded channel, from one task to another
    Mpsc,
    /// Creates, uses and drops a channel for one value
    Oneshot,
    /// Yields an item of 8 bytes from a generator
    GeneratorItem,
    /// Spawns and joins a child of a scope that is ready at once, one of a hundred
    ScopeChild,
    /// Creates and drops a guard, and runs its cleanup
    DropGuard,
    /// Runs a job in the worker of a pool, and awaits its result
    PoolJob,
    /// The same, counted in the worker
    PoolJobInWorker,
}

impl Operation {
    /// Returns the name on the command line and in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Echo => "echo",
            Operation::SpawnAndJoin => "spawn-and-join",
            Operation::SelfWake => "self-wake",
            Operation::TimerFire => "timer-fire",
            Operation::TimerCancel => "timer-cancel",
            Operation::Mutex => "mutex",
            Operation::MutexContended => "mutex-contended",
            Operation::Mpsc => "mpsc",
            Operation::Oneshot => "oneshot",
            Operation::GeneratorItem => "generator-item",
            Operation::ScopeChild => "scope-child",
            Operation::DropGuard => "drop-guard",
            Operation::PoolJob => "pool-job",
            Operation::PoolJobInWorker => "pool-job-in-worker",
        }
    }

    /// Returns how often the operation is done in the shorter run. That is often enough
    /// that differences between starts, such as the seeds of hash maps, do not affect the
    /// mean. It is a multiple of the number done at once.
    pub(crate) fn times(self) -> u64 {
        match self {
            // Each takes two switches between processes.
            Operation::PoolJob | Operation::PoolJobInWorker => 4_000,
            Operation::Echo => 16_000,
            Operation::SpawnAndJoin
            | Operation::TimerFire
            | Operation::TimerCancel
            | Operation::MutexContended
            | Operation::Oneshot
            | Operation::ScopeChild
            | Operation::DropGuard => 32_000,
            Operation::SelfWake | Operation::Mutex | Operation::Mpsc | Operation::GeneratorItem => {
                128_000
            }
        }
    }
}
