//! [`Activation`], the sockets that the service manager has bound for this process; see
//! `sd_listen_fds(3)`.
//!
//! # Invariants
//!
//! 1. The `LISTEN_FDS` descriptors from 3 on were opened by the parent for the process that
//!    `LISTEN_PID` names, and that process has to close them. So no other code in it owns
//!    them, unless that code reads these variables too.
//! 2. Each descriptor is taken at most once in the life of the process. A descriptor that is
//!    not taken stays open, as the program may have another use for it; but no child
//!    inherits it.
//!
//! The environment is only read, as other threads may read it. The variables are removed
//! from the environment of a child when it is started.
#![expect(unsafe_code, reason = "the descriptors come as numbers")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::{Mutex, PoisonError};

use rustix::io::FdFlags;
use socket2::{SockRef, Type};

use super::init;
use crate::sys;

const FIRST: RawFd = 3;

/// Which of the descriptors have been taken.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// The descriptors that this process was started with, by their names.
#[derive(Debug)]
pub(super) struct Activation {
    first: RawFd,
    names: Vec<String>,
}

impl Activation {
    /// Returns the descriptors that the environment names: none without `LISTEN_FDS`, or if
    /// that is for another process.
    pub(super) fn from_env() -> io::Result<Self> {
        let text = |name| env::var_os(name).and_then(|value| value.into_string().ok());
        let names = if init::of_this_or_its_init(env::var_os("LISTEN_PID")) == Some(true) {
            names(text("LISTEN_FDS"), text("LISTEN_FDNAMES"))?
        } else {
            Vec::new()
        };
        Self::of(FIRST, names)
    }

    /// Returns the descriptors from `first` on, for which invariant 1 holds.
    fn of(first: RawFd, names: Vec<String>) -> io::Result<Self> {
        let activation = Self { first, names };
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        for descriptor in activation.descriptors() {
            // The owner of a taken descriptor may have closed it, and the number may belong
            // to another descriptor now.
            if taken.contains(&descriptor) {
                continue;
            }
            if let Some(descriptor) = borrow(descriptor) {
                rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
            }
        }
        Ok(activation)
    }

    /// Takes the socket of this name: of several with the name, the first that was not
    /// taken. If no socket has the name, takes the one at this position, from 0.
    pub(super) fn take(&self, name: &str) -> io::Result<OwnedFd> {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let candidates: Vec<_> = if self.names.iter().any(|known| known == name) {
            let named = self.descriptors().zip(&self.names);
            let named = named.filter(|(_, known)| *known == name);
            named.map(|(descriptor, _)| descriptor).collect()
        } else {
            let position = name.parse().ok();
            let found = position.and_then(|position| self.descriptors().nth(position));
            found.into_iter().collect()
        };
        if candidates.is_empty() {
            return Err(self.unknown(name));
        }
        let descriptor = candidates
            .into_iter()
            .find(|descriptor| !taken.contains(descriptor))
            .ok_or_else(|| refusal(name, "was bound before"))?;
        check(name, descriptor)?;
        taken.insert(descriptor);
        // SAFETY: by invariant 1 this process has to close it, by invariant 2 it was not
        // taken before, and `check` has found that it is open.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        (self.first..).take(self.names.len())
    }

    fn unknown(&self, name: &str) -> io::Error {
        let there_are = if self.names.is_empty() {
            "LISTEN_FDS brings none to this process".to_owned()
        } else {
            format!("LISTEN_FDNAMES has {}", self.names.join(", "))
        };
        io::Error::new(
            ErrorKind::NotFound,
            format!("no socket is called `{name}`: {there_are}"),
        )
    }
}

