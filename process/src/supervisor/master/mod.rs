//! [`Master`]: the loop that does what the [`Fleet`] decides, and tells it what
//! happened.
//!
//! 1. Nothing here waits but the loop itself, for happenings, requests and the
//!    fleet's next deadline. So it sleeps when nothing is due.
//! 2. Happenings are taken before time passes: a beat that came counts, however late
//!    it is read.
//! 3. The sockets are closed by nothing but the end of the master and `Close`.

mod acting;
mod memory;
mod output;
mod outside;
mod pid_file;
mod reap;
mod requests;
mod spawn;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::Runtime;
use coreloop_runtime::runtime::Builder;
use coreloop_runtime::task::{JoinHandle, JoinSet, spawn, yield_now};
use coreloop_runtime::time::{Instant, sleep_until, timeout};
use coreloop_sync::{mpsc, oneshot};
use fastrand::Rng;

use super::event::Event;
use super::fleet::{Fleet, Settings, WorkerId};
use super::program::Program;
use super::request::Request;
use super::upgrade::Inheritance;
use super::workers::{Kind, WorkerOutput};
use crate::channel::{Sender, SocketKind, ToMaster};
use crate::sockets::{Bound, Handshakes};
use crate::worker::Worker;
use memory::MEMORY_PERIOD;
use output::Sink;
use outside::Outside;
use reap::Killer;
use spawn::Launcher;
use watch::{Happening, Happenings};

/// How long the output of workers that have ended may still come.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// Peers that take longer for a handshake lose it when the socket is closed that
/// they began it with. It takes a round trip; one that is never finished, a minute.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(3);

/// Where to say what came of a request.
type Reply = oneshot::Sender<Result<(), String>>;

/// What the user has called for all that happens.
pub(super) type Hook = Box<dyn Fn(&Event)>;

/// What the builder gathered.
pub(super) struct Options {
    pub(super) program: Program,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) count: u32,
    pub(super) is_pinned: bool,
    pub(super) settings: Settings,
    pub(super) max_memory: Option<u64>,
    pub(super) control: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) output: WorkerOutput,
    pub(super) on_event: Option<Hook>,
    /// Of the workers.
    pub(super) runtime: fn() -> Builder,
}

/// Supervises until all workers have ended.
pub(super) fn run<F>(
    options: Options,
    bounds: Vec<Bound>,
    inheritance: Option<Inheritance>,
    function: F,
) -> io::Result<()>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    let runtime = Runtime::new()?;
    let result = runtime.block_on(async {
        let mut master = Master::new(options, bounds, inheritance, function)?;
        let result = master.serve().await;
        if let Err(error) = &result {
            master.outside.failed(error);
        }
        master.finish().await;
        result
    });
    // What is left are tasks that wait for requests.
    drop(runtime);
    result
}

struct Master<F> {
    options: Options,
    bounds: Vec<Bound>,
    launcher: Launcher<F>,
    fleet: Fleet,
    workers: HashMap<WorkerId, Hand>,
    /// The cores that this process may use.
    cores: Vec<u32>,
    started: Instant,
    happenings: mpsc::UnboundedReceiver<Happening>,
    happens: Happenings,
    requests: mpsc::Receiver<Request>,
    /// Who waits for which pass of a reload.
    reloads: Vec<(u64, Reply)>,
    scales: Vec<Reply>,
    memory_at: Option<Instant>,
    /// Those that were under way when connections were last steered away from slots.
    handshakes: Vec<Handshakes>,
    handshakes_until: Instant,
    outputs: JoinSet<io::Result<()>>,
    stdout: Option<Rc<Sink>>,
    stderr: Rc<Sink>,
    outside: Outside,
    /// The attempt at an upgrade that is under way, and who waits for it.
    upgrade: Option<(JoinHandle<()>, Reply)>,
}

