//! [`Master`], the loop that passes events to the [`Fleet`] and carries out its decisions.
//!
//! # Invariants
//!
//! 1. Only the loop in `serve` waits: for events, requests and the next deadline. So it
//!    sleeps when nothing is due.
//! 2. Events are handled before deadlines: a heartbeat that has come counts, however late
//!    it is read.
//! 3. Only the end of the master closes the sockets.

mod actions;
mod exposition;
mod external;
mod launcher;
mod master_event;
mod memory;
mod observation;
mod output;
mod pid_file;
mod reaper;
mod reopening;
mod replacing;
mod requests;

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use coreloop_runtime::__panics::caught;
use coreloop_runtime::Runtime;
use coreloop_runtime::runtime::Builder;
use coreloop_runtime::task::{JoinHandle, JoinSet, yield_now};
use coreloop_runtime::time::{Instant, sleep_until, timeout};
use coreloop_sync::{CancellationToken, DropGuard, mpsc, oneshot};
use fastrand::Rng;

use super::confinement::Confinement;
use super::event::Event;
use super::fleet::{Fleet, Settings, WorkerId};
use super::log::LogOptions;
use super::program::Program;
use super::replacement::ReplacementOptions;
use super::request::Request;
use super::upgrade::Inheritance;
use super::workers::{WorkerKind, WorkerOutput};
use crate::channel::{Sender, ToMaster};
use crate::sockets::{Handshakes, SocketGroup};
use crate::sys;
use crate::worker::Worker;
use external::{External, NewMaster};
use launcher::Launcher;
use master_event::{EventSender, MasterEvent};
use memory::MEMORY_PERIOD;
use observation::{Observation, Observed};
use output::Outputs;
use reaper::Killer;
use replacing::Replacing;

/// How long the master waits at its end for the output of workers that have ended.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// How long a handshake with a slot that is retired is waited for. A handshake takes a round
/// trip; one that is never completed would take a minute. A peer that takes longer may
/// lose its connection.
const MAX_HANDSHAKE: Duration = Duration::from_secs(3);

/// Where to send the result of a request.
type Reply = oneshot::Sender<Result<(), String>>;

/// The user's hook, which is called with each event.
pub(super) type EventHook = Box<dyn Fn(&Event)>;

/// The options that the builder has collected.
pub(super) struct Options {
    pub(super) program: Program,
    pub(super) name: String,
    /// Whether the master sets the title of its workers.
    pub(super) has_title: bool,
    pub(super) kind: WorkerKind,
    pub(super) count: u32,
    pub(super) is_pinned: bool,
    pub(super) settings: Settings,
    pub(super) max_memory: Option<u64>,
    pub(super) replacement: ReplacementOptions,
    pub(super) control: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) output: WorkerOutput,
    pub(super) log: LogOptions,
    pub(super) on_event: Option<EventHook>,
    /// The builder of the workers' runtimes.
    pub(super) runtime: fn() -> Builder,
    pub(super) confinement: Confinement,
    /// The socket at which the master serves its health and metrics.
    pub(super) observer: Option<SocketGroup>,
}

/// Runs the master until all workers have ended.
pub(super) fn run<F>(
    options: Options,
    mut groups: Vec<SocketGroup>,
    inheritance: Option<Inheritance>,
    function: F,
) -> io::Result<()>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    // A successor begins with the slots of the old master: connections to slots that it
    // added or retired before it serves would be lost if it never served.
    let held = inheritance
        .as_ref()
        .and_then(|_| groups.iter().filter_map(SocketGroup::slots).max());
    let count = held.unwrap_or(options.count);
    let confinement = &options.confinement;
    let has_processes = options.kind == WorkerKind::Processes;
    if let Err(error) = confinement.prepare_master(&mut groups, count, options.count, has_processes)
    {
        if let Some(inheritance) = &inheritance {
            inheritance.failed(&error);
        }
        return Err(error);
    }
    let runtime = Runtime::new()?;
    let result = runtime.block_on(async {
        let mut master = Master::new(options, groups, count, inheritance, function)?;
        let result = master.serve().await;
        if let Err(error) = &result {
            master.external.failed(error);
        }
        master.finish().await;
        result
    });
    // The tasks that are left wait for requests, and are dropped.
    drop(runtime);
    result
}

