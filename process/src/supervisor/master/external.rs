//! [`External`], what other processes see of the master: its messages to the service manager
//! and to the old master that it replaces, its pid file and its control socket.
//!
//! # Invariants
//!
//! 1. A successor takes over the pid file and the control socket of the old master only
//!    when all its workers serve.
//! 2. If a successor has taken them over and then does not serve, this master takes them
//!    back once the successor has ended, however it ended.
//! 3. The service manager may have ended, which is no reason to stop: the first error in sending
//!    to it is reported, and all others are ignored.

use std::env;
use std::ffi::c_int;
use std::io;
use std::time::Duration;

use coreloop_runtime::join;
use coreloop_runtime::task::{JoinSet, spawn};
use coreloop_runtime::time::{Instant, timeout};
use coreloop_sync::{CancellationToken, mpsc};
use rustix::process::{Pid, Signal, kill_process};

use super::Options;
use super::master_event::{EventSender, MasterEvent};
use super::pid_file::PidFile;
use crate::environment::SUCCESSOR;
use crate::sockets::SocketGroup;
use crate::supervisor::control::{ControlSocket, ControlSocketFile};
use crate::supervisor::event::Event;
use crate::supervisor::http::Observer;
use crate::supervisor::init;
use crate::supervisor::notify::Notifier;
use crate::supervisor::request::Request;
use crate::supervisor::signals;
use crate::supervisor::upgrade::Inheritance;

/// How long the master waits at its end for the clients of the control socket to take their
/// answers.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct External {
    notifier: Notifier,
    /// The sockets and the channel of the old master, until this master serves.
    inheritance: Option<Inheritance>,
    /// Receives an event when the old master has handed everything over.
    events: EventSender,
    /// The process id of the old master.
    predecessor: Option<String>,
    requests: mpsc::Sender<Request>,
    control: Option<ServedControl>,
    /// Each serves a control socket: this one, or one that was replaced.
    controls: JoinSet<io::Result<()>>,
    /// Cancelled when the master ends.
    ending: CancellationToken,
    pid_file: Option<PidFile>,
    observer: Option<Observer>,
    alive_at: Option<Instant>,
    is_announced: bool,
    successor: NewMaster,
    /// Whether this master has to remove the files of its Unix sockets.
    owns_names: bool,
}

/// The new master, if there is one. This process has started it and does not reap it, so its id
/// stays valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewMaster(Option<Pid>);

/// A control socket that is served.
#[derive(Debug)]
struct ServedControl {
    file: ControlSocketFile,
    replaced: CancellationToken,
}

impl NewMaster {
    /// Passes a signal on, if process 1 has sent it: until the old master has ended, process 1
    /// knows no other. Returns whether the new master gets the signal.
    pub(super) fn pass_on(self, number: c_int) -> bool {
        let Some(signal) = Signal::from_named_raw(number) else {
            return false;
        };
        if self.0.is_none() || !init::is_parent() {
            return false;
        }
        // A terminal has sent its signals to both.
        if !(matches!(signal, Signal::INT | Signal::QUIT) && init::is_in_foreground()) {
            self.signal(signal);
        }
        true
    }

    /// Sends a signal to the new master, if there is one.
    pub(super) fn signal(self, signal: Signal) {
        if let Self(Some(pid)) = self {
            // This fails if it has just ended.
            let _ = kill_process(pid, signal);
        }
    }
}

impl External {
    pub(super) fn new(
        options: &Options,
        observer: Option<SocketGroup>,
        inheritance: Option<Inheritance>,
        requests: mpsc::Sender<Request>,
        events: EventSender,
    ) -> io::Result<Self> {
        // First, because until then a signal ends the process.
        let signals = signals::serve(requests.clone(), init::may_be_parent())?;
        drop(spawn(signals));
        signals::keep_statuses()?;
        let notifier = Notifier::from_env();
        // The old master is the service's main process, and sends the messages.
        notifier.mute(inheritance.is_some());
        let mut external = Self {
            alive_at: None,
            notifier,
            owns_names: inheritance.is_none(),
            predecessor: inheritance.as_ref().and_then(|_| env::var(SUCCESSOR).ok()),
            inheritance,
            events,
            requests,
            control: None,
            controls: JoinSet::new(),
            ending: CancellationToken::new(),
            pid_file: None,
            observer: observer.map(Observer::new),
            is_announced: false,
            successor: NewMaster(None),
        };
        external.expect_message(Instant::now());
        if external.inheritance.is_none() {
            if let Some(path) = &options.control {
                external.serve(ControlSocket::bind(path)?)?;
            }
            external.write_pid_file(options)?;
            external.start_observer()?;
        }
        Ok(external)
    }

    /// Called when all workers serve. The first call notifies the old master or, if there is none,
    /// the service manager, and returns `true`.
    pub(super) fn announce(&mut self, options: &Options) -> io::Result<bool> {
        if self.is_announced {
            return Ok(false);
        }
        if let Some(inheritance) = self.inheritance.take() {
            let taken = inheritance.check().and_then(|()| self.take_over(options));
            if let Err(error) = taken.and_then(|()| inheritance.ready()) {
                self.inheritance = Some(inheritance);
                return Err(error);
            }
            self.owns_names = true;
            self.watch_predecessor(inheritance);
        } else {
            self.notifier.ready();
        }
        self.is_announced = true;
        Ok(true)
    }