/// What the master has of a worker that was started.
#[derive(Debug)]
struct Hand {
    slot: u32,
    pid: Option<u32>,
    started: Instant,
    sender: Sender,
    killer: Option<Killer>,
    /// What its function returned.
    failure: Option<String>,
    was_told_to_end: bool,
}

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    fn new(
        options: Options,
        mut bounds: Vec<Bound>,
        inheritance: Option<Inheritance>,
        function: F,
    ) -> io::Result<Master<F>> {
        // A successor begins with the slots of the old master: what it changed before it
        // serves would be lost if it never did.
        let held = inheritance.as_ref().and_then(|_| slots_of(&bounds));
        let count = held.unwrap_or(options.count);
        for bound in &mut bounds {
            bound.grow(count)?;
        }
        let program = options.program.clone();
        let launcher = Launcher::new(&options, program, function);
        let (happens, happenings) = mpsc::unbounded_channel();
        let (requests_in, requests) = mpsc::channel(16);
        let outside = Outside::new(&options, inheritance, requests_in)?;
        let is_prefixed =
            options.kind == Kind::Processes && options.output == WorkerOutput::Prefixed;
        let stdout = is_prefixed
            .then(|| Sink::new("stdout", io::stdout))
            .transpose()?;
        let now = Instant::now();
        let settings = options.settings.clone();
        let fleet = Fleet::new(settings, count, Rng::new(), now);
        Ok(Master {
            cores: if options.is_pinned {
                cores()
            } else {
                Vec::new()
            },
            memory_at: options.max_memory.map(|_| now + MEMORY_PERIOD),
            handshakes: Vec::new(),
            handshakes_until: now,
            launcher,
            fleet,
            workers: HashMap::new(),
            started: now,
            happenings,
            happens,
            requests,
            reloads: Vec::new(),
            scales: Vec::new(),
            outputs: JoinSet::new(),
            stdout,
            stderr: Sink::new("stderr", io::stderr)?,
            outside,
            upgrade: None,
            options,
            bounds,
        })
    }

    async fn serve(&mut self) -> io::Result<()> {
        for (index, bound) in self.bounds.iter().enumerate() {
            let address = bound.to_string();
            self.report(&Event::Listening { index, address });
        }
        loop {
            if let Some(result) = self.act() {
                return result.map_err(io::Error::other);
            }
            let deadline = self.fleet.next_deadline();
            let others = self.memory_at.into_iter().chain(self.outside.deadline());
            let deadline = others.chain(deadline).min();
            coreloop_runtime::select! {
                biased;
                Some(happening) = self.happenings.recv() => self.happened(happening),
                Some(request) = self.requests.recv() => self.requested(request),
                () = until(deadline) => {
                    // Invariant 2: whatever can be read is read.
                    yield_now().await;
                    while let Ok(happening) = self.happenings.try_recv() {
                        self.happened(happening);
                    }
                    self.look_at_memory();
                    let now = Instant::now();
                    self.outside.tick(now);
                    self.fleet.tick(now);
                }
            }
        }
    }

    fn happened(&mut self, happening: Happening) {
        let now = Instant::now();
        match happening {
            Happening::Said(id, message) => {
                self.said(id, message, now);
                if self.fleet.is_ready() {
                    match self.outside.announce(&self.options) {
                        Ok(true) => self.begin_with(self.options.count),
                        Ok(false) => {}
                        // What its workers have accepted is finished first.
                        Err(error) => {
                            self.outside.failed(&error);
                            self.fleet.fail(&error.to_string(), now);
                        }
                    }
                }
            }
            Happening::Ended(id, how) => self.ended(id, how, now),
            Happening::Upgraded(result) => self.upgraded(result),
        }
        // Those that are over.
        while self.outputs.try_join_next().is_some() {}
    }

    /// Goes on from the slots that an old master had.
    fn begin_with(&mut self, count: u32) {
        if self.fleet.target() != count {
            self.fleet.scale(count, Instant::now());
        }
    }

    fn said(&mut self, id: WorkerId, message: ToMaster, now: Instant) {
        let Some(hand) = self.workers.get_mut(&id) else {
            return;
        };
        match message {
            ToMaster::Ready => {
                let (slot, pid) = (hand.slot, hand.pid);
                let after = now.duration_since(hand.started);
                self.report(&Event::Ready { slot, pid, after });
                self.fleet.ready(id, now);
            }
            ToMaster::Beat => self.fleet.heard(id, now),
            ToMaster::Draining => self.fleet.draining(id, now),
            ToMaster::Failed { error } => hand.failure = Some(error),
        }
    }

    fn ended(&mut self, id: WorkerId, how: String, now: Instant) {
        let Some(hand) = self.workers.remove(&id) else {
            return;
        };
        let how = match hand.failure {
            Some(error) if error.starts_with("panicked") => error,
            Some(error) => format!("failed: {error}"),
            None => how,
        };
        self.fleet.ended(id, &how, now);
        self.report(&Event::Ended {
            slot: hand.slot,
            pid: hand.pid,
            how,
            expected: hand.was_told_to_end,
        });
    }

    fn report(&self, event: &Event) {
        if event.is_news() {
            let line = format!("[{} master] {event}\n", self.options.name);
            self.stderr.write(line.into_bytes());
        }
        if let Some(on_event) = &self.options.on_event {
            // The workers are not to end for it; the panic hook has said what it was.
            drop(catch_unwind(AssertUnwindSafe(|| on_event(event))));
        }
    }

    /// Lets go of everything in good order.
    async fn finish(mut self) {
        let rest = async { while self.outputs.join_next().await.is_some() {} };
        if timeout(LAST_OUTPUT, rest).await.is_err() {
            // A child of a worker keeps its pipe, perhaps for ever.
            self.outputs.abort_all();
            while self.outputs.join_next().await.is_some() {}
        }
        self.outside.finish(&self.bounds);
        for sink in self.stdout.into_iter().chain([self.stderr]) {
            if let Some(sink) = Rc::into_inner(sink) {
                sink.finish();
            }
        }
    }
}

impl<F> fmt::Debug for Master<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").finish_non_exhaustive()
    }
}

/// How many slots there are sockets for, if each slot has its own.
fn slots_of(bounds: &[Bound]) -> Option<u32> {
    let per_slot = |bound: &&Bound| matches!(bound.kind(), SocketKind::Tcp | SocketKind::Udp);
    let counts = bounds
        .iter()
        .filter(per_slot)
        .map(|bound| bound.sockets().count());
    counts.max().and_then(|count| u32::try_from(count).ok())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[cfg(target_os = "linux")]
fn cores() -> Vec<u32> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let Ok(allowed) = sched_getaffinity(None) else {
        return Vec::new();
    };
    let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    cores.filter_map(|core| u32::try_from(core).ok()).collect()
}

#[cfg(not(target_os = "linux"))]
fn cores() -> Vec<u32> {
    Vec::new()
}
