//! An upgrade: the old master starts the program's file again, gives it the
//! sockets, and goes on until the new one says that it serves.
//!
//! ```text
//!   old master                          successor
//!   start: Sockets .., Complete ──────▶ (in the channel)
//!   spawn the file at the path          main runs, Supervisor::new: inherit
//!   serves on                           binds, starts its workers
//!                                 ◀──── Ready
//!   drains its workers, ends with 0     serves
//! ```
//!
//! Its workers accept from the same sockets as soon as they are ready. So a successor
//! that takes too long is told to stop; and that one as well as one that says that it
//! fails has the time to drain before it is killed.
//!
//! 1. The channel is the successor's standard input. The old end is closed when
//!    the attempt is over, the successor's when it has said `Ready`: neither
//!    lives or dies with the other.
//! 2. Who closes the channel without a word has died. An old master that has only
//!    given up says so; then a successor that lives on by mistake does not serve.
//! 3. Until `Ready` the old master changes nothing of its own. Whatever becomes
//!    of the successor before, it is ended and reaped; only then is there something
//!    to undo, if it had taken the names of the old one a moment before.
//! 4. Both have the same sockets, so no connection in a queue is lost: whoever is
//!    left serves it. A socket that the new program no longer binds is closed in it
//!    at once, and in the old one when that ends.
//! 5. The new program begins with as many workers as there are sockets for, however
//!    many it is to have. Once it serves it goes on from there as `scale` does: it
//!    steers, drains and closes the last, or binds more. Before that it would take
//!    connections from the old one, and lose them if it never served.

use std::env;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus, Stdio};
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop_runtime::time::timeout;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};

use super::program::{PRIVATE_VARIABLES, Program};
use crate::channel::{
    AsyncChannel, Channel, Inherited, MOST_DESCRIPTORS, SocketKind, ToPredecessor, ToSuccessor,
};

/// Its value is the process id of the old master.
pub(crate) const VARIABLE: &str = "CORELOOP_UPGRADE";

/// The sockets of one `bind`, to be given away.
#[derive(Debug)]
pub(crate) struct Bequest<'a> {
    pub(crate) inherited: Inherited,
    /// In the order of their slots.
    pub(crate) sockets: Vec<BorrowedFd<'a>>,
}

/// The process that serves from now on.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) pid: u32,
}

/// How long a new program may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// To serve.
    pub(crate) startup: Duration,
    /// To end, when that took too long.
    pub(crate) drain: Duration,
}