    /// Called when the old master has reported to the service manager that this process is the
    /// service's main process, serves, and lives.
    pub(super) fn acknowledged(&mut self, now: Instant) {
        self.notifier.mute(false);
        self.expect_message(now);
    }

    /// Sends [`MasterEvent::Acknowledged`] when the old master has handed everything over.
    fn watch_predecessor(&self, inheritance: Inheritance) {
        let events = self.events.clone();
        drop(spawn(async move {
            let result = inheritance.acknowledged().await;
            let result = result.map_err(|error| error.to_string());
            drop(events.send(MasterEvent::Acknowledged(result)));
        }));
    }

    /// Returns whether all workers have served at once before.
    pub(super) fn is_announced(&self) -> bool {
        self.is_announced
    }

    /// Reports to the old master, if this one has not served yet, that this one fails.
    pub(super) fn failed(&self, error: &io::Error) {
        if let Some(inheritance) = &self.inheritance {
            inheritance.failed(error);
        }
    }

    pub(super) fn reloading(&self) {
        self.notifier.reloading();
    }

    pub(super) fn reloaded(&self) {
        if self.is_announced {
            self.notifier.ready();
        }
    }

    pub(super) fn status(&self, event: &Event) {
        self.notifier.status(&event.to_string());
    }

    pub(super) fn stopping(&self) {
        self.notifier.stopping();
    }

    /// Called when a successor with this process id serves. The files belong to it from now
    /// on.
    pub(super) fn upgraded_to(&mut self, pid: u32) {
        self.owns_names = false;
        self.successor = NewMaster(i32::try_from(pid).ok().and_then(Pid::from_raw));
        if let Some(observer) = &mut self.observer {
            observer.replaced();
        }
        self.notifier.replaced(pid);
        self.notifier.mute(true);
    }

    /// Returns the successor that serves, if there is one.
    pub(super) fn successor(&self) -> NewMaster {
        self.successor
    }

    /// Returns why the service manager could not be notified, once.
    pub(super) fn notify_error(&self) -> Option<String> {
        self.notifier.take_error()
    }

    /// Returns the socket that a successor has to take over beside the workers' sockets.
    pub(super) fn observer(&self) -> Option<&SocketGroup> {
        self.observer.as_ref().map(Observer::group)
    }

    /// Called when an attempt at an upgrade has failed. Takes back the files that the new
    /// master had taken over.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        if let Some(served) = self.control.take_if(|served| !served.file.is_held()) {
            let taken = ControlSocket::bind(served.file.path());
            match taken.and_then(|socket| self.serve(socket)) {
                // The old socket still serves its clients, of which one may have requested the
                // upgrade.
                Ok(()) => served.replaced.cancel(),
                Err(error) => {
                    self.control = Some(served);
                    return Err(error);
                }
            }
        }
        self.pid_file.as_mut().map_or(Ok(()), PidFile::restore)
    }

    /// Returns when the service manager expects the next message, if it expects any.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.alive_at
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if self.alive_at.is_some_and(|at| at <= now) {
            self.notifier.alive();
            self.expect_message(now);
        }
    }

    /// Sets when the service manager expects the next message.
    fn expect_message(&mut self, now: Instant) {
        let period = self.notifier.watchdog();
        self.alive_at = period.and_then(|period| now.checked_add(period));
    }

    /// Answers the clients of the control socket and of HTTP that are connected. Their requests
    /// must have been dropped.
    pub(super) async fn answer_clients(&mut self) {
        self.ending.cancel();
        let (controls, observer) = (&mut self.controls, &mut self.observer);
        let of_control = async { while controls.join_next().await.is_some() {} };
        let of_http = async {
            if let Some(observer) = observer {
                observer.finish().await;
            }
        };
        let answered = async { join!(of_control, of_http) };
        // A client that does not read must not delay the end.
        let _ = timeout(ANSWER_GRACE, answered).await;
    }

    /// Removes the files of the Unix sockets, if they belong to this master.
    pub(super) fn finish(self, groups: &[SocketGroup]) {
        if self.owns_names {
            for group in groups {
                // Another process may have removed it.
                let _ = group.unlink();
            }
        }
    }

    /// Takes over the pid file and the control socket of the old master. If this fails, the
    /// old master takes them back.
    fn take_over(&mut self, options: &Options) -> io::Result<()> {
        self.write_pid_file(options)?;
        // The old master answers too until it learns of this one.
        self.start_observer()?;
        match &options.control {
            Some(path) => self.serve(ControlSocket::take_over(path)?),
            None => Ok(()),
        }
    }

    fn serve(&mut self, socket: ControlSocket) -> io::Result<()> {
        let file = socket.file().clone();
        let replaced = CancellationToken::new();
        let serving = socket.serve(self.requests.clone(), replaced.clone(), self.ending.clone())?;
        while self.controls.try_join_next().is_some() {}
        self.controls.spawn(serving);
        self.control = Some(ServedControl { file, replaced });
        Ok(())
    }

    fn start_observer(&mut self) -> io::Result<()> {
        match &mut self.observer {
            Some(observer) => observer.start(&self.requests),
            None => Ok(()),
        }
    }

    fn write_pid_file(&mut self, options: &Options) -> io::Result<()> {
        let predecessor = self.predecessor.as_deref();
        let path = options.pid_file.as_deref();
        let create = |path| PidFile::create(path, predecessor);
        self.pid_file = path.map(create).transpose()?;
        Ok(())
    }
}