struct Master<F> {
    options: Options,
    groups: Vec<SocketGroup>,
    launcher: Launcher<F>,
    fleet: Fleet,
    workers: HashMap<WorkerId, WorkerHandle>,
    /// The cores that this process may use.
    cores: Vec<u32>,
    started: Instant,
    events: mpsc::UnboundedReceiver<MasterEvent>,
    event_sender: EventSender,
    requests: mpsc::Receiver<Request>,
    /// The requests to reload, each with the number of the pass that it waits for.
    reloads: Vec<(u64, Reply)>,
    scales: Vec<Reply>,
    replacing: Replacing,
    memory_at: Option<Instant>,
    /// The handshakes that were in progress when connections were last steered away from a
    /// slot.
    handshakes: Vec<Handshakes>,
    handshakes_until: Instant,
    outputs: Outputs,
    /// The tasks that read the pipes of workers.
    forwarding: JoinSet<io::Result<()>>,
    /// Cancelled when no more pipe is read.
    ends: CancellationToken,
    external: External,
    observation: Observation,
    /// The attempt at an upgrade that is in progress, and where to send its result.
    upgrade: Option<(JoinHandle<()>, Reply)>,
    /// Whether an old master has still to hand over. Until then, this one does not start a
    /// successor.
    has_predecessor: bool,
    /// The upgrade that waits for that.
    next_upgrade: Option<Reply>,
    /// What signals have requested during the attempt, for the master that is left.
    kept: Vec<Request>,
}

