//! What the outside hears of the master: the service manager, the old master that
//! this one replaces, and who looks for its pid file or its control socket.
//!
//! 1. Before all its workers serve, a successor takes nothing from the old master:
//!    its files and its control socket are those of the old one till then.
//! 2. What a successor has taken that does not serve after all, this one takes back
//!    when that is gone, however it ended.
//! 3. The service manager may have gone, which is no reason to stop: no error in
//!    telling it counts.

use std::io;
use std::time::Duration;

use coreloop_runtime::task::spawn;
use coreloop_runtime::time::Instant;
use coreloop_sync::{CancellationToken, mpsc};

use super::Options;
use super::pid_file::PidFile;
use crate::sockets::Bound;
use crate::supervisor::control::{ControlSocket, Place};
use crate::supervisor::event::Event;
use crate::supervisor::notify::Notifier;
use crate::supervisor::request::Request;
use crate::supervisor::signals;
use crate::supervisor::upgrade::Inheritance;

#[derive(Debug)]
pub(super) struct Outside {
    notifier: Notifier,
    /// Until this master serves.
    inheritance: Option<Inheritance>,
    requests: mpsc::Sender<Request>,
    control: Option<Served>,
    pid_file: Option<PidFile>,
    alive_at: Option<Instant>,
    is_announced: bool,
    /// Whether the names of the sockets are for this master to remove.
    owns_names: bool,
}

/// A control socket that is served.
#[derive(Debug)]
struct Served {
    place: Place,
    replaced: CancellationToken,
}

impl Outside {
    pub(super) fn new(
        options: &Options,
        inheritance: Option<Inheritance>,
        requests: mpsc::Sender<Request>,
    ) -> io::Result<Outside> {
        // First of all: till then a signal ends the process.
        drop(spawn(signals::serve(requests.clone())?));
        let notifier = Notifier::from_env()?;
        let mut outside = Outside {
            alive_at: notifier.watchdog().map(|period| Instant::now() + period),
            notifier,
            owns_names: inheritance.is_none(),
            inheritance,
            requests,
            control: None,
            pid_file: None,
            is_announced: false,
        };
        if outside.inheritance.is_none() {
            if let Some(path) = &options.control {
                outside.serve(ControlSocket::bind(path)?)?;
            }
            outside.write_pid_file(options)?;
        }
        Ok(outside)
    }

    /// All workers serve; the first time, all who wait for that are told. Answers
    /// whether it is the first time.
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
        }
        self.is_announced = true;
        let _ = self.notifier.ready();
        Ok(true)
    }

    /// The master ends with an error, perhaps before it ever served.
    pub(super) fn failed(&self, error: &io::Error) {
        if let Some(inheritance) = &self.inheritance {
            inheritance.failed(error);
        }
    }

    pub(super) fn reloading(&self) {
        let _ = self.notifier.reloading();
    }

    pub(super) fn reloaded(&self) {
        if self.is_announced {
            let _ = self.notifier.ready();
        }
    }

    pub(super) fn status(&self, event: &Event) {
        let _ = self.notifier.status(&event.to_string());
    }

    pub(super) fn stopping(&self) {
        let _ = self.notifier.stopping();
    }

    /// Another master serves. Whatever is outside is its own from now on.
    pub(super) fn replaced(&mut self, by: u32) {
        self.owns_names = false;
        let _ = self.notifier.replaced(by);
    }

    /// A master that was to replace this one is gone. Takes back what that had taken.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        if let Some(served) = self.control.take_if(|served| !served.place.is_held()) {
            let taken = ControlSocket::bind(served.place.path());
            match taken.and_then(|socket| self.serve(socket)) {
                // Its clients stay with it; one of them may have asked for the upgrade.
                Ok(()) => served.replaced.cancel(),
                Err(error) => {
                    self.control = Some(served);
                    return Err(error);
                }
            }
        }
        self.pid_file.as_ref().map_or(Ok(()), PidFile::restore)
    }

    /// When the service manager wants to hear of the master, if it does.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.alive_at
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let period = self.notifier.watchdog().unwrap_or(Duration::MAX);
        if self.alive_at.is_some_and(|at| at <= now) {
            let _ = self.notifier.alive();
            self.alive_at = now.checked_add(period);
        }
    }

    /// Takes away what only this master was behind.
    pub(super) fn finish(self, bounds: &[Bound]) {
        if self.owns_names {
            for bound in bounds {
                // Another one may have been faster.
                let _ = bound.unlink();
            }
        }
    }

    /// Takes the names of the old master. What fails of it, that one takes back.
    fn take_over(&mut self, options: &Options) -> io::Result<()> {
        self.write_pid_file(options)?;
        match &options.control {
            Some(path) => self.serve(ControlSocket::take_over(path)?),
            None => Ok(()),
        }
    }

    fn serve(&mut self, socket: ControlSocket) -> io::Result<()> {
        let place = socket.place().clone();
        let replaced = CancellationToken::new();
        drop(spawn(
            socket.serve(self.requests.clone(), replaced.clone())?,
        ));
        self.control = Some(Served { place, replaced });
        Ok(())
    }

    fn write_pid_file(&mut self, options: &Options) -> io::Result<()> {
        let path = options.pid_file.as_deref();
        self.pid_file = path.map(PidFile::create).transpose()?;
        Ok(())
    }
}
