//! What has a budget.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An operation whose cost is counted. They are in the order of the output.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// 64 bytes there and back, one of 16 connections
    Echo,
    /// A task that is ready at once, one of a hundred
    SpawnAndJoin,
    /// A task that wakes itself and is polled again, one of a hundred
    SelfWake,
    /// A timer, one of a hundred, from its making until its task goes on
    TimerFire,
    /// A timer that is set beside a thousand, and one of these cancelled
    TimerCancel,
    /// A mutex that nobody else wants, locked and unlocked
    Mutex,
    /// The same mutex wanted by eight tasks, whose holder yields
    MutexContended,
    /// A value through a bounded channel, from one task to another
    Mpsc,
    /// A channel for one value, made, used and dropped
    Oneshot,
    /// An item of 8 bytes out of a generator
    GeneratorItem,
    /// A child of a scope, one of a hundred, ready at once and joined
    ScopeChild,
    /// A guard, made, dropped and its cleanup run
    DropGuard,
}

impl Operation {
    /// Its name on the command line and in the file.
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
        }
    }

    /// How often it is done in the shorter run. So often that what varies from
    /// one start to the next, such as the seeds of hash maps, is not seen in the
    /// mean; and a multiple of what is done at once.
    pub(crate) fn times(self) -> u64 {
        match self {
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
