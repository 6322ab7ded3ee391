//! [`Mutex`]: a lock that one request holds at a time.
//!
//! # Invariants
//!
//! 1. There is at most one holder, and no request waits while there is none.
//! 2. The fencing number of a grant is larger than the numbers of all earlier grants.

use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Call, Effects, Key, Leave, Line, Object, Violation};
use crate::ipc::broker::protocol::{Answer, Operation, Status};

pub(crate) struct Mutex {
    holder: Option<Holder>,
    line: Line<u32>,
    /// The fencing number of the last grant.
    fencing: u64,
    is_poisoned: bool,
    memory: Option<Memory>,
}

/// The memory that a lock protects.
struct Memory {
    file: OwnedFd,
    /// Only processes that know it get the file.
    password: u64,
}

struct Holder {
    key: Key,
    pid: u32,
    since: SystemTime,
}

impl Mutex {
    pub(crate) fn new() -> Self {
        Self {
            holder: None,
            line: Line::new(),
            fencing: 0,
            is_poisoned: false,
            memory: None,
        }
    }

    /// Creates a lock that protects memory, for the processes that know the password.
    pub(crate) fn with_memory(file: OwnedFd, password: u64) -> Self {
        Self {
            memory: Some(Memory { file, password }),
            ..Self::new()
        }
    }

    fn lock(&mut self, key: Key, pid: u32, may_wait: bool, effects: &mut Effects) {
        if self.holder.is_none() {
            self.grant(key, pid, effects);
        } else if may_wait {
            self.line.push(key, pid);
            effects.wait(key);
        } else {
            effects.finish(key, Answer::new(Status::UNAVAILABLE));
        }
    }

    fn grant(&mut self, key: Key, pid: u32, effects: &mut Effects) {
        self.fencing += 1;
        self.holder = Some(Holder {
            key,
            pid,
            since: effects.now,
        });
        let mut body = self.fencing.to_le_bytes().to_vec();
        body.push(u8::from(self.is_poisoned));
        effects.grant(key, Answer::with(Status::DONE, body));
    }

    fn holder(&self) -> Answer {
        let Some(holder) = &self.holder else {
            return Answer::new(Status::UNAVAILABLE);
        };
        let mut body = holder.pid.to_le_bytes().to_vec();
        body.extend_from_slice(&micros(holder.since).to_le_bytes());
        body.extend_from_slice(&self.fencing.to_le_bytes());
        Answer::with(Status::DONE, body)
    }
}

/// Answers with a duplicate of the descriptor. Duplicating it changes nothing but the number of
/// descriptors of this process.
fn memory(memory: Option<&Memory>, password: Option<u64>) -> Answer {
    let Some(memory) = memory else {
        return Answer::new(Status::WRONG_KIND);
    };
    if password != Some(memory.password) {
        return Answer::new(Status::REFUSED);
    }
    match memory.file.try_clone() {
        Ok(file) => Answer {
            descriptors: Ok(vec![file]),
            ..Answer::done()
        },
        Err(_) => Answer::new(Status::UNAVAILABLE),
    }
}

impl Object for Mutex {
    fn handle(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) -> Result<(), Violation> {
        match call.operation {
            Operation::LOCK | Operation::TRY_LOCK => {
                let may_wait = call.operation == Operation::LOCK;
                self.lock(key, call.pid, may_wait, effects);
            }
            Operation::IS_POISONED => {
                let body = vec![u8::from(self.is_poisoned)];
                effects.finish(key, Answer::with(Status::DONE, body));
            }
            Operation::CLEAR_POISON => {
                self.is_poisoned = false;
                effects.finish(key, Answer::done());
            }
            Operation::HOLDER => effects.finish(key, self.holder()),
            Operation::MEMORY => {
                let answer = memory(self.memory.as_ref(), call.body.only_u64());
                effects.finish(key, answer);
            }
            _ => effects.finish(key, Answer::new(Status::WRONG_KIND)),
        }
        Ok(())
    }

    fn leave(&mut self, key: Key, why: Leave, effects: &mut Effects) {
        if self.line.remove(key).is_some() {
            effects.end(key);
            return;
        }
        let holds = self.holder.as_ref().is_some_and(|holder| holder.key == key);
        if !holds || why == Leave::SocketEnded {
            return;
        }
        self.holder = None;
        self.is_poisoned |= matches!(why, Leave::Died | Leave::Panicking);
        effects.end(key);
        if let Some((next, pid)) = self.line.pop() {
            self.grant(next, pid, effects);
        }
    }

    fn close(&mut self, effects: &mut Effects) {
        while let Some((key, _)) = self.line.pop() {
            effects.finish(key, Answer::new(Status::CLOSED));
        }
    }
}

/// Returns a time as microseconds since 1970, for an answer.
pub(super) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
