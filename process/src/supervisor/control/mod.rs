//! [`ControlSocket`], the socket at which a master takes the requests that [`Control`]
//! describes.
//!
//! # Invariants
//!
//! 1. The socket has mode 0600 from the moment that it has its name: it is created in a
//!    directory that only the master may enter, and then renamed. The process's umask,
//!    which all threads share, is not changed.
//! 2. At the end the file is removed only if it still is the file of this socket: a
//!    successor may have put its own there.
//! 3. If several masters find that a name is free, one gets it, and the others get an
//!    error.
//! 4. No client blocks another client or the master: each has its own task, and limits on
//!    how much it may send and on how long it may be silent or not read.
//! 5. Clients without a request in progress keep no other client out: the one that has been
//!    in this state for the longest time is disconnected to make room. Clients that have
//!    disconnected during a request make room too. The master still carries out the request.
//! 6. Each request that was sent is answered, also when the master ends: at the end, the
//!    master drops the requests, and waits a bounded time for the answers to be written.

mod client;
mod clients;
mod command;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, Permissions};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf, absolute};
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop_net::{UnixListener, UnixStream};
use coreloop_runtime::time::timeout;
use coreloop_sync::{CancellationToken, mpsc};
use socket2::{Domain, SockAddr, Socket, Type};

pub use client::Control;
use clients::{Client, Clients};
use command::{Command, HELP};

use super::request::{Count, ENDING, Request, ask};
use crate::metrics::Format;
use crate::name_lock::NameLock;
use crate::sys;

/// How long a client may send nothing, or not read its answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum length of a line, with its end.
const MAX_LINE: usize = 128;

/// How much of what a client has sent at the end of the master is looked at.
const MAX_CLIENT_QUEUE: usize = 64 * MAX_LINE;

/// A listening control socket with its file. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: net::UnixListener,
    name: OwnedFile,
}

/// The file of a control socket, which is removed when this is dropped, unless another file
/// has taken its place.
#[derive(Debug)]
struct OwnedFile(ControlSocketFile);

/// The path of a control socket, and the identity of its file.
#[derive(Debug, Clone)]
pub(super) struct ControlSocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl ControlSocket {
    /// Creates the socket of a first master at `path`. The socket of a master that was
    /// killed is replaced; an error is returned if a process listens there.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let _lock = NameLock::of(path);
        let bound = match holds_socket(path).and_then(|there| Ok(there && is_served(path)?)) {
            Ok(true) => Err(io::Error::new(
                ErrorKind::AddrInUse,
                "another process serves it",
            )),
            Ok(false) => Self::put(path),
            Err(error) => Err(error),
        };
        bound.map_err(|error| named(path, &error))
    }

    /// Creates the socket of a successor in place of the old master's socket. The old master
    /// keeps its connected clients.
    pub(super) fn take_over(path: &Path) -> io::Result<Self> {
        let _lock = NameLock::of(path);
        let bound = holds_socket(path).and_then(|_| Self::put(path));
        bound.map_err(|error| named(path, &error))
    }

    pub(super) fn file(&self) -> &ControlSocketFile {
        &self.name.0
    }

    /// Serves clients until the future is dropped, or the listener fails. Once `replaced` is
    /// cancelled, serves only the clients that are connected already. Once `ending` is
    /// cancelled, answers the requests that are left, and completes.
    pub(super) fn serve(
        self,
        requests: mpsc::Sender<Request>,
        replaced: CancellationToken,
        ending: CancellationToken,
    ) -> io::Result<impl Future<Output = io::Result<()>>> {
        let listener = UnixListener::from_std(self.listener)?;
        let name = self.name;
        Ok(async move {
            let mut clients = Clients::new(requests, ending.clone());
            let accepted = coreloop_runtime::select! {
                biased;
                () = ending.cancelled() => Ok(()),
                () = replaced.cancelled() => Ok(()),
                accepted = accept(&listener, &mut clients) => accepted,
            };
            // From here on no client can connect, and those that have are in the queue.
            drop(name);
            accept_queued(&listener, &mut clients).await;
            drop(listener);
            clients.finish().await;
            accepted
        })
    }

    fn put(path: &Path) -> io::Result<Self> {
        // The kernel would take a longer path by the detour, and no client could connect.
        net::SocketAddr::from_pathname(path)?;
        if path.file_name().is_none() {
            let what = "the path names no file";
            return Err(io::Error::new(ErrorKind::InvalidInput, what));
        }
        let private = path.with_file_name(format!(".{:04x}", fastrand::u16(..)));
        DirBuilder::new().mode(0o700).create(&private)?;
        let inside = private.join("s");
        let placed = Self::put_by_way_of(&inside, path);
        if placed.is_err() {
            let _ = fs::remove_file(&inside);
        }
        let _ = fs::remove_dir(&private);
        placed
    }

    fn put_by_way_of(inside: &Path, path: &Path) -> io::Result<Self> {
        let listener = bind_inside(inside)?;
        fs::set_permissions(inside, Permissions::from_mode(0o600))?;
        let metadata = fs::symlink_metadata(inside)?;
        // The program may change its working directory later.
        let path = absolute(path)?;
        fs::rename(inside, &path)?;
        Ok(Self {
            listener,
            name: OwnedFile(ControlSocketFile {
                path,
                device: metadata.dev(),
                inode: metadata.ino(),
            }),
        })
    }
}

