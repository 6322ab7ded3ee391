//! [`Notifier`], which reports the state of the master to the service manager in the protocol
//! of `sd_notify(3)`.
//!
//! The environment is read and never changed, as other threads may read it. `NOTIFY_SOCKET`
//! is removed from the environment of a worker when it is started; a successor keeps it.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
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
///
/// A manager that cannot be reached is no reason to fail. The connection is made again for each
/// message, and the first error can be [taken](Self::take_error).
#[derive(Debug, Default)]
pub(super) struct Notifier {
    address: Option<OsString>,
    socket: RefCell<Option<UnixDatagram>>,
    error: RefCell<NotifyError>,
    watchdog: Option<Duration>,
    /// Set while another process is the service's main process: the manager accepts no messages
    /// of this one.
    is_muted: Cell<bool>,
}

/// The first error.
#[derive(Debug, Default)]
enum NotifyError {
    #[default]
    None,
    Found(String),
    Taken,
}

impl Notifier {
    /// Connects to the manager that the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and
    /// `WATCHDOG_PID` describe.
    pub(super) fn from_env() -> Self {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        else {
            return Self::default();
        };
        let mut notifier = Self::to(&address);
        let addressee = super::init::of_this_or_its_init(env::var_os("WATCHDOG_PID"));
        if addressee != Some(false) {
            notifier.watchdog = watchdog(env::var_os("WATCHDOG_USEC"));
        }
        notifier
    }

    fn to(address: &OsStr) -> Self {
        let notifier = Self {
            address: Some(address.to_owned()),
            ..Self::default()
        };
        // Not only when there is a message, so that a wrong address is reported at the start.
        match connect(address) {
            Ok(socket) => *notifier.socket.borrow_mut() = Some(socket),
            Err(error) => notifier.failed(address, &error),
        }
        notifier
    }

    /// Sets whether to send nothing, as another process is the service's main process.
    pub(super) fn mute(&self, is_muted: bool) {
        self.is_muted.set(is_muted);
    }

    /// Returns the first error, once.
    pub(super) fn take_error(&self) -> Option<String> {
        let mut error = self.error.borrow_mut();
        if !matches!(*error, NotifyError::Found(_)) {
            return None;
        }
        match std::mem::replace(&mut *error, NotifyError::Taken) {
            NotifyError::Found(error) => Some(error),
            NotifyError::None | NotifyError::Taken => None,
        }
    }

    fn failed(&self, address: &OsStr, error: &io::Error) {
        let mut first = self.error.borrow_mut();
        if matches!(*first, NotifyError::None) {
            let address = address.display();
            *first = NotifyError::Found(format!("NOTIFY_SOCKET is {address}: {error}"));
        }
    }

    /// Reports that the master serves, at first and after [`reloading`](Self::reloading).
    pub(super) fn ready(&self) {
        self.send("READY=1");
    }

    /// Reports that a reload or an upgrade has begun.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    pub(super) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Reports that the process `by` is the service's main process from now on, and serves.
    /// This is one message, because the manager may accept messages of the main process
    /// only, and this process is not that any more after the first line. The watchdog's time
    /// begins again, so that the new process need not send the next message at once.
    pub(super) fn replaced(&self, by: u32) {
        self.send(&format!("MAINPID={by}\nREADY=1\nWATCHDOG=1"));
    }

    /// Sets the status line that the manager shows.
    pub(super) fn status(&self, text: &str) {
        // A line end would begin the next field of the protocol.
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// Returns how often to call [`alive`](Self::alive), if the manager wants it.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, fields: &str) {
        let Some(address) = self.address.as_ref().filter(|_| !self.is_muted.get()) else {
            return;
        };
        let mut socket = self.socket.borrow_mut();
        let sent = match socket.as_ref().map(|socket| send(socket, fields)) {
            Some(Ok(())) => return,
            // The manager does not read.
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => Err(error),
            // A manager that was restarted may have another socket at the same address.
            Some(Err(_)) | None => connect(address).and_then(|new| {
                send(&new, fields)?;
                *socket = Some(new);
                Ok(())
            }),
        };
        if let Err(error) = sent {
            self.failed(address, &error);
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&socket_address(address)?)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(socket)
}

fn send(socket: &UnixDatagram, fields: &str) -> io::Result<()> {
    loop {
        match socket.send(fields.as_bytes()) {
            // The kernel does not restart a send that has a timeout.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            sent => return sent.map(drop),
        }
    }
}

/// Parses a path, or an abstract name after an `@`.
fn socket_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(Path::new(address)),
        [b'@', name @ ..] => sys::abstract_address(name),
        // Such as `vsock:2:1`, which systemd gives to a virtual machine.
        _ => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "only addresses of Unix sockets are supported",
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
        let notifier = Notifier::to(address);
        notifier.ready();
        assert_eq!(receive(manager), "READY=1");
        notifier.reloading();
        let reloading = receive(manager);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(since.unwrap().parse::<u64>().unwrap() > 0);
        notifier.replaced(42);
        assert_eq!(receive(manager), "MAINPID=42\nREADY=1\nWATCHDOG=1");
        notifier.mute(true);
        notifier.ready();
        notifier.mute(false);
        notifier.status("two\nMAINPID=1");
        assert_eq!(receive(manager), "STATUS=two MAINPID=1");
        notifier.alive();
        assert_eq!(receive(manager), "WATCHDOG=1");
        notifier.stopping();
        assert_eq!(receive(manager), "STOPPING=1");
        assert_eq!(notifier.take_error(), None);
    }

    fn receive(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let count = manager.recv(&mut buffer).unwrap();
        str::from_utf8(&buffer[..count]).unwrap().to_owned()
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let notifier = Notifier::default();
        notifier.ready();
        assert_eq!(notifier.take_error(), None);
        assert_eq!(notifier.watchdog(), None);
    }

    #[test]
    fn a_manager_that_does_not_read_does_not_stop_the_loop() {
        let folder = Folder::new();
        let path = folder.path("deaf");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str());
        let refused = (0..100_000).find_map(|_| {
            notifier.alive();
            notifier.take_error()
        });
        let refused = refused.unwrap();
        assert!(refused.contains("temporarily unavailable"), "{refused}");
    }

    #[test]
    fn an_address_that_leads_nowhere_is_reported_once() {
        let no_socket = "/no/such/socket";
        for address in ["relative", "vsock:2:1", no_socket, "/dev/null"] {
            let notifier = Notifier::to(address.as_ref());
            let error = notifier.take_error().unwrap();
            assert!(error.starts_with(&format!("NOTIFY_SOCKET is {address}: ")));
            notifier.ready();
            assert_eq!(notifier.take_error(), None);
        }
    }

    #[test]
    fn a_manager_that_comes_back_is_notified_again() {
        let folder = Folder::new();
        let path = folder.path("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str());
        notifier.ready();
        assert_eq!(receive(&manager), "READY=1");
        drop(manager);
        std::fs::remove_file(&path).unwrap();
        notifier.alive();
        assert!(notifier.take_error().is_some());
        let manager = UnixDatagram::bind(&path).unwrap();
        notifier.alive();
        assert_eq!(receive(&manager), "WATCHDOG=1");
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
