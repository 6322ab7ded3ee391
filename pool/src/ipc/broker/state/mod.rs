//! [`State`], which decides what becomes of the requests of all clients. It does no I/O and has no
//! clock.
//!
//! ```text
//!            handle                      answer
//!  request ─────────> waits ──grant──> holds ─────────> finished
//!     │                 │ leave          │ leave          ^  ^
//!     │                 └────────────────┼────────────────┘  │
//!     └── finish at once ────────────────┴───────────────────┘
//! ```
//!
//! # Invariants
//!
//! 1. A request is named by its client and a number that the client chooses. It is open while it
//!    waits or holds something, and the record of its client lists exactly the open ones.
//! 2. Withdrawing a request ends it whatever has become of it. So a client that no longer waits
//!    withdraws its request and forgets it: if the grant is on its way, it is given back.
//! 3. What a request holds is released when the request is withdrawn, or when the *process* of
//!    its client has ended. The end of its socket only ends its waiting: the process may still be
//!    writing what the lock protects.
//!    A client whose connection has failed withdraws its requests over another connection of its
//!    process.
//! 4. The messages that a process had sent are handled before its end, so that a lock which was
//!    released counts as released. But a request that asks for something is dropped then.

mod barrier;
mod event;
mod line;
mod mutex;
mod semaphore;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use super::protocol::{Answer, Body, Operation, Status};
use crate::ipc::wire::rights::Descriptors;

pub(crate) use barrier::Barrier;
pub(crate) use event::Event;
pub(crate) use line::Line;
pub(crate) use mutex::Mutex;
pub(crate) use semaphore::Semaphore;

/// The number of a client.
pub(crate) type Client = u64;

/// The number of an object. Numbers are not used again.
pub(crate) type ObjectNumber = u64;

/// The client that is the broker's own thread.
pub(crate) const LOCAL: Client = 0;

/// The number that stands for no request: the operation has no answer.
pub(crate) const NO_REQUEST: u64 = 0;

/// The maximum number of open requests of a client in another process or thread.
pub(crate) const MAX_OPEN: usize = 1 << 16;

/// Names a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) client: Client,
    pub(crate) request: u64,
}

/// An operation on an object.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    pub(crate) body: Body<'a>,
    /// Those that the object does not take are closed.
    pub(crate) descriptors: Descriptors,
    /// The process of the client. [`State::request`] fills it in.
    pub(crate) pid: u32,
}

/// Why a request ends that was not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Its client withdraws it.
    Withdrawn,
    /// Its client withdraws it while it panics.
    Panicking,
    /// The socket of its client has ended. The request no longer waits, and keeps what it holds.
    SocketEnded,
    /// The process of its client has ended.
    Died,
}

/// An object of a broker.
///
/// An object reports what becomes of each request by one of the methods of [`Effects`].
pub(crate) trait Object {
    /// Handles an operation. The request of an operation without an answer is
    /// [`NO_REQUEST`], and effects for it are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if no client that works sends such a call. It ends the connection.
    fn handle(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) -> Result<(), Violation>;

    /// Handles the end of an open request. The request is reported as ended, unless the reason is
    /// [`Leave::SocketEnded`] and it holds something.
    fn leave(&mut self, key: Key, why: Leave, effects: &mut Effects);

    /// Finishes all requests that wait. The object is dropped after this.
    fn close(&mut self, effects: &mut Effects);
}

/// A client has sent something that no working client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) &'static str);

/// What a call of [`State`] has led to.
#[derive(Debug)]
pub(crate) struct Effects {
    /// The time of the call.
    pub(crate) now: SystemTime,
    changes: Vec<Change>,
    /// The answers to send, in order.
    pub(crate) answers: Vec<(Key, Answer)>,
    /// The clients whose sockets have ended, and which hold nothing any more.
    pub(crate) released: Vec<Client>,
}

#[derive(Debug)]
struct Change {
    key: Key,
    is_open: bool,
    answer: Option<Answer>,
}