/// Returns one name for each descriptor. Descriptors without a name are called "unknown",
/// as in systemd.
fn names(count: Option<String>, names: Option<String>) -> io::Result<Vec<String>> {
    let Some(count) = count else {
        return Ok(Vec::new());
    };
    // A `u16`, as no process has more descriptors.
    let count = count.parse::<u16>().map_err(|_| {
        io::Error::new(
            ErrorKind::InvalidInput,
            format!("LISTEN_FDS is no number of descriptors: `{count}`"),
        )
    })?;
    let given = names.unwrap_or_default();
    let given = given.split(':').filter(|_| !given.is_empty());
    let unknown = std::iter::repeat("unknown");
    let names = given.chain(unknown).take(count.into());
    Ok(names.map(str::to_owned).collect())
}

/// Sets close-on-exec on all descriptors that this process has inherited, except the
/// standard streams, so that no child gets a descriptor that its parent has leaked.
///
/// Does nothing if there is another thread, as that could close a descriptor meanwhile.
pub(super) fn keep_from_children() -> io::Result<()> {
    if sys::thread_count()? != Some(1) {
        return Ok(());
    }
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(number) = number.filter(|&number: &RawFd| number >= FIRST) else {
            continue;
        };
        // SAFETY: it is open, as it is listed, and there is no other thread that could
        // close it while it is borrowed.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
    }
    Ok(())
}

/// Borrows a descriptor of `LISTEN_FDS` that was not taken, if it is open.
fn borrow(descriptor: RawFd) -> Option<BorrowedFd<'static>> {
    // Checked first: borrowing a closed descriptor is not allowed.
    fs::symlink_metadata(sys::descriptor_path(descriptor)).ok()?;
    // SAFETY: it is open, and by invariant 1 only the code that takes it closes it. The
    // callers hold the lock of `TAKEN`, so it is not taken while they use the borrow, and
    // they do not keep the borrow.
    Some(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// Returns an error unless workers can use the descriptor: a listening socket, or a UDP
/// socket.
fn check(name: &str, descriptor: RawFd) -> io::Result<()> {
    let found = fs::metadata(sys::descriptor_path(descriptor)).ok();
    let (Some(found), Some(borrowed)) = (found, borrow(descriptor)) else {
        return Err(refusal(name, "is not open"));
    };
    if !found.file_type().is_socket() {
        return Err(refusal(name, "is not a socket"));
    }
    let socket = SockRef::from(&borrowed);
    let address = socket.local_addr()?;
    match socket.r#type()? {
        Type::STREAM if address.is_unix() || address.as_socket().is_some() => {
            if sys::is_listening(borrowed)? {
                Ok(())
            } else {
                Err(refusal(name, "does not listen"))
            }
        }
        Type::DGRAM if address.as_socket().is_some() => Ok(()),
        _ => Err(refusal(name, "is neither TCP, UDP nor a Unix stream")),
    }
}

