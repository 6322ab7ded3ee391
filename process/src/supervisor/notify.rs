//! [`Notifier`], which reports the state of the master to the service manager in the protocol
//! of `sd_notify(3)`.
//!
//! The environment is read and never changed, as other threads may read it. `NOTIFY_SOCKET`
//! is removed from the environment of a worker when it is started; a successor keeps it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use rustix::time::ClockId;

use crate::sys;

/// How long a send may block the loop if the manager does not read. The socket's queue has
/// room unless the manager is stuck.
const SEND_TIMEOUT: Duration = Duration::from_millis(250);

/// A connection to the service manager. Without a manager, its methods do nothing.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Connects to the manager that the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and
    /// `WATCHDOG_PID` describe.
    pub(super) fn from_env() -> io::Result<Self> {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        else {
            return Ok(Self::default());
        };
        let mut notifier = Self::connect(&address)?;
        let addressee = super::init::of_this_or_its_init(env::var_os("WATCHDOG_PID"));
        if addressee != Some(false) {
            notifier.watchdog = watchdog(env::var_os("WATCHDOG_USEC"));
        }
        Ok(notifier)
    }

    fn connect(address: &OsStr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&socket_address(address)?)?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self {
            socket: Some(socket),
            watchdog: None,
        })
    }

    /// Reports that the master serves, at first and after [`reloading`](Self::reloading).
    pub(super) fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// Reports that a reload or an upgrade has begun.
    pub(super) fn reloading(&self) -> io::Result<()> {
        let now = rustix::time::clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"))
    }

    pub(super) fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    /// Reports that the process `by` is the service's main process from now on, and serves.
    /// This is one message, because the manager may accept messages of the main process
    /// only, and this process is not that any more after the first line.
    pub(super) fn replaced(&self, by: u32) -> io::Result<()> {
        self.send(&format!("MAINPID={by}\nREADY=1"))
    }

    /// Sets the status line that the manager shows.
    pub(super) fn status(&self, text: &str) -> io::Result<()> {
        // A line end would begin the next field of the protocol.
        self.send(&format!("STATUS={}", text.replace('\n', " ")))
    }

    /// Returns how often to call [`alive`](Self::alive), if the manager wants it.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub(super) fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    fn send(&self, fields: &str) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        loop {
            match socket.send(fields.as_bytes()) {
                // The kernel does not restart a send that has a timeout.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(drop),
            }
        }
    }
}

/// Parses a path, or an abstract name after an `@`.
fn socket_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(Path::new(address)),
        [b'@', name @ ..] => sys::abstract_address(name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "NOTIFY_SOCKET is no address of a Unix socket",
        )),
    }
}

/// Returns half of the time after which the manager assumes that the service hangs.
fn watchdog(microseconds: Option<OsString>) -> Option<Duration> {
    let microseconds = microseconds?.to_str()?.parse().ok()?;
    (microseconds > 0).then(|| Duration::from_micros(microseconds) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_test_support::folder::Folder;
    use std::process;

    #[test]
    fn each_report_is_a_message() {
        let folder = Folder::new();
        let path = folder.path("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        says_everything(path.as_os_str(), &manager);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_written_with_an_at() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("coreloop-notify-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        says_everything(format!("@{name}").as_ref(), &manager);
    }

    fn says_everything(address: &OsStr, manager: &UnixDatagram) {
        let notifier = Notifier::connect(address).unwrap();
        notifier.ready().unwrap();
        assert_eq!(receive(manager), "READY=1");
        notifier.reloading().unwrap();
        let reloading = receive(manager);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(since.unwrap().parse::<u64>().unwrap() > 0);
        notifier.replaced(42).unwrap();
        assert_eq!(receive(manager), "MAINPID=42\nREADY=1");
        notifier.status("two\nMAINPID=1").unwrap();
        assert_eq!(receive(manager), "STATUS=two MAINPID=1");
        notifier.alive().unwrap();
        assert_eq!(receive(manager), "WATCHDOG=1");
        notifier.stopping().unwrap();
        assert_eq!(receive(manager), "STOPPING=1");
    }

    fn receive(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let count = manager.recv(&mut buffer).unwrap();
        str::from_utf8(&buffer[..count]).unwrap().to_owned()
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let notifier = Notifier::default();
        notifier.ready().unwrap();
        assert_eq!(notifier.watchdog(), None);
    }

    #[test]
    fn a_manager_that_does_not_read_does_not_stop_the_loop() {
        let folder = Folder::new();
        let path = folder.path("deaf");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::connect(path.as_os_str()).unwrap();
        let refused = (0..100_000).find_map(|_| notifier.alive().err());
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn other_kinds_of_addresses_are_errors() {
        for address in ["relative", "vsock:2:1"] {
            assert!(Notifier::connect(address.as_ref()).is_err());
        }
    }

    #[test]
    fn the_watchdog_gets_messages_twice_as_often_as_required() {
        let every = |text: &str| watchdog(Some(text.into()));
        assert_eq!(every("3000000"), Some(Duration::from_millis(1500)));
        assert_eq!(
            (every("0"), every("soon"), watchdog(None)),
            (None, None, None)
        );
    }
}