/// Starts the program's file and gives it the sockets, before this returns; the
/// future waits until the new process serves, and borrows nothing meanwhile.
///
/// An error says why there is no successor. The process is gone then, also if the
/// future was dropped.
pub(crate) fn start(
    program: &Program,
    bequests: &[Bequest<'_>],
    bounds: Bounds,
) -> impl Future<Output = io::Result<Successor>> + use<> {
    let attempt = Attempt::launch(program, bequests);
    async move {
        let mut attempt = attempt?;
        let Bounds { startup, drain } = bounds;
        let why = match timeout(startup, poll_fn(|context| attempt.poll_ready(context))).await {
            Ok(Ok(())) => return Ok(attempt.succeed()),
            Ok(Err(error)) => error,
            Err(_) => {
                attempt.stop();
                let why = format!("the new program was not ready within {startup:?}");
                io::Error::new(ErrorKind::TimedOut, why)
            }
        };
        // Only its end is of interest: one that is ready now has begun to stop.
        let gone = poll_fn(|context| attempt.poll_gone(context));
        let _ = timeout(drain, gone).await;
        Err(why)
    }
}

/// A process that may become the successor.
struct Attempt {
    process: Process,
    channel: AsyncChannel,
    /// Tells of the end of a process whose end of the channel stays open, in a
    /// child of its own for example.
    #[cfg(target_os = "linux")]
    end: coreloop_runtime::io::Async<OwnedFd>,
}

/// Killed and reaped when dropped, unless it was taken out.
#[derive(Debug)]
struct Process(Option<Child>);

impl Attempt {
    fn launch(program: &Program, bequests: &[Bequest<'_>]) -> io::Result<Attempt> {
        let (ours, theirs) = Channel::pair()?;
        // Before there is a process: from its first moment on it has all that it needs,
        // should this one die.
        bequeath(&ours, bequests)?;
        let mut command = program.command();
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        let process = command
            .env(VARIABLE, std::process::id().to_string())
            .stdin(Stdio::from(theirs.into_socket()))
            .spawn()
            .map_err(|error| {
                let path = program.path().display();
                io::Error::new(error.kind(), format!("cannot start {path}: {error}"))
            })?;
        // Closes this process's copy of the successor's end, whose end is seen then.
        drop(command);
        #[cfg(target_os = "linux")]
        let pid = Pid::from_child(&process);
        Ok(Attempt {
            process: Process(Some(process)),
            channel: ours.into_async()?,
            #[cfg(target_os = "linux")]
            end: end_of(pid)?,
        })
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let why = match self.channel.poll_receive::<ToPredecessor>(context) {
            Poll::Ready(Ok(Some((ToPredecessor::Ready, _)))) => {
                match self.process.0.as_mut().map(Child::try_wait).transpose()? {
                    Some(Some(status)) => status.to_string(),
                    _ => return Poll::Ready(Ok(())),
                }
            }
            Poll::Ready(Ok(Some((ToPredecessor::Failed { error }, _)))) => error,
            Poll::Ready(Ok(None)) => self.process.close()?.to_string(),
            // It has ended without reading what it was sent.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
                self.process.close()?.to_string()
            }
            Poll::Ready(Err(error)) => error.to_string(),
            Poll::Pending => match self.poll_end(context) {
                Poll::Ready(status) => status?.to_string(),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(Err(io::Error::other(format!(
            "the new program ended before it was ready: {why}"
        ))))
    }

    #[cfg(target_os = "linux")]
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let Some(process) = &mut self.process.0 else {
            return Poll::Pending;
        };
        self.end.poll_read_with(context, |_| {
            process.try_wait()?.ok_or(ErrorKind::WouldBlock.into())
        })
    }

    // The end of the channel has to do.
    #[cfg(not(target_os = "linux"))]
    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        Poll::Pending
    }

    /// Asks the process to end.
    fn stop(&self) {
        if let Some(process) = &self.process.0 {
            // It is not reaped, so the number is its own.
            let _ = kill_process(Pid::from_child(process), Signal::TERM);
        }
    }

    /// Ready when it has ended, or nothing is to be heard of it any more.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(said) = self.channel.poll_receive::<ToPredecessor>(context) {
            if !matches!(said, Ok(Some(_))) {
                return Poll::Ready(());
            }
        }
        self.poll_end(context).map(drop)
    }

    fn succeed(mut self) -> Successor {
        let process = self.process.0.take();
        Successor {
            pid: process.map_or(0, |process| process.id()),
        }
    }
}

