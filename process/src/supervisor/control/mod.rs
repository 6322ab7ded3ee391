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

mod client;
mod command;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use coreloop_net::{UnixListener, UnixStream};
use coreloop_runtime::task::JoinSet;
use coreloop_runtime::time::timeout;
use coreloop_sync::{CancellationToken, mpsc, oneshot};
use socket2::{Domain, SockAddr, Socket, Type};

pub use client::Control;
use command::{Command, HELP};

use super::request::{Count, Request};
use crate::name_lock::NameLock;

/// How long a client may send nothing, or not read its answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum length of a line, with its end.
const MAX_LINE: usize = 128;

const MAX_CLIENTS: usize = 32;

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
        if holds_socket(path)? && is_served(path)? {
            return Err(io::Error::new(
                ErrorKind::AddrInUse,
                format!("another process serves {}", path.display()),
            ));
        }
        Self::put(path)
    }

    /// Creates the socket of a successor in place of the old master's socket. The old master
    /// keeps its connected clients.
    pub(super) fn take_over(path: &Path) -> io::Result<Self> {
        let _lock = NameLock::of(path);
        holds_socket(path)?;
        Self::put(path)
    }

    pub(super) fn file(&self) -> &ControlSocketFile {
        &self.name.0
    }

    /// Serves clients until the future is dropped, or the listener fails. Once `replaced` is
    /// cancelled, serves only the clients that are connected already.
    pub(super) fn serve(
        self,
        requests: mpsc::Sender<Request>,
        replaced: CancellationToken,
    ) -> io::Result<impl Future<Output = io::Result<()>>> {
        let listener = UnixListener::from_std(self.listener)?;
        let name = self.name;
        Ok(async move {
            let mut clients = JoinSet::new();
            let accepting = accept(listener, requests, &mut clients);
            let accepted = replaced.run_until_cancelled(accepting).await;
            drop(name);
            while clients.join_next().await.is_some() {}
            accepted.unwrap_or(Ok(()))
        })
    }

    fn put(path: &Path) -> io::Result<Self> {
        let file = path
            .file_name()
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
        let mut private = std::ffi::OsString::from(".");
        private.push(file);
        private.push(format!(".{:04x}", fastrand::u16(..)));
        let private = path.with_file_name(private);
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
        let listener = net::UnixListener::bind(inside)?;
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

async fn accept(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    clients: &mut JoinSet<io::Result<()>>,
) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        while clients.try_join_next().is_some() {}
        if clients.len() < MAX_CLIENTS {
            let requests = requests.clone();
            clients.spawn(async move { attend(stream, &requests).await });
        } else {
            // The empty buffer of a new connection has room for this.
            let _ = stream.try_write(failure("too many clients").as_bytes());
        }
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

/// Answers the lines of one client until it disconnects.
async fn attend(mut stream: UnixStream, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        let Ok(line) = timeout(CLIENT_TIMEOUT, next_line(&mut stream, &mut received)).await else {
            return refuse(&mut stream, "no command came in time").await;
        };
        let line = match line? {
            Line::Whole(line) => line,
            Line::TooLong => return refuse(&mut stream, "the command is too long").await,
            Line::Unended => return refuse(&mut stream, "the command has no line end").await,
            Line::End => return Ok(()),
        };
        let answer = match Command::parse(&line) {
            Ok(command) => obey(command, requests).await,
            Err(error) => failure(&error),
        };
        timeout(CLIENT_TIMEOUT, stream.write_all(answer.as_bytes())).await??;
    }
}

/// Sends an error to a client that will be disconnected.
async fn refuse(stream: &mut UnixStream, why: &str) -> io::Result<()> {
    timeout(CLIENT_TIMEOUT, stream.write_all(failure(why).as_bytes())).await?
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
        Command::Status => match ask(requests, Request::Status).await {
            Some(status) => format!("{status}ok\n"),
            None => gone(),
        },
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

/// Sends a request and waits for the answer; `None` if the master ends before.
async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<T>) -> Request,
) -> Option<T> {
    let (sender, answer) = oneshot::channel();
    requests.send(request(sender)).await.ok()?;
    answer.await.ok()
}

fn outcome(answer: Option<Result<(), String>>) -> String {
    match answer {
        Some(Ok(())) => "ok\n".to_owned(),
        Some(Err(error)) => failure(&error),
        None => gone(),
    }
}

fn gone() -> String {
    failure("the master is ending")
}

/// Formats an error as one line.
fn failure(error: &str) -> String {
    let line = error.lines().collect::<Vec<_>>().join("; ");
    format!("error: {line}\n")
}
