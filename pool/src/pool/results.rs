//! Handling the frames of a worker: results, progress, and the reports of its start.

use std::io;
use std::rc::Rc;

use coreloop_runtime::time::Instant;
use coreloop_sync::watch;

use super::core::{Core, Phase, discard};
use super::job::FrameContext;
use super::link::Link;
use crate::dispatch::WorkerKey;
use crate::error::ErrorKind;
use crate::frame::{Header, Kind, garbled};
use crate::job::encoded::Input;

impl Core {
    /// Handles a frame of a worker. Returns whether it is the result of a job.
    ///
    /// # Errors
    ///
    /// Returns an error if a worker of this program does not send such a frame.
    pub(crate) fn received(
        self: &Rc<Self>,
        worker: WorkerKey,
        link: &Rc<Link>,
        header: Header,
        body: Input<'_>,
    ) -> io::Result<bool> {
        match header.kind {
            Kind::Ready if link.ready_at.get().is_none() => self.ready(worker, link),
            Kind::InitializerFailed if link.ready_at.get().is_none() => {
                let text = String::from_utf8_lossy(body.bytes).into_owned();
                *link.failure.borrow_mut() = Some(text);
            }
            Kind::Progress => self.progress(worker, header, body)?,
            Kind::Done | Kind::ChunkDone | Kind::Panicked | Kind::Codec | Kind::Returned => {
                self.finished(worker, link, header, body)?;
                return Ok(true);
            }
            _ => return Err(garbled("an unexpected frame")),
        }
        Ok(false)
    }

    pub(super) fn ready(&self, worker: WorkerKey, link: &Link) {
        link.ready_at.set(Some(Instant::now()));
        self.starts.ready();
        self.dispatcher.borrow_mut().ready(worker);
        self.wake_workers();
        self.notify();
    }

    pub(super) fn progress(
        &self,
        worker: WorkerKey,
        header: Header,
        body: Input<'_>,
    ) -> io::Result<()> {
        let mut dispatcher = self.dispatcher.borrow_mut();
        let (_, job) = dispatcher
            .by_ticket(worker, header.ticket)
            .ok_or_else(|| garbled("the progress of a job that it does not have"))?;
        let sender = job
            .progress
            .get_or_insert_with(|| watch::Sender::new(None))
            .clone();
        drop(dispatcher);
        // Wakes the tasks that wait for it.
        crate::panics::caught(|| drop(sender.send_replace(Some(Rc::new(body.into())))));
        Ok(())
    }

    pub(super) fn finished(
        self: &Rc<Self>,
        worker: WorkerKey,
        link: &Link,
        header: Header,
        body: Input<'_>,
    ) -> io::Result<()> {
        let finished = self
            .dispatcher
            .borrow_mut()
            .finish(worker, header.ticket)
            .ok_or_else(|| garbled("the result of a job that it does not have"))?;
        link.done.set(link.done.get() + 1);
        let mut job = finished.payload;
        // The result of a chunk is a frame of this kind, and the result of a call is none.
        let is_valid = (job.kind == Kind::Chunk) == (header.kind == Kind::ChunkDone)
            && (job.kind == Kind::Portable || header.kind != Kind::Returned);
        let name = self.registered(job.function).name();
        let context = FrameContext {
            name,
            worker: Some(link.pid),
            attempt: finished.attempt,
        };
        if let Some(completion) = job.completion.take() {
            let counter = match header.kind {
                Kind::Done | Kind::ChunkDone | Kind::Returned => &self.counters.done,
                _ => &self.counters.failed,
            };
            counter.set(counter.get() + 1);
            let broken = ErrorKind::BrokenWorker(None);
            crate::panics::caught(|| match is_valid {
                true => completion.received(header.kind, body, &context),
                false => completion.failed(context.error(broken)),
            });
        }
        discard(job);
        self.after_job(worker, link);
        if is_valid {
            Ok(())
        } else {
            Err(garbled("a result of the wrong kind"))
        }
    }

    /// Follows up on a job that has left the dispatcher: kills, retires or ends its worker, or
    /// ends the pool, if that is due.
    pub(super) fn after_job(self: &Rc<Self>, worker: WorkerKey, link: &Link) {
        self.kill_if_unwanted(worker, link);
        self.check_memory_after_job(worker, link);
        self.end_if_drained(worker);
        if self.phase.get() > Phase::Open {
            self.notify();
            self.end_if_idle();
        }
    }
}