impl ControlSocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the file still is the one of this socket.
    pub(super) fn is_held(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        if self.0.is_held() {
            let _ = fs::remove_file(&self.0.path);
        }
    }
}

/// Binds a socket in the private directory, whose path may be longer than an address.
fn bind_inside(inside: &Path) -> io::Result<net::UnixListener> {
    let Err(error) = net::SocketAddr::from_pathname(inside) else {
        return net::UnixListener::bind(inside);
    };
    let (Some(directory), Some(name)) = (inside.parent(), inside.file_name()) else {
        return Err(error);
    };
    let directory = fs::File::open(directory)?;
    let short = PathBuf::from(sys::descriptor_path(directory.as_raw_fd())).join(name);
    // Where the path of a descriptor does not lead into a directory, the first error is the
    // one that helps.
    net::UnixListener::bind(short).map_err(|_| error)
}

/// Adds the path and the purpose to an error.
fn named(path: &Path, error: &io::Error) -> io::Error {
    let what = format!(
        "cannot create the control socket {}: {error}",
        path.display()
    );
    io::Error::new(error.kind(), what)
}

async fn accept(listener: &UnixListener, clients: &mut Clients) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        clients.add(stream);
    }
}

/// Accepts the clients that connected before the socket lost its name.
async fn accept_queued(listener: &UnixListener, clients: &mut Clients) {
    let accepted = |cx: &mut Context<'_>| match listener.poll_accept(cx) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    };
    while let Some((stream, _)) = poll_fn(accepted).await {
        clients.add(stream);
    }
}

/// Returns whether there is a socket at `path`. Any other file there is an error, as it must
/// not be replaced.
fn holds_socket(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(true),
        Ok(_) => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            format!("{} exists, and is not a socket", path.display()),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a process listens at `path`, without waiting if its queue is full.
fn is_served(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => Ok(true),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Ok(false),
            _ => Err(error),
        },
    }
}

/// Answers the lines of one client until it disconnects, or has to.
async fn attend(
    mut stream: UnixStream,
    client: &Client,
    requests: &mpsc::Sender<Request>,
    ending: &CancellationToken,
) -> io::Result<()> {
    let mut received = Vec::new();
    let mut was_answered = false;
    loop {
        let next = timeout(CLIENT_TIMEOUT, next_line(&mut stream, &mut received));
        let next = coreloop_runtime::select! {
            biased;
            () = client.displaced() => {
                // The operator who connects must not wait for this client to read.
                let _ = stream.try_write(failure("another client took this place").as_bytes());
                return Ok(());
            }
            next = next => next,
            () = ending.cancelled() => {
                return refuse_rest(&mut stream, received, was_answered).await;
            }
        };
        let Ok(line) = next else {
            return refuse(&mut stream, "no command came in time").await;
        };
        let line = match line? {
            Line::Whole(line) => line,
            Line::TooLong => return refuse(&mut stream, "the command is too long").await,
            Line::Unended => return refuse(&mut stream, "the command has no line end").await,
            Line::End => return Ok(()),
        };
        client.request_began(&stream);
        let answer = match Command::parse(&line) {
            Ok(command) => coreloop_runtime::select! {
                biased;
                answer = obey(command, requests) => answer,
                // The client has gone.
                () = client.displaced() => return Ok(()),
            },
            Err(error) => failure(&error),
        };
        client.request_ended();
        let writing = timeout(CLIENT_TIMEOUT, stream.write_all(answer.as_bytes()));
        coreloop_runtime::select! {
            biased;
            written = writing => written??,
            () = client.displaced() => return Ok(()),
        }
        was_answered = true;
    }
}

