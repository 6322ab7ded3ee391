//! [`Semaphore`]: permits that processes hold.
//!
//! **Invariant:** `available` and the permits of all holders add up to `total`. The request that
//! waits longest is not satisfiable now.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Call, Effects, Key, Leave, Line, Object, Violation};
use crate::ipc::broker::protocol::{Answer, Operation, Status};
use crate::ipc::broker::state::mutex::micros;

/// The maximum number of permits.
const MAX_PERMITS: u64 = u32::MAX as u64;

pub(crate) struct Semaphore {
    total: u64,
    available: u64,
    line: Line<Wanted>,
    holders: BTreeMap<Key, Holding>,
}

#[derive(Clone, Copy)]
struct Wanted {
    permits: u64,
    pid: u32,
}

struct Holding {
    permits: u64,
    pid: u32,
    since: SystemTime,
}

impl Semaphore {
    pub(crate) fn new(permits: u64) -> Self {
        Self {
            total: permits,
            available: permits,
            line: Line::new(),
            holders: BTreeMap::new(),
        }
    }

    fn hand_out(&mut self, key: Key, wanted: Wanted, effects: &mut Effects) {
        self.available -= wanted.permits;
        let holding = Holding {
            permits: wanted.permits,
            pid: wanted.pid,
            since: effects.now,
        };
        self.holders.insert(key, holding);
        effects.grant(key, Answer::done());
    }

    /// Grants the requests at the front of the line. A request for many permits is not overtaken.
    fn serve(&mut self, effects: &mut Effects) {
        while let Some(first) = self.line.first()
            && first.permits <= self.available
            && let Some((key, wanted)) = self.line.pop()
        {
            self.hand_out(key, wanted, effects);
        }
    }

    fn acquire(&mut self, key: Key, wanted: Wanted, may_wait: bool, effects: &mut Effects) {
        if wanted.permits > MAX_PERMITS {
            effects.finish(key, Answer::new(Status::OUT_OF_RANGE));
        } else if self.line.is_empty() && wanted.permits <= self.available {
            self.hand_out(key, wanted, effects);
        } else if may_wait {
            self.line.push(key, wanted);
            effects.wait(key);
        } else {
            effects.finish(key, Answer::new(Status::UNAVAILABLE));
        }
    }

    fn add(&mut self, permits: u64) -> Status {
        match self.total.checked_add(permits) {
            Some(total) if total <= MAX_PERMITS => {
                self.total = total;
                self.available += permits;
                Status::DONE
            }
            _ => Status::OUT_OF_RANGE,
        }
    }

    fn holders(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for holding in self.holders.values() {
            body.extend_from_slice(&holding.pid.to_le_bytes());
            body.extend_from_slice(&micros(holding.since).to_le_bytes());
            body.extend_from_slice(&holding.permits.to_le_bytes());
        }
        body
    }
}

impl Object for Semaphore {
    fn handle(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) -> Result<(), Violation> {
        let number = call.body.only_u64();
        let number = || number.ok_or(Violation("a number of permits is missing"));
        let pid = call.pid;
        match call.operation {
            Operation::ACQUIRE | Operation::TRY_ACQUIRE => {
                let permits = number()?;
                let may_wait = call.operation == Operation::ACQUIRE;
                self.acquire(key, Wanted { permits, pid }, may_wait, effects);
            }
            Operation::ADD_PERMITS => {
                let status = self.add(number()?);
                effects.finish(key, Answer::new(status));
                self.serve(effects);
            }
            Operation::AVAILABLE_PERMITS => {
                let body = self.available.to_le_bytes().to_vec();
                effects.finish(key, Answer::with(Status::DONE, body));
            }
            Operation::HOLDERS => {
                effects.finish(key, Answer::with(Status::DONE, self.holders()));
            }
            _ => effects.finish(key, Answer::new(Status::WRONG_KIND)),
        }
        Ok(())
    }

    fn leave(&mut self, key: Key, why: Leave, effects: &mut Effects) {
        if self.line.remove(key).is_some() {
            effects.end(key);
        } else if why != Leave::SocketEnded
            && let Some(holding) = self.holders.remove(&key)
        {
            self.available += holding.permits;
            effects.end(key);
        }
        self.serve(effects);
    }

    fn close(&mut self, effects: &mut Effects) {
        while let Some((key, _)) = self.line.pop() {
            effects.finish(key, Answer::new(Status::CLOSED));
        }
    }
}
