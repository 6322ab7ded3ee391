//! [`Link`], a connection for commands that do not block, which is opened again when it has
//! ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coreloop_runtime::time::sleep;
use coreloop_sync::Mutex;
use redis::{Cmd, Value};

use super::failure::Failure;
use super::script::{Call, Script};
use super::silence::ANSWER;
use super::socket::{Address, Open};
use super::warnings::Warnings;

/// How long an operation tries to reach a server that has ended or does not answer yet.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The first and the longest pause between two attempts to reach the server.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What may be done with a command whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It is sent again: the server may run it twice.
    Repeat,
    /// The caller gets an error, and decides.
    Report,
}

/// A connection for commands that do not block. Commands of several tasks are on their way at
/// the same time.
#[derive(Debug)]
pub(super) struct Link {
    address: Rc<Address>,
    /// What each new connection shows of the server.
    warnings: Rc<Warnings>,
    open: RefCell<Option<Rc<Open>>>,
    /// Held while the connection is opened, so that tasks do not open one each.
    opening: Mutex<()>,
    /// How long opening may take, for the shortest of the leases that depend on it.
    limit: Cell<Duration>,
}

impl Link {
    /// Connects once.
    pub(super) async fn connect(
        address: Rc<Address>,
        warnings: Rc<Warnings>,
    ) -> Result<Self, Failure> {
        let link = Self {
            address,
            warnings,
            open: RefCell::new(None),
            opening: Mutex::new(()),
            limit: Cell::new(ANSWER),
        };
        link.open_alone().await?;
        Ok(link)
    }

    /// Sends a command and waits for its answer.
    ///
    /// Not cancel safe: the server may run the command, and its answer is lost.
    pub(super) async fn send(&self, command: &Cmd, lost: Lost) -> Result<Value, Failure> {
        self.send_within(ANSWER, command, lost).await
    }

    /// Sends a command and waits for its answer, for as long as the server is not silent for
    /// `limit`.
    ///
    /// Not cancel safe: the server may run the command, and its answer is lost.
    pub(super) async fn send_within(
        &self,
        limit: Duration,
        command: &Cmd,
        lost: Lost,
    ) -> Result<Value, Failure> {
        self.answer(lost, async |open| open.send(command, limit).await)
            .await
    }

    /// Runs a script and returns its answer.
    ///
    /// Not cancel safe: the server may run the script, and its answer is lost.
    pub(super) async fn run(
        &self,
        script: &Script,
        call: &Call,
        lost: Lost,
    ) -> Result<Value, Failure> {
        let limit = call.limit();
        self.limit.set(self.limit.get().min(limit));
        self.answer(lost, async |open| run(open, script, call, limit).await)
            .await
    }

    async fn answer(
        &self,
        lost: Lost,
        ask: impl AsyncFn(&Open) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        let mut pauses = Pauses::new();
        loop {
            let open = self.opened(&mut pauses).await?;
            let failure = match ask(&open).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let again = match failure {
                Failure::Connection(_) => lost == Lost::Repeat,
                Failure::Busy(_) => true,
                _ => false,
            };
            if failure.is_passing() {
                // The next attempt looks the name of the server up again.
                self.forget(&open);
            }
            if !again || !pauses.pause().await {
                return Err(failure);
            }
        }
    }

    /// Returns the connection, and opens it if there is none.
    async fn opened(&self, pauses: &mut Pauses) -> Result<Rc<Open>, Failure> {
        loop {
            if let Some(open) = self.current() {
                return Ok(open);
            }
            let failure = match self.open_alone().await {
                Ok(open) => return Ok(open),
                Err(failure) => failure,
            };
            if !failure.is_passing() || !pauses.pause().await {
                return Err(failure);
            }
        }
    }

    /// Opens the connection, unless another task has done so meanwhile.
    async fn open_alone(&self) -> Result<Rc<Open>, Failure> {
        let _only = self.opening.lock().await;
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let limit = self.limit.get();
        let open = Rc::new(self.address.open(None, limit).await?);
        self.warnings.inspect(&open, limit).await?;
        let ended = self.open.replace(Some(Rc::clone(&open)));
        drop(ended);
        Ok(open)
    }

    fn current(&self) -> Option<Rc<Open>> {
        let open = self.open.borrow().as_ref().map(Rc::clone);
        open.filter(|open| !open.has_ended())
    }

    fn forget(&self, failed: &Rc<Open>) {
        let is_current = |open: &mut Rc<Open>| Rc::ptr_eq(open, failed);
        let forgotten = self.open.borrow_mut().take_if(is_current);
        drop(forgotten);
    }
}

/// Runs a script on a connection. If the server does not know it, the script is sent whole.
pub(super) async fn run(
    open: &Open,
    script: &Script,
    call: &Call,
    limit: Duration,
) -> Result<Value, Failure> {
    // The server is silent while a long call is on its way to it.
    let limit = limit + Duration::from_secs((call.bytes() >> 20) as u64);
    match open.send(&script.by_hash(call), limit).await {
        Err(Failure::NoScript) => open.send(&script.by_text(call), limit).await,
        answer => answer,
    }
}

/// The pauses between the attempts of one operation.
#[derive(Debug)]
pub(super) struct Pauses {
    since: Instant,
    next: Duration,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            next: PAUSES.0,
        }
    }

    /// Returns whether attempts have failed for so long that the caller should know.
    pub(super) fn are_over_patience(&self) -> bool {
        self.since.elapsed() >= PATIENCE
    }

    /// Waits before the next attempt. Returns `false` at once if there should not be one.
    pub(super) async fn pause(&mut self) -> bool {
        if self.are_over_patience() {
            return false;
        }
        self.wait().await;
        true
    }

    /// Waits before the next attempt, longer each time.
    pub(super) async fn wait(&mut self) {
        // Workers that have lost the same server should not come back together.
        sleep(self.next.mul_f64(0.5 + fastrand::f64())).await;
        self.next = (self.next * 2).min(PAUSES.1);
    }
}
