//! The methods by which a [`Supervisor`] is made visible to other programs: the address at
//! which it serves its health and its metrics, and the time that a load balancer has to notice
//! that it stops.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::Supervisor;
use crate::channel::SocketKind;
use crate::sockets::{SocketGroup, SocketOptions};

/// Begins the name of the socket in a hand-over. No address that is bound for workers has a
/// space.
const NAME: &str = "observe ";

impl Supervisor {
    /// Serves the health and the metrics of the program over HTTP at an address that displays
    /// as "host:port". The master answers:
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/metrics` | the metrics, as [`Control::metrics`](crate::Control::metrics) returns them: in the format of OpenMetrics if the client accepts it, else in the text format 0.0.4 of Prometheus |
    /// | `/livez` | 200 if the master's loop turns, as [`Control::live`](crate::Control::live) |
    /// | `/readyz` | 200 if new connections should come here, else 503 with the reason, as [`Control::ready`](crate::Control::ready) |
    ///
    /// Everyone who can connect can read them, without a password, so the address should be one
    /// of this machine or of a network for operators, such as "127.0.0.1:9100". No request
    /// changes anything. At most 32 clients are served at once: a further one takes the place of
    /// the one that the master has waited for the longest, to send its request, to read the answer
    /// or to close the connection. A request may have 8 KiB and has to come within 5 seconds; each
    /// connection is for one request.
    ///
    /// The address is kept over an [upgrade](crate::Control::upgrade): the new master answers
    /// from the moment that it serves, and no connection is refused.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound. Never in a worker, which binds
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use coreloop::process::Supervisor;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .bind("0.0.0.0:7777")?
    ///     .observe("127.0.0.1:9100")?
    ///     .drain_delay(Duration::from_secs(5))
    /// #   .run(async |_worker| Ok(()))
    /// # }
    /// ```
    pub fn observe(mut self, address: impl Display) -> io::Result<Self> {
        let address = address.to_string();
        let kinds = [SocketKind::Tcp, SocketKind::SharedTcp];
        let name = format!("{NAME}{address}");
        let options = SocketOptions::new();
        let group = self.take_or_bind(&name, &kinds, Some(options), |options| {
            SocketGroup::tcp(&address, options).map(|group| group.named(&name))
        })?;
        self.observer = group.or(self.observer);
        Ok(self)
    }

    /// Returns the address of [`observe`](Self::observe), with the port that the system chose
    /// for port 0. `None` in a worker.
    #[must_use]
    pub fn observe_addr(&self) -> Option<SocketAddr> {
        self.observer.as_ref()?.local_addr().ok()
    }

    /// Sets how long the workers still accept connections after a signal or request to stop;
    /// zero by default.
    ///
    /// In that time the program is not [ready](crate::Control::ready), so that a load balancer
    /// can send new connections elsewhere before any would be refused. Workers that die are
    /// still replaced. Then the workers [drain](Self::drain). A second signal ends the delay,
    /// and kills the workers at once. A time that the clock cannot count to, such as
    /// `Duration::MAX`, ends only so.
    ///
    /// There is no delay in a reload or after an upgrade, as the new workers accept then, and
    /// none if the program stops before all workers were ready.
    pub fn drain_delay(mut self, time: Duration) -> Self {
        self.settings.drain_delay = time;
        self
    }
}
