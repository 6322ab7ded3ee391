//! What operators and accidents do to a program.

use fastrand::Rng;
use rustix::process::Signal;

/// The largest number of workers that is asked for.
const MOST: u32 = 5;

/// Requests wait for their answer, and signals do not, so that the next operation comes while the
/// one before is in progress.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Reload,
    Upgrade,
    /// An upgrade to a program that ends at once.
    FailingUpgrade,
    Scale(u32),
    Signal(Signal),
    /// Kills a worker, in any state.
    Kill,
    /// Kills all workers at once.
    KillAll,
}

/// The kinds of operations of a chaos.
#[derive(Clone, Copy, Debug)]
pub struct Operations {
    kills: bool,
}

impl Operations {
    pub const ALL: Self = Self { kills: true };
    /// Threads cannot be killed.
    pub const WITHOUT_KILLS: Self = Self { kills: false };

    /// Returns the next operation.
    pub fn random(self, random: &mut Rng) -> Operation {
        match random.u32(..if self.kills { 14 } else { 10 }) {
            0 => Operation::Reload,
            1 => Operation::Upgrade,
            2 => Operation::FailingUpgrade,
            3 | 4 => Operation::Scale(random.u32(1..=MOST)),
            5 => Operation::Signal(Signal::HUP),
            6 | 7 => Operation::Signal(Signal::USR2),
            8 => Operation::Signal(Signal::TTIN),
            9 => Operation::Signal(Signal::TTOU),
            13 => Operation::KillAll,
            _ => Operation::Kill,
        }
    }
}