/// Sends an error to a client that will be disconnected.
async fn refuse(stream: &mut UnixStream, why: &str) -> io::Result<()> {
    timeout(CLIENT_TIMEOUT, stream.write_all(failure(why).as_bytes())).await?
}

/// Answers that the master is ending to each line that was not read yet. A client that has
/// sent none at all gets this answer too, as it may be about to.
async fn refuse_rest(
    stream: &mut UnixStream,
    mut received: Vec<u8>,
    was_answered: bool,
) -> io::Result<()> {
    let mut chunk = [0; MAX_LINE];
    while let Ok(count @ 1..) = stream.try_read(&mut chunk) {
        received.extend_from_slice(&chunk[..count]);
        if received.len() > MAX_CLIENT_QUEUE {
            break;
        }
    }
    let lines = received.iter().filter(|&&byte| byte == b'\n').count();
    let answers = gone().repeat(lines.max(usize::from(!was_answered)));
    timeout(CLIENT_TIMEOUT, stream.write_all(answers.as_bytes())).await?
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    /// The line may be incomplete, such as `scale 1` of `scale 10`.
    Unended,
    End,
}

/// Reads up to the next line end.
async fn next_line(stream: &mut UnixStream, received: &mut Vec<u8>) -> io::Result<Line> {
    loop {
        if let Some(end) = received.iter().position(|&byte| byte == b'\n') {
            let rest = received.split_off(end + 1);
            let mut line = std::mem::replace(received, rest);
            line.pop();
            return Ok(Line::Whole(line));
        }
        if received.len() >= MAX_LINE {
            return Ok(Line::TooLong);
        }
        // At most a line is read, so a client that sends too much has to wait.
        let mut chunk = [0; MAX_LINE];
        let room = MAX_LINE - received.len();
        match stream.read(&mut chunk[..room]).await? {
            0 if received.is_empty() => return Ok(Line::End),
            0 => return Ok(Line::Unended),
            count => received.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Runs a command, and returns the answer for the client.
async fn obey(command: Command, requests: &mpsc::Sender<Request>) -> String {
    match command {
        Command::Help => format!("{HELP}ok\n"),
        Command::Status => {
            let status = ask(requests, Request::Status).await;
            lines(status.map(|status| status.to_string()))
        }
        Command::StatusJson => {
            let status = ask(requests, Request::Status).await;
            lines(status.map(|status| format!("{}\n", status.to_json())))
        }
        Command::Metrics => {
            let metrics = |answer| Request::Metrics(Format::OpenMetrics, answer);
            lines(ask(requests, metrics).await)
        }
        Command::Live => outcome(ask(requests, Request::Live).await),
        Command::Ready => outcome(ask(requests, Request::Ready).await),
        Command::Reload => outcome(ask(requests, Request::Reload).await),
        Command::Upgrade => outcome(ask(requests, Request::Upgrade).await),
        Command::Reopen => outcome(ask(requests, Request::Reopen).await),
        Command::Scale(workers) => {
            let scale = |answer| Request::Scale(Count::Exactly(workers), answer);
            outcome(ask(requests, scale).await)
        }
        Command::Restart(slot) => {
            let restart = |answer| Request::Restart(slot, answer);
            outcome(ask(requests, restart).await)
        }
        Command::Stop => match requests.send(Request::Stop).await {
            Ok(()) => "ok\n".to_owned(),
            Err(_) => gone(),
        },
    }
}

/// Returns the lines of an answer, and `ok` after them.
fn lines(answer: Option<String>) -> String {
    match answer {
        Some(lines) => format!("{lines}ok\n"),
        None => gone(),
    }
}

fn outcome(answer: Option<Result<(), String>>) -> String {
    match answer {
        Some(Ok(())) => "ok\n".to_owned(),
        Some(Err(error)) => failure(&error),
        None => gone(),
    }
}

fn gone() -> String {
    failure(ENDING)
}

/// Formats an error as one line.
fn failure(error: &str) -> String {
    let line = error.lines().collect::<Vec<_>>().join("; ");
    format!("error: {line}\n")
}