/// The master's handle to a worker that was started.
#[derive(Debug)]
struct WorkerHandle {
    slot: u32,
    pid: Option<u32>,
    started: Instant,
    sender: Sender,
    killer: Option<Killer>,
    /// The error that its function returned, or its panic.
    failure: Option<String>,
    drain_was_sent: bool,
    /// Whether a message of the worker has come. From then on it has handlers for signals.
    has_handlers: bool,
    /// Whether `USR1` has to be sent when the worker has handlers.
    has_to_reopen: bool,
    /// Dropped when the worker has ended: then its pipes are closed soon.
    _pipes: DropGuard,
    observed: Observed,
}

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    fn new(
        mut options: Options,
        groups: Vec<SocketGroup>,
        count: u32,
        inheritance: Option<Inheritance>,
        function: F,
    ) -> io::Result<Self> {
        let is_successor = inheritance.is_some();
        let program = options.program.clone();
        let launcher = Launcher::new(&options, program, function);
        let (event_sender, events) = mpsc::unbounded_channel();
        let (requests_in, requests) = mpsc::channel(16);
        let observer = options.observer.take();
        let external = External::new(
            &options,
            observer,
            inheritance,
            requests_in,
            event_sender.clone(),
        )?;
        let reads_workers =
            options.kind == WorkerKind::Processes && options.output == WorkerOutput::Prefixed;
        let log = std::mem::take(&mut options.log);
        let outputs = Outputs::open(log, &options.name, reads_workers)?;
        let now = Instant::now();
        let settings = options.settings.clone();
        let fleet = if is_successor {
            Fleet::succeeding(settings, count, Rng::new(), now)
        } else {
            Fleet::new(settings, count, Rng::new(), now)
        };
        Ok(Self {
            cores: if options.is_pinned {
                sys::allowed_cores()
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
            events,
            event_sender,
            requests,
            reloads: Vec::new(),
            scales: Vec::new(),
            replacing: Replacing::default(),
            outputs,
            forwarding: JoinSet::new(),
            ends: CancellationToken::new(),
            external,
            observation: Observation::new(),
            upgrade: None,
            has_predecessor: is_successor,
            next_upgrade: None,
            kept: Vec::new(),
            options,
            groups,
        })
    }

    async fn serve(&mut self) -> io::Result<()> {
        for group in &self.groups {
            let (index, address) = (group.number(), group.to_string());
            self.report(&Event::Listening { index, address });
        }
        loop {
            if let Some(error) = self.external.notify_error() {
                self.report(&Event::NotNotified { error });
            }
            if let Some(result) = self.run_actions() {
                return result.map_err(io::Error::other);
            }
            let deadline = self.fleet.next_deadline();
            let others = self.memory_at.into_iter().chain(self.external.deadline());
            let others = others.chain(self.observation.deadline());
            let deadline = others.chain(deadline).min();
            coreloop_runtime::select! {
                biased;
                Some(event) = self.events.recv() => {
                    self.woke(deadline);
                    self.handle_event(event);
                }
                Some(request) = self.requests.recv() => {
                    self.woke(deadline);
                    self.handle_request(request);
                }
                () = until(deadline) => {
                    self.woke(deadline);
                    // Invariant 2: all messages that can be read are read first.
                    yield_now().await;
                    while let Ok(event) = self.events.try_recv() {
                        self.handle_event(event);
                    }
                    self.check_memory();
                    let now = Instant::now();
                    self.external.tick(now);
                    self.tick_observation(now);
                    self.fleet.tick(now);
                }
            }
        }
    }

    /// Called when the loop runs again that wanted to run at `deadline`.
    fn woke(&mut self, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.fleet.woke(deadline, Instant::now());
        }
    }

    fn handle_event(&mut self, event: MasterEvent) {
        let now = Instant::now();
        match event {
            MasterEvent::Received(id, message) => {
                self.received(id, message, now);
                if self.fleet.is_ready() {
                    match self.external.announce(&self.options) {
                        Ok(true) => self.fleet.take_over(self.options.count, now),
                        Ok(false) => {}
                        // Not returned at once: the workers finish what they have accepted.
                        Err(error) => {
                            self.external.failed(&error);
                            self.fleet.fail(&error.to_string(), now);
                        }
                    }
                }
            }
            MasterEvent::Ended(id, how) => self.worker_ended(id, how, now),
            MasterEvent::Upgraded(result) => self.upgraded(result),
            MasterEvent::Acknowledged(result) => self.acknowledged(result, now),
            MasterEvent::Reopened(result, reply) => self.reopened(result, reply),
            MasterEvent::Checked(id, result) => self.checked(id, result, now),
        }
        // Removes the forwarding tasks that have finished.
        while self.forwarding.try_join_next().is_some() {}
    }

    fn received(&mut self, id: WorkerId, message: ToMaster, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.signal_if_due();
        match message {
            ToMaster::Ready => {
                worker.observed.serves = true;
                let (slot, pid) = (worker.slot, worker.pid);
                let after = now.duration_since(worker.started);
                self.report(&Event::Ready { slot, pid, after });
                self.fleet.on_ready(id, now);
            }
            ToMaster::Heartbeat(report) => {
                self.reported(id, *report, false, now);
                self.fleet.message_received(id, now);
            }
            ToMaster::Report(report) => {
                self.reported(id, *report, true, now);
                self.fleet.message_received(id, now);
            }
            ToMaster::Metrics(changes) => self.observation.totals.apply(Some(id), changes),
            ToMaster::Retire => self.fleet.on_retire(id, now),
            ToMaster::Draining => self.fleet.on_draining(id, now),
            ToMaster::Failed { error } => worker.failure = Some(error),
        }
    }

    fn worker_ended(&mut self, id: WorkerId, how: String, now: Instant) {
        let Some(worker) = self.workers.remove(&id) else {
            return;
        };
        let how = match &worker.failure {
            Some(error) if error.starts_with("panicked") => error.clone(),
            Some(error) => format!("failed: {error}"),
            None => how,
        };
        self.observe_end(id, &worker, &how, now);
        self.fleet.on_ended(id, &how, now);
        self.report(&Event::Ended {
            slot: worker.slot,
            pid: worker.pid,
            how,
            expected: worker.drain_was_sent,
        });
    }

    fn report(&self, event: &Event) {
        self.outputs.report(event);
        if let Some(on_event) = &self.options.on_event {
            // A panic of the hook must not end the workers. The panic hook has reported it.
            caught(|| on_event(event));
        }
    }

    /// Ends the master: answers the requests that are left, waits for the last output, and
    /// removes its files.
    async fn finish(mut self) {
        // A dropped request is answered by its client's task.
        self.reloads.clear();
        self.scales.clear();
        self.kept.clear();
        self.next_upgrade = None;
        self.replacing = Replacing::default();
        if let Some((attempt, _reply)) = self.upgrade.take() {
            attempt.abort();
        }
        let successor = self.external.successor();
        let (external, forwarding) = (&mut self.external, &mut self.forwarding);
        let rest = async {
            external.answer_clients().await;
            let forwarded = async { while forwarding.join_next().await.is_some() {} };
            if timeout(OUTPUT_GRACE, forwarded).await.is_err() {
                // A child of a worker holds its pipe open, perhaps for ever.
                self.ends.cancel();
                while forwarding.join_next().await.is_some() {}
            }
        };
        let signals = async {
            while let Some(request) = self.requests.recv().await {
                pass_on(&request, successor);
            }
            pending::<()>().await;
        };
        coreloop_runtime::select! {
            () = signals => {}
            () = rest => {}
        }
        self.external.finish(&self.groups);
        self.outputs.finish();
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            pass_on(&request, successor);
        }
    }
}

/// Passes a signal on that has come too late for this master. Other requests are answered when
/// they are dropped.
fn pass_on(request: &Request, successor: NewMaster) {
    if let Request::Signalled(number, _) = request {
        successor.pass_on(*number);
    }
}

impl<F> fmt::Debug for Master<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").finish_non_exhaustive()
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
