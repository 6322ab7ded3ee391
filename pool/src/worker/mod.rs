//! What runs in a worker: a loop that reads a frame, calls its function and writes the
//! result.
//!
//! # Invariants
//!
//! 1. A job is marked as started before its arguments are decoded, because a decoder may
//!    crash. If the master has revoked it, or used its slot for another job since, the mark
//!    fails and the frame is skipped.
//! 2. The result of a job is written before the next job is started, so that a result never
//!    waits for another job, and is not lost with it.
//! 3. Reading blocks: a worker that has no job does nothing.

mod calls;
pub(crate) mod hello;
mod output;
mod panic_hook;
mod setup;

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::process;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::frame::reader::Frames;
use crate::frame::{Header, Kind, Ticket, garbled, side};
use crate::ipc::broker::client::write_all_clients;
use crate::job::call::Encoding;
use crate::job::context::{self, Cancel, Context, Progress, Sink};
use crate::job::encoded::{Encoded, Input};
use crate::job::registry::Registry;
use crate::job::{call, worker_state};
use crate::page::Page;

use calls::Calls;
pub(crate) use calls::{MAX_TEXT, conclude};
use hello::Hello;
use output::{Output, Sockets};

/// The exit status of a worker that could not start.
const FAILED: i32 = 1;

/// Runs this process as a worker, until the master closes its end of the socket.
pub(crate) fn run() -> ! {
    let status = match Worker::start().and_then(Worker::serve) {
        Ok(()) => 0,
        // The master has ended, or has closed its end of the socket: the socket is reset if the
        // master had not read everything.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ) =>
        {
            0
        }
        Err(error) => {
            eprintln!("this process cannot be a worker of a pool: {error}");
            FAILED
        }
    };
    // The destructors of these values are user code, which `exit` does not run.
    crate::panics::caught(worker_state::clear);
    crate::panics::caught(call::drop_runtime);
    process::exit(status);
}

/// The worker that this process is.
struct Worker {
    sockets: Rc<Sockets>,
    frames: Frames<Header>,
    output: Output,
    page: Rc<Page>,
    calls: Calls,
    progress: Rc<dyn Sink>,
    has_initializer: bool,
    is_single: bool,
}

impl Worker {
    fn start() -> io::Result<Self> {
        let (sockets, begun, hello, page) = setup::connect()?;
        let sockets = Rc::new(sockets);
        let mut output = Output::new(Rc::clone(&sockets));
        let registry = Registry::of_program()?;
        if registry.hash() != hello.registry {
            let text = "this program registers other jobs than the program of the pool";
            output.send_text(Kind::InitializerFailed, Ticket::NONE, text)?;
            return Err(garbled(text));
        }
        panic_hook::install();
        let Hello {
            max_length,
            has_initializer,
            is_single,
            ..
        } = hello;
        Ok(Self {
            frames: Frames::starting_with(&begun, max_length),
            progress: Rc::new(ProgressSink {
                sockets: Rc::clone(&sockets),
                max_length,
            }),
            calls: Calls::new(registry, max_length),
            page: Rc::new(page),
            sockets,
            output,
            has_initializer,
            is_single,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let mut is_ready = !self.has_initializer;
        if is_ready {
            self.output.send_text(Kind::Ready, Ticket::NONE, "")?;
        }
        loop {
            while let Some((header, bytes)) = self.frames.next()? {
                let descriptors = side::take(self.sockets.side.as_fd(), header)?;
                let body = Input { bytes, descriptors };
                if !is_ready {
                    if let Err(text) = self.calls.initialize(header, body) {
                        return self
                            .output
                            .send_text(Kind::InitializerFailed, Ticket::NONE, &text);
                    }
                    is_ready = true;
                    self.output.send_text(Kind::Ready, Ticket::NONE, "")?;
                    continue;
                }
                let has_run = Job {
                    header,
                    body,
                    page: &self.page,
                    progress: &self.progress,
                }
                .run(&mut self.calls, &mut self.output)?;
                if has_run && self.is_single {
                    return Ok(());
                }
            }
            if self.frames.fill(&self.sockets.frames)? == 0 {
                return Ok(());
            }
        }
    }
}

/// A frame with a job.
struct Job<'a> {
    header: Header,
    body: Input<'a>,
    page: &'a Rc<Page>,
    progress: &'a Rc<dyn Sink>,
}

impl Job<'_> {
    /// Runs the job, unless it was revoked, and writes its result. Returns whether it ran.
    fn run(self, calls: &mut Calls, output: &mut Output) -> io::Result<bool> {
        let Header {
            ticket,
            job,
            kind,
            function,
            ..
        } = self.header;
        if !self.page.word(ticket.slot()).start(ticket.sequence()) {
            return Ok(false);
        }
        let (id, attempt) = Header::split_job(job);
        let context = Context {
            id,
            attempt,
            cancel: Cancel::Word {
                page: Rc::clone(self.page),
                ticket,
            },
            progress: Progress::Local(Rc::clone(self.progress)),
        };
        let frame = output.begin();
        let kind = context::enter(context, || match kind {
            Kind::Job => Ok(calls.call(function, Encoding::Local, self.body, frame)),
            #[cfg(feature = "portable")]
            Kind::Portable => Ok(calls.call(function, Encoding::Portable, self.body, frame)),
            Kind::Chunk => {
                let position = self.page.position(ticket.slot());
                let started = |items| position.store(items, Ordering::Release);
                calls.call_chunk(function, self.body, frame, started)
            }
            _ => Err(garbled("a frame that a worker does not expect")),
        })?;
        output.send(kind, ticket, job)?;
        // The loop of this thread is not driven before the next job.
        write_all_clients();
        Ok(true)
    }
}

/// Sends the progress of jobs.
struct ProgressSink {
    sockets: Rc<Sockets>,
    max_length: usize,
}

impl Sink for ProgressSink {
    fn send(&self, job: &Context, value: Encoded) -> io::Result<()> {
        let Cancel::Word { ticket, .. } = &job.cancel else {
            return Ok(());
        };
        if value.bytes.len() > self.max_length {
            let text = format!(
                "the progress has {} bytes, and the pool allows {}",
                value.bytes.len(),
                self.max_length
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let mut output = Output::new(Rc::clone(&self.sockets));
        let frame = output.begin();
        frame.bytes.extend_from_slice(&value.bytes);
        frame.descriptors = value.descriptors;
        output.send(Kind::Progress, *ticket, job.id)
    }
}