fn bequeath(channel: &Channel, bequests: &[Bequest<'_>]) -> io::Result<()> {
    for bequest in bequests {
        for sockets in bequest.sockets.chunks(MOST_DESCRIPTORS) {
            let message = ToSuccessor::Sockets(bequest.inherited.clone());
            channel.send(&message, sockets)?;
        }
    }
    channel.send(&ToSuccessor::Complete, &[])
}

impl Process {
    /// Ends the process, if it has not ended by itself, and tells how it did. That
    /// takes no longer than the kernel does.
    fn close(&mut self) -> io::Result<ExitStatus> {
        let Some(mut process) = self.0.take() else {
            return Err(io::Error::other("it is gone"));
        };
        process.kill()?;
        process.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// A script may have started the new program as its child, which outlives it.
impl Drop for Attempt {
    fn drop(&mut self) {
        if self.process.0.is_some() {
            let _ = self.channel.send(&ToSuccessor::GivenUp, &[]);
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
fn end_of(process: Pid) -> io::Result<coreloop_runtime::io::Async<OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    let end = pidfd_open(process, PidfdFlags::empty())?;
    coreloop_runtime::io::Async::new(end)
}

/// What an old master has left to this process.
#[derive(Debug)]
pub(crate) struct Inheritance {
    channel: Channel,
    sockets: Vec<(Inherited, Vec<OwnedFd>)>,
}

/// Takes the sockets of the old master, if this process is to replace one: to be
/// called once, and before anything reads the standard input, which is `/dev/null`
/// afterwards.
pub(crate) fn inherit() -> io::Result<Option<Inheritance>> {
    if env::var_os(VARIABLE).is_none() {
        return Ok(None);
    }
    let inheritance = receive(Channel::from_socket(take_stdin()?));
    inheritance.map(Some).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{VARIABLE} is set, but no old master gives its sockets: {error}"),
        )
    })
}

fn receive(mut channel: Channel) -> io::Result<Inheritance> {
    let mut sockets: Vec<(Inherited, Vec<OwnedFd>)> = Vec::new();
    while let Some((message, descriptors)) = channel.receive::<ToSuccessor>()? {
        let inherited = match message {
            ToSuccessor::Sockets(inherited) => inherited,
            ToSuccessor::Complete => return Ok(Inheritance { channel, sockets }),
            ToSuccessor::GivenUp => return Err(given_up()),
        };
        if descriptors.is_empty() {
            return Err(io::Error::other("there is no room for the descriptors"));
        }
        match sockets.iter_mut().find(|(known, _)| *known == inherited) {
            Some((_, more)) => more.extend(descriptors),
            None => sockets.push((inherited, descriptors)),
        }
    }
    Err(io::Error::new(ErrorKind::UnexpectedEof, "it has ended"))
}

impl Inheritance {
    /// The sockets that the old master had bound to the same address, as it was
    /// written, and of the same kind; in the order of their slots.
    pub(crate) fn take(&mut self, address: &str, kind: SocketKind) -> Option<Vec<OwnedFd>> {
        let found = self
            .sockets
            .iter()
            .position(|(inherited, _)| inherited.address == address && inherited.kind == kind)?;
        Some(self.sockets.swap_remove(found).1)
    }

    /// Closes the sockets that nobody has taken.
    pub(crate) fn close_unclaimed(&mut self) {
        self.sockets.clear();
    }

    /// An error if the old master serves on, and waits for this one no more.
    pub(crate) fn check(&self) -> io::Result<()> {
        // Nothing else comes behind the sockets.
        if self.channel.has_more() {
            return Err(given_up());
        }
        Ok(())
    }

    /// Tells the old master that this one serves. It may have died meanwhile: then
    /// there is nobody to tell, and this one serves nevertheless.
    pub(crate) fn ready(&self) -> io::Result<()> {
        match self.channel.send(&ToPredecessor::Ready, &[]) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells the old master why this one ends, so that its error says so. As long as
    /// this lives, it may take its time.
    pub(crate) fn failed(&self, error: &io::Error) {
        let error = error.to_string();
        let _ = self.channel.send(&ToPredecessor::Failed { error }, &[]);
    }
}

fn given_up() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the old master has given this one up")
}

/// Moves the standard input elsewhere, out of the sight of children, and puts
/// `/dev/null` in its place.
fn take_stdin() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null)?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_runtime::{Runtime, block_on, runtime};
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    const BOUNDS: Bounds = Bounds {
        startup: Duration::from_secs(30),
        drain: Duration::from_secs(10),
    };

    /// What a test runs as its successor: the same tests, of which only this one is
    /// asked for. In an ordinary run there is nothing to inherit.
    #[test]
    fn successor() {
        let Some(mut inheritance) = inherit().unwrap() else {
            return;
        };
        let sockets = inheritance.take("first", SocketKind::Tcp).unwrap();
        assert!(inheritance.take("first", SocketKind::Tcp).is_none());
        assert!(inheritance.take("second", SocketKind::Tcp).is_none());
        let shared = inheritance.take("second", SocketKind::SharedTcp).unwrap();
        inheritance.close_unclaimed();
        let port = |socket: &OwnedFd| {
            let listener = TcpListener::from(socket.try_clone().unwrap());
            listener.local_addr().unwrap().port()
        };
        let mut ports: Vec<_> = sockets.iter().map(port).collect();
        ports.dedup();
        if ports == [port(&shared[0])] && sockets.len() == 300 {
            inheritance.ready().unwrap();
        } else {
            let count = sockets.len();
            inheritance.failed(&io::Error::other(format!("{count} sockets of {ports:?}")));
            drop(inheritance);
        }
        // The old master looks whether there still is a successor.
        std::thread::park();
    }

    #[test]
    fn a_successor_gets_the_sockets_and_says_that_it_serves() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bequests = |count| {
            [
                bequest("first", SocketKind::Tcp, &listener, count),
                bequest("second", SocketKind::SharedTcp, &listener, 1),
                bequest("third", SocketKind::SharedUnix, &listener, 1),
            ]
        };
        let name = format!("{}::successor", module_path!().split_once("::").unwrap().1);
        let program = this_program(&["--quiet", "--exact", &name]);
        block_on(async {
            let successor = start(&program, &bequests(300), BOUNDS).await.unwrap();
            let pid = Pid::from_raw(successor.pid.try_into().unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();

            let refused = start(&program, &bequests(299), BOUNDS).await.unwrap_err();
            let refused = refused.to_string();
            assert!(refused.contains("ready: 299 sockets of ["), "{refused}");
        });
    }

    #[test]
    fn one_that_ends_or_crashes_or_says_nonsense_is_an_error_that_says_so() {
        for (script, why) in [
            (
                "exit 3",
                "the new program ended before it was ready: exit status: 3",
            ),
            (
                "kill -SEGV $$",
                "the new program ended before it was ready: signal: 11 (SIGSEGV)",
            ),
            // The end of the channel is not the end of the process.
            ("exec 0<&-; exec sleep 1000", "signal: 9 (SIGKILL)"),
            (
                "printf '\\377\\377\\377\\377\\377' >&0; exec sleep 1000",
                "too long",
            ),
        ] {
            let error = refused(&shell(script));
            assert!(error.to_string().contains(why), "{script}: {error}");
        }
    }

    /// A child of the new program holds its end of the channel open.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_end_is_seen_though_a_child_has_the_channel() {
        let error = refused(&shell("sleep 5 <&0 >/dev/null 2>&1 & exit 4")).to_string();
        assert!(error.ends_with("exit status: 4"), "{error}");
    }

    #[test]
    fn one_that_hangs_is_killed_in_the_end() {
        let runtime: Runtime = runtime::Builder::new().start_paused(true).build().unwrap();
        let sleep = shell("exec sleep 1000");
        let error = runtime.block_on(async { start(&sleep, &[], BOUNDS).await });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(
            error.to_string(),
            "the new program was not ready within 30s"
        );
    }

    #[test]
    fn one_that_cannot_be_started_is_an_error_with_its_path() {
        let missing = Program::new("/no/such/program", &["program"]);
        let error = refused(&missing);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .starts_with("cannot start /no/such/program: ")
        );
        let no_program = Program::new("/dev/null", &["program"]);
        let error = refused(&no_program);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn an_attempt_that_is_given_up_leaves_no_process() {
        let pid = block_on(async {
            let attempt = Attempt::launch(&shell("exec sleep 1000"), &[]).unwrap();
            attempt.process.0.as_ref().map(super::super::init::pid_of)
        });
        let pid = pid.unwrap();
        let gone = rustix::process::test_kill_process(pid).unwrap_err();
        assert_eq!(gone, rustix::io::Errno::SRCH);
    }

    fn refused(program: &Program) -> io::Error {
        block_on(async { start(program, &[], BOUNDS).await.unwrap_err() })
    }

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh", &["sh", "-c", script])
    }

    fn this_program(arguments: &[&str]) -> Program {
        let path = env::current_exe().unwrap();
        let path = path.to_str().unwrap();
        Program::new(path, &[&[path], arguments].concat())
    }

    fn bequest<'a>(
        address: &str,
        kind: SocketKind,
        listener: &'a TcpListener,
        count: usize,
    ) -> Bequest<'a> {
        Bequest {
            inherited: Inherited {
                address: address.to_owned(),
                kind,
            },
            sockets: vec![listener.as_fd(); count],
        }
    }
}
