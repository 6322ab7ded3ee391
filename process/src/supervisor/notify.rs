//! Telling the service manager how the master is: [`Notifier`], which speaks the
//! protocol of `sd_notify(3)`.
//!
//! The environment is read and never changed, as other threads may read it. Who
//! starts a worker removes `NOTIFY_SOCKET` from what that gets; a successor keeps
//! it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use rustix::time::ClockId;

/// How long the loop may stand still for a manager that does not read. Its queue
/// has room, unless the manager itself is stuck.
const PATIENCE: Duration = Duration::from_millis(250);

/// The socket of the service manager, if there is one. Without, nothing happens.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub(crate) fn from_env() -> io::Result<Notifier> {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        else {
            return Ok(Notifier::default());
        };
        let mut notifier = Notifier::connect(&address)?;
        let addressee = super::init::of_this_or_its_init(env::var_os("WATCHDOG_PID"));
        if addressee != Some(false) {
            notifier.watchdog = watchdog(env::var_os("WATCHDOG_USEC"));
        }
        Ok(notifier)
    }

    fn connect(address: &OsStr) -> io::Result<Notifier> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&socket_address(address)?)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Notifier {
            socket: Some(socket),
            watchdog: None,
        })
    }

    /// It serves; also after [`reloading`](Self::reloading).
    pub(crate) fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// It reads its configuration again, or has the program's file started again.
    pub(crate) fn reloading(&self) -> io::Result<()> {
        let now = rustix::time::clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"))
    }

    pub(crate) fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    /// Another process is the service's main one from now on, and serves. The manager
    /// may believe this only of the one that has been that until now, so it is one
    /// message: a second one would come from a stranger.
    pub(crate) fn replaced(&self, by: u32) -> io::Result<()> {
        self.send(&format!("MAINPID={by}\nREADY=1"))
    }

    /// A line for those who ask the manager.
    pub(crate) fn status(&self, text: &str) -> io::Result<()> {
        // A line end would begin a field of the protocol.
        self.send(&format!("STATUS={}", text.replace('\n', " ")))
    }

    /// How often the manager wants to hear [`alive`](Self::alive), if it does.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub(crate) fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    fn send(&self, fields: &str) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        loop {
            match socket.send(fields.as_bytes()) {
                // As it has a timeout, the kernel does not go on by itself.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(drop),
            }
        }
    }
}

/// A path, or an abstract name that is written with an `@`.
fn socket_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(Path::new(address)),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "NOTIFY_SOCKET is no address of a Unix socket",
        )),
    }
}

/// Half of the time after which the manager thinks that the service hangs.
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
    fn each_word_is_a_message() {
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
    fn no_address_of_ours_is_an_error() {
        for address in ["relative", "vsock:2:1"] {
            assert!(Notifier::connect(address.as_ref()).is_err());
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_asks() {
        let every = |text: &str| watchdog(Some(text.into()));
        assert_eq!(every("3000000"), Some(Duration::from_millis(1500)));
        assert_eq!(
            (every("0"), every("soon"), watchdog(None)),
            (None, None, None)
        );
    }
}
