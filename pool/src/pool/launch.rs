//! Starting workers: this program again, with a socket as its standard input.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::rc::{Rc, Weak};
use std::time::Duration;

use coreloop_process::__pool::{Channel, Exit, program_at, same_program};
use coreloop_runtime::io::Async;
use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::sleep;
use rustix::io::ioctl_fionbio;

use super::connection::Connection;
use super::core::Core;
use super::link::Link;
use crate::dispatch::WorkerKey;
use crate::enter::{self, StartMode};
use crate::family;
use crate::frame::{Header, Kind, Ticket};
use crate::page::Page;
use crate::sys;
use crate::worker::hello::Hello;

/// The minimum wait before the next start when a process could not be started.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl Core {
    /// Starts the workers that are missing, now or when the policy allows it.
    pub(crate) fn start_missing(self: &Rc<Self>) {
        while self.dispatcher.borrow().missing() > 0 && !self.starts.is_scheduled.get() {
            if let Some(wait) = self.starts.wait() {
                self.start_after(wait);
                return;
            }
            if let Err(error) = self.launch() {
                self.failed_launch(&format!("a worker could not be started: {error}"));
                // With a wait, even if the policy has none, so that this loop ends.
                if self.dispatcher.borrow().missing() > 0 {
                    self.start_after(self.starts.wait().unwrap_or(SHORTEST_WAIT));
                }
                return;
            }
        }
    }

    fn start_after(self: &Rc<Self>, wait: Duration) {
        if self.starts.is_scheduled.replace(true) {
            return;
        }
        let mut next = NextStart(Rc::downgrade(self));
        spawn_hidden(async move {
            sleep(wait).await;
            if let Some(core) = mem::take(&mut next.0).upgrade() {
                core.starts.is_scheduled.set(false);
                core.start_missing();
            }
        });
    }

    /// Starts a worker.
    pub(crate) fn launch(self: &Rc<Self>) -> io::Result<Rc<Link>> {
        let number = self.starts.started.get() + 1;
        let (ours, theirs) = Channel::pair()?;
        let (side, their_side) = sys::stream_pair()?;
        let (page, descriptor) = Page::create()?;
        let name = self.options.worker_name(number);
        let exit = Exit::new(self.start_process(&name, theirs.into_socket())?);
        self.starts.started.set(number);
        // From here on, dropping the link ends the process.
        let link = Link::new(number, &name, exit, page);
        let hello = Hello {
            registry: self.registry.hash(),
            family: family::key(),
            master: std::process::id(),
            name,
            max_length: self.options.max_message,
            has_initializer: self.options.initializer.is_some(),
            is_single: self.options.is_single,
        };
        let stdout = io::stdout();
        let mut descriptors = vec![descriptor.as_fd(), their_side.as_fd()];
        if self.options.start != StartMode::Program {
            descriptors.push(stdout.as_fd());
        }
        ours.send(&hello, &descriptors)?;
        let socket = ours.into_socket();
        ioctl_fionbio(&socket, true)?;
        let socket = Async::from_nonblocking(socket)?;
        let mut connection = Connection::new(
            socket,
            Async::from_nonblocking(side)?,
            self.options.max_message,
        );
        if let Some(first) = &self.options.initializer {
            let header = Header {
                length: u32::try_from(first.body.len()).unwrap_or(u32::MAX),
                kind: Kind::Initialize,
                descriptors: first.attached.count(),
                function: first.function,
                ticket: Ticket::NONE,
                job: 0,
            };
            connection.push(header, &first.body, &first.attached);
        }
        let key = self.dispatcher.borrow_mut().add_worker(Rc::clone(&link));
        spawn_hidden(serve(Served {
            core: Rc::clone(self),
            key,
            link: Rc::clone(&link),
            connection,
            has_ended: false,
        }));
        Ok(link)
    }

    fn start_process(&self, name: &str, socket: OwnedFd) -> io::Result<Child> {
        let mut command = match &self.options.program {
            Some(path) => program_at(path),
            None => same_program()?,
        };
        command.arg0(name);
        if let StartMode::Test { arguments } = &self.options.start {
            // The worker gets its standard output with the first message. Until then the test
            // harness would write to it.
            command.args(arguments).stdout(Stdio::null());
        }
        enter::mark(&mut command, &socket)?;
        command.stdin(Stdio::from(socket)).spawn()
    }
}

/// The task of a worker.
async fn serve(mut served: Served) {
    let status = poll_fn(|cx| {
        let Served {
            core,
            key,
            link,
            connection,
            ..
        } = &mut served;
        connection.poll(cx, core, *key, link)
    })
    .await;
    let Served {
        core,
        key,
        link,
        connection,
        has_ended,
    } = &mut served;
    *has_ended = true;
    connection.drain(core, *key, link);
    // There is no status if other code has collected the process.
    core.ended(*key, link, status.ok());
}

/// The values of a worker's task. When the end of the runtime drops the task, this kills the
/// worker.
struct Served {
    core: Rc<Core>,
    key: WorkerKey,
    link: Rc<Link>,
    connection: Connection,
    /// The process has ended.
    has_ended: bool,
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.has_ended {
            self.link.kill();
            self.core.ended_with_runtime(self.key);
        }
    }
}

/// The pool of a task that waits until the next worker may be started. The task does not keep
/// the pool alive.
struct NextStart(Weak<Core>);

impl Drop for NextStart {
    fn drop(&mut self) {
        // The task has taken the pool out, unless the end of the runtime drops the task.
        if let Some(core) = self.0.upgrade() {
            core.runtime_ended();
        }
    }
}
