//! Sockets that the service manager has bound for this process:
//! `sd_listen_fds(3)`.
//!
//! 1. `LISTEN_FDS` descriptors from 3 on were opened for the process that
//!    `LISTEN_PID` names, by whoever has started it, and are its to close. So they
//!    belong to nothing else in it, unless that reads these variables, too.
//! 2. Each is taken once in the life of the process. Those that nobody asks for
//!    stay open, as the program may have a use for them that is not ours; but no
//!    child gets them.
//!
//! The environment is only read, as other threads may read it. Who starts a child
//! removes the variables from what that gets.
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

const FIRST: RawFd = 3;

/// Which of the descriptors have been taken.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// The descriptors that this process was started with, by their names.
#[derive(Debug)]
pub(crate) struct Activation {
    first: RawFd,
    names: Vec<String>,
}

impl Activation {
    /// What the environment says. Without `LISTEN_FDS`, or if that is for another
    /// process, there are none.
    pub(crate) fn from_env() -> io::Result<Activation> {
        let text = |name| env::var_os(name).and_then(|value| value.into_string().ok());
        let names = if init::of_this_or_its_init(env::var_os("LISTEN_PID")) == Some(true) {
            names(text("LISTEN_FDS"), text("LISTEN_FDNAMES"))?
        } else {
            Vec::new()
        };
        Activation::of(FIRST, names)
    }

    /// Descriptors from `first` on, of which invariant 1 holds.
    fn of(first: RawFd, names: Vec<String>) -> io::Result<Activation> {
        let activation = Activation { first, names };
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        for descriptor in activation.descriptors() {
            // The owner of a descriptor that was taken may have closed it, and the number
            // may name another one now.
            if taken.contains(&descriptor) {
                continue;
            }
            if let Some(descriptor) = borrow(descriptor) {
                rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
            }
        }
        Ok(activation)
    }

    /// Takes the socket of that name; of several with one name the first that was
    /// not taken; or if none is called so, that of the position, from 0.
    pub(crate) fn take(&self, name: &str) -> io::Result<OwnedFd> {
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
        // SAFETY: by invariant 1 it is this process's to close, by invariant 2
        // nobody has taken it before, and `check` has seen that it is open.
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

/// One name for each descriptor; those that have none are called "unknown", as
/// systemd does it.
fn names(count: Option<String>, names: Option<String>) -> io::Result<Vec<String>> {
    let Some(count) = count else {
        return Ok(Vec::new());
    };
    // No process has as many descriptors, and the numbers behind are none.
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

/// Sees to it that no child gets a descriptor that this process has got from its
/// parent by mistake. The standard streams are for all.
///
/// Only while there is one thread, as another could close what is looked at.
pub(crate) fn keep_from_children() -> io::Result<()> {
    if !cfg!(target_os = "linux") || fs::read_dir("/proc/self/task")?.count() != 1 {
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
        // SAFETY: it is open, as it is listed, and there is no other thread that
        // could close it before this one is done with it.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
    }
    Ok(())
}

/// A look at a descriptor of `LISTEN_FDS` that was not taken, if it is open.
fn borrow(descriptor: RawFd) -> Option<BorrowedFd<'static>> {
    // Without this a closed one would be found out by an error only.
    fs::symlink_metadata(path(descriptor)).ok()?;
    // SAFETY: it is open, and by invariant 1 only its taker closes it. The callers hold
    // the lock of `TAKEN`, so it is not taken while they use what they get, which they do
    // not keep.
    Some(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// Whether workers can have it: a socket that listens, or one for datagrams.
fn check(name: &str, descriptor: RawFd) -> io::Result<()> {
    let found = fs::metadata(path(descriptor)).ok();
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
            if is_listener(&socket)? {
                Ok(())
            } else {
                Err(refusal(name, "does not listen"))
            }
        }
        Type::DGRAM if address.as_socket().is_some() => Ok(()),
        _ => Err(refusal(name, "is neither TCP, UDP nor a Unix stream")),
    }
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn is_listener(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}

// macOS does not tell; accepting will.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn is_listener(_: &SockRef<'_>) -> io::Result<bool> {
    Ok(true)
}

fn path(descriptor: RawFd) -> String {
    if cfg!(target_os = "linux") {
        format!("/proc/self/fd/{descriptor}")
    } else {
        format!("/dev/fd/{descriptor}")
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
        // No child of another test may have it meanwhile, so there is nothing to
        // see of the flag but that it is set again.
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

    /// Each new `Activation` set close-on-exec on it, although the program had another
    /// descriptor by this number.
    #[test]
    fn a_number_that_was_taken_may_be_anothers_later() {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let number = numbered(listener.into()).into_raw_fd();
            let names = vec!["web".to_owned()];
            let activation = Activation::of(number, names.clone()).unwrap();
            drop(activation.take("web").unwrap());
            let file = fs::File::open("/dev/null").unwrap();
            let other = rustix::io::fcntl_dupfd_cloexec(file, number).unwrap();
            // Unless another test has opened something meanwhile.
            if other.as_raw_fd() == number {
                rustix::io::fcntl_setfd(&other, FdFlags::empty()).unwrap();
                Activation::of(number, names).unwrap();
                assert_eq!(rustix::io::fcntl_getfd(&other).unwrap(), FdFlags::empty());
                break;
            }
        }
    }

    #[test]
    fn what_workers_cannot_have_is_refused_and_stays() {
        let file = fs::File::open("/dev/null").unwrap();
        refused(file.into(), "is not a socket");
        let (stream, _peer) = UnixStream::pair().unwrap();
        refused(stream.into(), "does not listen");
        let datagrams = UnixDatagram::unbound().unwrap();
        refused(datagrams.into(), "is neither TCP, UDP nor a Unix stream");
    }

    /// A descriptor whose number no other of these tests has had, as each number can be
    /// taken only once. Other tests of this process may have any number at the moment.
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
    fn what_is_not_open_is_refused() {
        let activation = Activation::of(RawFd::MAX - 1, vec!["x".to_owned()]).unwrap();
        let error = activation.take("x").unwrap_err().to_string();
        assert_eq!(error, "socket `x` of LISTEN_FDS is not open");
    }

    #[test]
    fn other_kinds_of_sockets() {
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
