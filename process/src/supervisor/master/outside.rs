//! What the outside hears of the master: the service manager, the old master that
//! this one replaces, and who looks for its pid file or its control socket.
//!
//! 1. Before all its workers serve, a successor takes nothing from the old master:
//!    its files and its control socket are those of the old one till then.
//! 2. The service manager may have gone, which is no reason to stop: no error in
//!    telling it counts.

use std::io;
use std::time::Duration;

use coreloop_runtime::task::spawn;
use coreloop_runtime::time::Instant;
use coreloop_sync::mpsc;

use super::Options;
use super::pid_file::PidFile;
use crate::sockets::Bound;
use crate::supervisor::control::ControlSocket;
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
    pid_file: Option<PidFile>,
    alive_at: Option<Instant>,
    is_announced: bool,
    is_replaced: bool,
}

impl Outside {
    pub(super) fn new(
        options: &Options,
        inheritance: Option<Inheritance>,
        requests: mpsc::Sender<Request>,
    ) -> io::Result<Outside> {
        drop(spawn(signals::serve(requests.clone())));
        let notifier = Notifier::from_env()?;
        let mut outside = Outside {
            alive_at: notifier.watchdog().map(|period| Instant::now() + period),
            notifier,
            inheritance,
            requests,
            pid_file: None,
            is_announced: false,
            is_replaced: false,
        };
        if outside.inheritance.is_none() {
            if let Some(path) = &options.control {
                outside.serve(ControlSocket::bind(path)?);
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
        if self.inheritance.is_some() {
            if let Some(path) = &options.control {
                let socket = ControlSocket::take_over(path)?;
                self.serve(socket);
            }
            self.write_pid_file(options)?;
        }
        if let Some(inheritance) = self.inheritance.take() {
            inheritance.ready()?;
        }
        self.is_announced = true;
        let _ = self.notifier.ready();
        Ok(true)
    }

    /// The master ends with an error, perhaps before it ever served.
    pub(super) fn failed(&mut self, error: &io::Error) {
        if let Some(inheritance) = self.inheritance.take() {
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
        self.is_replaced = true;
        let _ = self.notifier.replaced(by);
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
        if !self.is_replaced {
            for bound in bounds {
                // Another one may have been faster.
                let _ = bound.unlink();
            }
        }
    }

    fn serve(&self, socket: ControlSocket) {
        drop(spawn(socket.serve(self.requests.clone())));
    }

    fn write_pid_file(&mut self, options: &Options) -> io::Result<()> {
        self.pid_file = options.pid_file.clone().map(PidFile::create).transpose()?;
        Ok(())
    }
}