impl Effects {
    pub(crate) fn at(now: SystemTime) -> Self {
        Self {
            now,
            changes: Vec::new(),
            answers: Vec::new(),
            released: Vec::new(),
        }
    }

    /// The request waits: it is open and has no answer yet.
    pub(crate) fn wait(&mut self, key: Key) {
        self.change(key, true, None);
    }

    /// The request gets an answer and stays open.
    pub(crate) fn grant(&mut self, key: Key, answer: Answer) {
        self.change(key, true, Some(answer));
    }

    /// The request gets its last answer.
    pub(crate) fn finish(&mut self, key: Key, answer: Answer) {
        self.change(key, false, Some(answer));
    }

    /// The request has ended without an answer.
    pub(crate) fn end(&mut self, key: Key) {
        self.change(key, false, None);
    }

    fn change(&mut self, key: Key, is_open: bool, answer: Option<Answer>) {
        self.changes.push(Change {
            key,
            is_open,
            answer,
        });
    }
}

/// All objects of a broker, and what its clients wait for and hold.
pub(crate) struct State {
    clients: HashMap<Client, ClientRecord>,
    objects: HashMap<ObjectNumber, Box<dyn Object>>,
    next_object: ObjectNumber,
}

struct ClientRecord {
    pid: u32,
    /// The socket has ended, and with it the wish for answers.
    is_gone: bool,
    /// The open requests, and the object of each, in the order of their numbers.
    open: BTreeMap<u64, ObjectNumber>,
}

impl ClientRecord {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            is_gone: false,
            open: BTreeMap::new(),
        }
    }
}

impl State {
    /// Creates the state of a broker in the process `pid`, whose thread is the client [`LOCAL`].
    pub(crate) fn new(pid: u32) -> Self {
        Self {
            clients: HashMap::from([(LOCAL, ClientRecord::new(pid))]),
            objects: HashMap::new(),
            next_object: 1,
        }
    }

    /// Returns the number of the object that is added next.
    pub(crate) fn next_object(&self) -> ObjectNumber {
        self.next_object
    }

    pub(crate) fn add_object(&mut self, object: Box<dyn Object>) -> ObjectNumber {
        let number = self.next_object;
        self.next_object += 1;
        self.objects.insert(number, object);
        number
    }

    /// Removes an object. The requests that wait for it are finished, and nothing is held any more.
    pub(crate) fn remove_object(&mut self, number: ObjectNumber, effects: &mut Effects) {
        if let Some(mut object) = self.objects.remove(&number) {
            object.close(effects);
            for (client, record) in &mut self.clients {
                record.open.retain(|_, object| *object != number);
                if record.is_gone && record.open.is_empty() {
                    effects.released.push(*client);
                }
            }
            // The requests are not listed any more, whatever the object has reported.
            self.apply(None, effects);
        }
    }

    pub(crate) fn add_client(&mut self, client: Client, pid: u32) {
        self.clients.insert(client, ClientRecord::new(pid));
    }

    /// Handles a request of a client.
    ///
    /// # Errors
    ///
    /// Returns an error if no client that works sends this. The caller ends the connection.
    pub(crate) fn request(
        &mut self,
        key: Key,
        number: ObjectNumber,
        mut call: Call<'_>,
        effects: &mut Effects,
    ) -> Result<(), Violation> {
        let Some(client) = self.clients.get(&key.client) else {
            return Ok(());
        };
        call.pid = client.pid;
        match call.operation {
            Operation::WITHDRAW => {
                self.leave(key, Leave::Withdrawn, effects);
                return Ok(());
            }
            Operation::WITHDRAW_PANICKING => {
                self.leave(key, Leave::Panicking, effects);
                return Ok(());
            }
            Operation::WITHDRAW_OF => {
                let (Some(other), Some(panicking)) = (call.body.u64(), call.body.u8()) else {
                    return Err(Violation("a withdrawal without its numbers"));
                };
                let why = match panicking {
                    0 => Leave::Withdrawn,
                    _ => Leave::Panicking,
                };
                self.leave_of(call.pid, other, key.request, why, effects);
                return Ok(());
            }
            _ => {}
        }
        if client.open.contains_key(&key.request) {
            return Err(Violation("the number of a request is used twice"));
        }
        if call.operation.asks() {
            // Invariant 4.
            if client.is_gone {
                return Ok(());
            }
            if key.request == NO_REQUEST {
                return Err(Violation("a request without a number"));
            }
            if client.open.len() >= MAX_OPEN && key.client != LOCAL {
                return Err(Violation("too many requests are open"));
            }
        }
        let Some(object) = self.objects.get_mut(&number) else {
            effects.finish(key, Answer::new(Status::CLOSED));
            self.apply(None, effects);
            return Ok(());
        };
        if call.operation == Operation::CLOSE {
            self.remove_object(number, effects);
            effects.finish(key, Answer::done());
            self.apply(None, effects);
            return Ok(());
        }
        let handled = object.handle(key, call, effects);
        self.apply(Some(number), effects);
        handled
    }

