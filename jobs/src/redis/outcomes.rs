//! Waiting for the outcomes of jobs.
//!
//! The outcome of a job is a key, which ends after a day. A worker that has stored some publishes
//! their ids on the channel of the process that stored the jobs, so that this process needs one
//! subscription however many jobs it waits for, and nothing is published to the others. Messages
//! may be lost, so the keys are read after each new connection, and every few seconds too.
//! Polling alone would be late or costly, and a blocking command would need a connection for
//! each job, or have to be interrupted for each new one.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::spawn;
use coreloop_runtime::time::{Instant, timeout, timeout_at};
use coreloop_sync::{Notify, oneshot};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::failure::Failure;
use super::link::Pauses;
use super::names;
use super::reply;
use super::shared::Shared;
use super::silence::ANSWER;
use super::socket::Open;
use crate::engine::{JobId, Outcome};
use crate::error::{Error, Kind};

/// What the outcome of a job that is done begins with. The result follows.
pub(super) const DONE: &[u8] = b"+";

/// What the outcome of a dead letter begins with. The text of its error follows.
pub(super) const DEAD: &[u8] = b"-";

/// How often all outcomes that are waited for are read.
const LOOK: Duration = Duration::from_secs(5);

/// The same, if the user of the server may not subscribe to channels.
const POLL: Duration = Duration::from_millis(250);

/// How many outcomes are read at a time.
const MOST: usize = 256;

/// How long the connection is kept while nothing is waited for.
const UNUSED: Duration = Duration::from_secs(60);

type Answer = oneshot::Sender<Result<Outcome, Error>>;

/// The outcomes that are waited for.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    waiting: RefCell<HashMap<String, Vec<Answer>>>,
    /// The ids that were not looked at yet.
    new: RefCell<Vec<String>>,
    has_task: Cell<bool>,
    /// Notified when there are new ids, or this was closed.
    changed: Notify,
    is_closed: Cell<bool>,
}

/// The connection, which receives messages.
struct Watch {
    open: Open,
    messages: UnboundedReceiver<PushInfo>,
    producers: HashSet<String>,
    may_subscribe: bool,
    /// When all outcomes were read last.
    last_look: Instant,
}

impl Outcomes {
    /// Waits for the outcome of a job.
    ///
    /// Cancel safe: nothing is lost.
    pub(super) async fn wait(
        self: &Rc<Self>,
        shared: &Rc<Shared>,
        id: &JobId,
    ) -> Result<Outcome, Error> {
        let (sender, receiver) = oneshot::channel();
        self.waiting
            .borrow_mut()
            .entry(id.0.clone())
            .or_default()
            .push(sender);
        self.new.borrow_mut().push(id.0.clone());
        self.changed.notify_one();
        if !self.has_task.replace(true) {
            spawn(Rc::clone(self).run(Rc::clone(shared)));
        }
        let ended = || Error::new(Kind::Closed, "Redis: the wait for outcomes has ended");
        receiver.await.map_err(|_| ended())?
    }