fn refusal(name: &str, why: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        format!("socket `{name}` of LISTEN_FDS {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_test_support::folder::Folder;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::{AsRawFd, IntoRawFd};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    #[test]
    fn descriptors_have_names() {
        let of = |count: &str, given: Option<&str>| {
            names(Some(count.to_owned()), given.map(str::to_owned))
        };
        assert_eq!(of("2", Some("web:admin")).unwrap(), ["web", "admin"]);
        assert_eq!(of("2", None).unwrap(), ["unknown", "unknown"]);
        assert_eq!(of("2", Some("web")).unwrap(), ["web", "unknown"]);
        assert_eq!(of("1", Some("web:admin")).unwrap(), ["web"]);
        assert_eq!(of("2", Some(":x")).unwrap(), ["", "x"]);
        assert!(names(None, Some("web".to_owned())).unwrap().is_empty());
        for count in ["", "-1", "two", "99999999"] {
            assert_eq!(of(count, None).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_socket_is_taken_once_by_its_name_or_its_position() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let descriptor = numbered(listener.into()).into_raw_fd();
        // Close-on-exec stays set throughout, because other tests start children. So this
        // only checks that it is set at the end.
        let activation = Activation::of(descriptor, vec!["web".to_owned()]).unwrap();

        let error = activation.take("admin").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let words = "no socket is called `admin`: LISTEN_FDNAMES has web";
        assert_eq!(error.to_string(), words);

        let taken = activation.take("0").unwrap();
        assert_eq!(taken.as_raw_fd(), descriptor);
        assert_eq!(rustix::io::fcntl_getfd(&taken).unwrap(), FdFlags::CLOEXEC);
        let error = activation.take("web").unwrap_err().to_string();
        assert_eq!(error, "socket `web` of LISTEN_FDS was bound before");

        let listener = TcpListener::from(taken);
        assert_eq!(listener.local_addr().unwrap().port(), port);
    }

    /// Each new `Activation` set close-on-exec on the number, although it belonged to another
    /// descriptor of the program by then.
    #[test]
    fn a_taken_number_may_belong_to_another_descriptor_later() {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let number = numbered(listener.into()).into_raw_fd();
            let names = vec!["web".to_owned()];
            let activation = Activation::of(number, names.clone()).unwrap();
            drop(activation.take("web").unwrap());
            let file = fs::File::open("/dev/null").unwrap();
            let other = rustix::io::fcntl_dupfd_cloexec(file, number).unwrap();
            // Another test may have opened this number first; then try again.
            if other.as_raw_fd() == number {
                rustix::io::fcntl_setfd(&other, FdFlags::empty()).unwrap();
                Activation::of(number, names).unwrap();
                assert_eq!(rustix::io::fcntl_getfd(&other).unwrap(), FdFlags::empty());
                break;
            }
        }
    }

    #[test]
    fn descriptors_that_workers_cannot_use_are_refused_and_stay_open() {
        let file = fs::File::open("/dev/null").unwrap();
        refused(file.into(), "is not a socket");
        let (stream, _peer) = UnixStream::pair().unwrap();
        refused(stream.into(), "does not listen");
        let datagrams = UnixDatagram::unbound().unwrap();
        refused(datagrams.into(), "is neither TCP, UDP nor a Unix stream");
    }

    /// Moves a descriptor to a number that no other test here has used, because each number
    /// can be taken only once.
    fn numbered(descriptor: OwnedFd) -> OwnedFd {
        static NEXT: Mutex<RawFd> = Mutex::new(100);
        let mut next = NEXT.lock().unwrap();
        let numbered = rustix::io::fcntl_dupfd_cloexec(descriptor, *next).unwrap();
        *next = numbered.as_raw_fd() + 1;
        numbered
    }

    fn refused(descriptor: OwnedFd, why: &str) {
        let descriptor = numbered(descriptor);
        let activation = Activation::of(descriptor.as_raw_fd(), vec!["x".to_owned()]).unwrap();
        let error = activation.take("x").unwrap_err().to_string();
        assert_eq!(error, format!("socket `x` of LISTEN_FDS {why}"));
        rustix::io::fcntl_getfd(descriptor).unwrap();
    }

    #[test]
    fn a_closed_descriptor_is_refused() {
        let activation = Activation::of(RawFd::MAX - 1, vec!["x".to_owned()]).unwrap();
        let error = activation.take("x").unwrap_err().to_string();
        assert_eq!(error, "socket `x` of LISTEN_FDS is not open");
    }

    #[test]
    fn udp_and_unix_sockets_are_taken() {
        let udp = numbered(UdpSocket::bind("127.0.0.1:0").unwrap().into()).into_raw_fd();
        let activation = Activation::of(udp, vec!["dns".to_owned()]).unwrap();
        let udp = UdpSocket::from(activation.take("dns").unwrap());
        assert!(udp.local_addr().is_ok());

        let folder = Folder::new();
        let unix = UnixListener::bind(folder.path("activation")).unwrap();
        let unix = numbered(unix.into()).into_raw_fd();
        let activation = Activation::of(unix, vec!["local".to_owned()]).unwrap();
        let unix = UnixListener::from(activation.take("local").unwrap());
        assert!(unix.local_addr().is_ok());
    }
}
