//! [`Mutex`]: a lock that one request holds at a time.
//!
//! # Invariants
//!
//! 1. There is at most one holder, and no request waits while there is none.
//! 2. The fencing number of a grant is larger than the numbers of all earlier grants.
//! 3. A grant is signed if its request was, and only then.

use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Call, Effects, Key, Leave, Line, Object, Violation};
use crate::ipc::broker::proof::{Proofs, Purpose};
use crate::ipc::broker::protocol::{Answer, Body, Operation, Status};

pub(crate) struct Mutex {
    holder: Option<Holder>,
    line: Line<Asker>,
    /// The fencing number of the last grant.
    fencing: u64,
    is_poisoned: bool,
    memory: Option<Memory>,
}

/// The memory that a lock protects.
struct Memory {
    file: OwnedFd,
    proofs: Proofs,
}

/// A process that asks for the lock.
#[derive(Clone, Copy)]
struct Asker {
    pid: u32,
    /// The nonce of a request that is signed.
    nonce: Option<u64>,
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

    /// Creates a lock that protects memory, for the processes of the family.
    pub(crate) fn with_memory(file: OwnedFd, proofs: Proofs) -> Self {
        Self {
            memory: Some(Memory { file, proofs }),
            ..Self::new()
        }
    }

    /// Returns the nonce of a request for the lock if it is signed, or why it is refused.
    fn nonce(&self, body: Body<'_>) -> Result<Option<u64>, Status> {
        if body.rest().is_empty() {
            return Ok(None);
        }
        let memory = self.memory.as_ref().ok_or(Status::WRONG_KIND)?;
        let nonce = memory.proofs.asked(Purpose::Lock, body);
        nonce.ok_or(Status::REFUSED).map(Some)
    }

    fn lock(&mut self, key: Key, asker: Asker, may_wait: bool, effects: &mut Effects) {
        if self.holder.is_none() {
            self.grant(key, asker, effects);
        } else if may_wait {
            self.line.push(key, asker);
            effects.wait(key);
        } else {
            effects.finish(key, Answer::new(Status::UNAVAILABLE));
        }
    }

    fn grant(&mut self, key: Key, asker: Asker, effects: &mut Effects) {
        self.fencing += 1;
        self.holder = Some(Holder {
            key,
            pid: asker.pid,
            since: effects.now,
        });
        let mut body = self.fencing.to_le_bytes().to_vec();
        body.push(u8::from(self.is_poisoned));
        if let (Some(memory), Some(nonce)) = (&self.memory, asker.nonce) {
            body = memory.proofs.signed(Purpose::Grant, nonce, body);
        }
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
fn memory(memory: Option<&Memory>, body: Body<'_>) -> Answer {
    let Some(memory) = memory else {
        return Answer::new(Status::WRONG_KIND);
    };
    let Some(nonce) = memory.proofs.asked(Purpose::Ask, body) else {
        return Answer::new(Status::REFUSED);
    };
    match memory.file.try_clone() {
        Ok(file) => Answer {
            descriptors: Ok(vec![file]),
            ..Answer::with(
                Status::DONE,
                memory.proofs.signed(Purpose::Give, nonce, Vec::new()),
            )
        },
        Err(_) => Answer::new(Status::UNAVAILABLE),
    }
}

impl Object for Mutex {
    fn handle(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) -> Result<(), Violation> {
        match call.operation {
            Operation::LOCK | Operation::TRY_LOCK => {
                let may_wait = call.operation == Operation::LOCK;
                match self.nonce(call.body) {
                    Ok(nonce) => {
                        let pid = call.pid;
                        self.lock(key, Asker { pid, nonce }, may_wait, effects);
                    }
                    Err(status) => effects.finish(key, Answer::new(status)),
                }
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
                let answer = memory(self.memory.as_ref(), call.body);
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
        if let Some((next, asker)) = self.line.pop() {
            self.grant(next, asker, effects);
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