    /// Ends the task.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.changed.notify_one();
    }

    /// The task that reads outcomes.
    async fn run(self: Rc<Self>, shared: Rc<Shared>) {
        let mut watch = None;
        let mut pauses = Pauses::new();
        while !self.is_closed.get() {
            if self.waiting.borrow().is_empty() {
                if timeout(UNUSED, self.changed.notified()).await.is_err() {
                    break;
                }
                continue;
            }
            match self.look(&shared, &mut watch).await {
                Ok(()) => pauses = Pauses::new(),
                Err(failure) => {
                    watch = None;
                    if !failure.is_passing() || pauses.are_over_patience() {
                        self.fail(&failure.into());
                    }
                    pauses.wait().await;
                }
            }
        }
        self.has_task.set(false);
    }

    /// Waits for new ids or messages, and reads the outcomes.
    async fn look(&self, shared: &Shared, watch: &mut Option<Watch>) -> Result<(), Failure> {
        if let Some(watch) = watch.as_mut().filter(|watch| !watch.open.has_ended()) {
            let mut ids = self.news(watch).await?;
            ids.retain(|id| self.waiting.borrow().contains_key(id));
            let new = std::mem::take(&mut *self.new.borrow_mut());
            watch.subscribe(shared, &new).await?;
            ids.extend(new);
            return self.read(shared, watch, &ids).await;
        }
        let (sender, messages) = unbounded_channel();
        let open = shared.address.open(Some(sender), ANSWER).await?;
        let connected = watch.insert(Watch {
            open,
            messages,
            producers: HashSet::new(),
            may_subscribe: true,
            last_look: Instant::now(),
        });
        self.new.borrow_mut().clear();
        let ids: Vec<String> = self.waiting.borrow().keys().cloned().collect();
        connected.subscribe(shared, &ids).await?;
        self.read(shared, connected, &ids).await
    }

    /// Waits until there are new ids, or until messages name jobs or time has passed. Returns the
    /// ids whose outcomes are to be read beside the new ones.
    async fn news(&self, watch: &mut Watch) -> Result<Vec<String>, Failure> {
        // The time comes first, and neither new ids nor messages put it off: they may come all
        // the time, while the message of another job was lost.
        if Instant::now() >= watch.next_look() {
            watch.last_look = Instant::now();
            self.forget_cancelled();
            return Ok(self.waiting.borrow().keys().cloned().collect());
        }
        if !self.new.borrow().is_empty() {
            return Ok(Vec::new());
        }
        let next_look = watch.next_look();
        let finished = next_finished(&mut watch.messages);
        let news = async {
            coreloop_runtime::select! {
                ids = finished => ids,
                () = self.changed.notified() => Some(Vec::new()),
            }
        };
        match timeout_at(next_look, news).await {
            Ok(Some(ids)) => Ok(ids),
            Ok(None) => Err(Failure::Connection(io::ErrorKind::BrokenPipe.into())),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// Reads the outcomes of these jobs, and answers the calls that wait for those that exist.
    async fn read(&self, shared: &Shared, watch: &Watch, ids: &[String]) -> Result<(), Failure> {
        for ids in ids.chunks(MOST) {
            let mut command = redis::cmd("MGET");
            for id in ids {
                command.arg(shared.names.result(id));
            }
            let answer = watch.open.send(&command, ANSWER).await?;
            let values = reply::array(answer).map_err(Failure::Other)?;
            for (id, value) in ids.iter().zip(values) {
                if let Some(bytes) = reply::bytes(value) {
                    self.answer(id, &decode(bytes));
                }
            }
        }
        Ok(())
    }

    fn answer(&self, id: &str, outcome: &Result<Outcome, Error>) {
        let answers = self.waiting.borrow_mut().remove(id);
        for answer in answers.into_iter().flatten() {
            // The call may have been cancelled.
            let _ = answer.send(outcome.clone());
        }
    }

    /// Reports a failure to all calls that wait.
    fn fail(&self, error: &Error) {
        self.new.borrow_mut().clear();
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for answer in waiting.into_values().flatten() {
            let _ = answer.send(Err(error.clone()));
        }
    }

    /// Forgets the calls that were cancelled.
    fn forget_cancelled(&self) {
        self.waiting.borrow_mut().retain(|_, answers| {
            answers.retain(|answer| !answer.is_closed());
            !answers.is_empty()
        });
    }
}

impl Watch {
    /// Returns when all outcomes are read again.
    fn next_look(&self) -> Instant {
        self.last_look + if self.may_subscribe { LOOK } else { POLL }
    }

    /// Subscribes to the channels on which the ends of these jobs are published.
    async fn subscribe(&mut self, shared: &Shared, ids: &[String]) -> Result<(), Failure> {
        for id in ids {
            let producer = names::producer(id);
            if !self.may_subscribe || self.producers.contains(producer) {
                continue;
            }
            match self.open.subscribe(&shared.names.channel(producer)).await {
                Ok(()) => drop(self.producers.insert(producer.to_owned())),
                Err(Failure::Server(_)) => self.may_subscribe = false,
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

/// Returns the ids of the jobs that messages name, or `None` if the connection has ended.
///
/// Cancel safe: no message is lost.
async fn next_finished(messages: &mut UnboundedReceiver<PushInfo>) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    let mut message = messages.recv().await?;
    loop {
        match message.kind {
            PushKind::Disconnection => return None,
            PushKind::Message => ids.extend(ids_of(message.data)),
            _ => {}
        }
        match messages.try_recv() {
            Ok(next) => message = next,
            Err(_) => return Some(ids),
        }
    }
}

fn ids_of(mut data: Vec<Value>) -> Vec<String> {
    let text = data.pop().and_then(|text| reply::text(text).ok());
    let text = text.unwrap_or_default();
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Reads an outcome as a script has stored it.
fn decode(mut bytes: Vec<u8>) -> Result<Outcome, Error> {
    if bytes.starts_with(DONE) {
        bytes.drain(..DONE.len());
        return Ok(Outcome::Done(bytes));
    }
    match bytes.strip_prefix(DEAD) {
        Some(error) => Ok(Outcome::Dead(String::from_utf8_lossy(error).into_owned())),
        None => Err(Error::new(
            Kind::Codec,
            "Redis: the outcome of the job is not of this program",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_of_another_program_is_an_error() {
        let done = decode(b"+\x01-".to_vec()).unwrap();
        assert_eq!(done, Outcome::Done(b"\x01-".to_vec()));
        let dead = decode(b"-no".to_vec()).unwrap();
        assert_eq!(dead, Outcome::Dead("no".to_owned()));
        assert!(decode(Vec::new()).unwrap_err().is_codec());
        assert!(decode(b"x".to_vec()).unwrap_err().is_codec());
    }
}