    /// Handles the end of a client's socket: it waits for nothing any more. Its process may still
    /// hold something.
    ///
    /// Also called when its process has ended. What the process had sent before can still be
    /// handled by [`request`](State::request), and then [`process_ended`](State::process_ended) is
    /// called.
    pub(crate) fn socket_ended(&mut self, client: Client, effects: &mut Effects) {
        if let Some(record) = self.clients.get_mut(&client) {
            record.is_gone = true;
            self.leave_all(client, Leave::SocketEnded, effects);
        }
    }

    /// Releases all that a client's process held, and removes the client.
    pub(crate) fn process_ended(&mut self, client: Client, effects: &mut Effects) {
        self.socket_ended(client, effects);
        self.leave_all(client, Leave::Died, effects);
        self.clients.remove(&client);
    }

    /// Removes a client that has no open requests.
    pub(crate) fn remove_client(&mut self, client: Client) {
        self.clients.remove(&client);
    }

    /// Returns whether a client waits for something or holds something.
    pub(crate) fn has_open(&self, client: Client) -> bool {
        let record = self.clients.get(&client);
        record.is_some_and(|record| !record.open.is_empty())
    }

    fn leave_all(&mut self, client: Client, why: Leave, effects: &mut Effects) {
        let Some(record) = self.clients.get(&client) else {
            return;
        };
        let open: Vec<u64> = record.open.keys().copied().collect();
        for request in open {
            self.leave(Key { client, request }, why, effects);
        }
    }

    /// Ends a request of another client, if that belongs to this process.
    fn leave_of(
        &mut self,
        pid: u32,
        client: Client,
        request: u64,
        why: Leave,
        effects: &mut Effects,
    ) {
        // What the broker's own thread holds is its own.
        let is_own = |record: &ClientRecord| record.pid == pid && client != LOCAL;
        if self.clients.get(&client).is_some_and(is_own) {
            self.leave(Key { client, request }, why, effects);
            let record = self.clients.get(&client);
            if record.is_some_and(|record| record.is_gone && record.open.is_empty()) {
                effects.released.push(client);
            }
        }
    }

    fn leave(&mut self, key: Key, why: Leave, effects: &mut Effects) {
        let Some(client) = self.clients.get_mut(&key.client) else {
            return;
        };
        let Some(&number) = client.open.get(&key.request) else {
            return;
        };
        if let Some(object) = self.objects.get_mut(&number) {
            object.leave(key, why, effects);
            self.apply(Some(number), effects);
        }
    }

    /// Carries out the changes that an object has reported. Invariant 1.
    fn apply(&mut self, number: Option<ObjectNumber>, effects: &mut Effects) {
        for change in effects.changes.drain(..) {
            let Change {
                key,
                is_open,
                answer,
            } = change;
            let Some(client) = self.clients.get_mut(&key.client) else {
                continue;
            };
            if let (true, Some(number)) = (is_open, number) {
                client.open.insert(key.request, number);
            } else {
                client.open.remove(&key.request);
            }
            if let Some(answer) = answer
                && !client.is_gone
                && key.request != NO_REQUEST
            {
                effects.answers.push((key, answer));
            }
        }
    }
}
