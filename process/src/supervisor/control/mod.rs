//! The control socket of a master: [`ControlSocket`], at which it takes requests
//! as [`Control`] describes them.
//!
//! 1. The socket has mode 0600 from the moment that it has its name: it is made in
//!    a directory that only the master may enter, and then renamed. The process's
//!    umask, which belongs to all threads, is not touched.
//! 2. A name is taken away at the end only if it still is that of this socket: a
//!    successor has put its own there by then.
//! 3. Of several masters that find a name that is free, one has it, and the others
//!    an error.
//! 4. No client holds up another, or the master: each has its own task, a bound on
//!    what it may send and on how long it may be silent or not read.

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

/// How long a client may say nothing, or not read its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// With the line end.
const LONGEST_LINE: usize = 128;

const MOST_CLIENTS: usize = 32;

/// A control socket with its name, which is taken away when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: net::UnixListener,
    name: Name,
}

/// A name in the file system, for as long as it is ours.
#[derive(Debug)]
struct Name(Place);

/// Where a control socket was put, and which it is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl ControlSocket {
    /// Makes the socket of a master that is the first at `path`. What a master that
    /// was killed left there is replaced.
    pub(crate) fn bind(path: &Path) -> io::Result<ControlSocket> {
        let _lock = NameLock::of(path);
        if holds_socket(path)? && is_served(path)? {
            return Err(io::Error::new(
                ErrorKind::AddrInUse,
                format!("another process serves {}", path.display()),
            ));
        }
        ControlSocket::put(path)
    }

    /// Makes the socket of a successor: it replaces that of the old master, which
    /// keeps the clients that it has.
    pub(crate) fn take_over(path: &Path) -> io::Result<ControlSocket> {
        let _lock = NameLock::of(path);
        holds_socket(path)?;
        ControlSocket::put(path)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.name.0
    }

    /// Serves clients until the future is dropped, or the listener fails. When it is
    /// `replaced`, only those that are there already.
    pub(crate) fn serve(
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

    fn put(path: &Path) -> io::Result<ControlSocket> {
        let file = path
            .file_name()
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
        let mut private = std::ffi::OsString::from(".");
        private.push(file);
        private.push(format!(".{:04x}", fastrand::u16(..)));
        let private = path.with_file_name(private);
        DirBuilder::new().mode(0o700).create(&private)?;
        let inside = private.join("s");
        let placed = ControlSocket::put_by_way_of(&inside, path);
        if placed.is_err() {
            let _ = fs::remove_file(&inside);
        }
        let _ = fs::remove_dir(&private);
        placed
    }

    fn put_by_way_of(inside: &Path, path: &Path) -> io::Result<ControlSocket> {
        let listener = net::UnixListener::bind(inside)?;
        fs::set_permissions(inside, Permissions::from_mode(0o600))?;
        let metadata = fs::symlink_metadata(inside)?;
        // The program may change its directory later.
        let path = absolute(path)?;
        fs::rename(inside, &path)?;
        Ok(ControlSocket {
            listener,
            name: Name(Place {
                path,
                device: metadata.dev(),
                inode: metadata.ino(),
            }),
        })
    }
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the socket still is where it was put.
    pub(crate) fn is_held(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for Name {
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
        if clients.len() < MOST_CLIENTS {
            let requests = requests.clone();
            clients.spawn(async move { attend(stream, &requests).await });
        } else {
            // A new connection has room for this much.
            let _ = stream.try_write(failure("too many clients").as_bytes());
        }
    }
}

/// Whether there is a socket; anything else that is there is an error, as it is not
/// ours to replace.
fn holds_socket(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(true),
        Ok(_) => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            format!("{} is there, and is not a socket", path.display()),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether anybody listens there. Does not wait for one whose queue is full.
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

/// Answers one client's lines until it leaves.
async fn attend(mut stream: UnixStream, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        let Ok(line) = timeout(PATIENCE, next_line(&mut stream, &mut received)).await else {
            return refuse(&mut stream, "no command came for too long").await;
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
        timeout(PATIENCE, stream.write_all(answer.as_bytes())).await??;
    }
}

/// The last words to a client.
async fn refuse(stream: &mut UnixStream, why: &str) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(failure(why).as_bytes())).await?
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    /// It may have been meant to go on: `scale 1` of `scale 10`.
    Unended,
    End,
}

/// Reads on to the next line end.
async fn next_line(stream: &mut UnixStream, received: &mut Vec<u8>) -> io::Result<Line> {
    loop {
        if let Some(end) = received.iter().position(|&byte| byte == b'\n') {
            let rest = received.split_off(end + 1);
            let mut line = std::mem::replace(received, rest);
            line.pop();
            return Ok(Line::Whole(line));
        }
        if received.len() >= LONGEST_LINE {
            return Ok(Line::TooLong);
        }
        // No more is taken than a line, so a client that sends and sends waits.
        let mut chunk = [0; LONGEST_LINE];
        let room = LONGEST_LINE - received.len();
        match stream.read(&mut chunk[..room]).await? {
            0 if received.is_empty() => return Ok(Line::End),
            0 => return Ok(Line::Unended),
            count => received.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Has the command done; answers what the client is to read.
async fn obey(command: Command, requests: &mpsc::Sender<Request>) -> String {
    match command {
        Command::Help => format!("{HELP}ok\n"),
        Command::Status => match ask(requests, Request::Status).await {
            Some(status) => format!("{status}ok\n"),
            None => gone(),
        },
        Command::Reload => outcome(ask(requests, Request::Reload).await),
        Command::Upgrade => outcome(ask(requests, Request::Upgrade).await),
        Command::Scale(workers) => {
            let scale = |answer| Request::Scale(Count::Exactly(workers), answer);
            outcome(ask(requests, scale).await)
        }
        Command::Stop => match requests.send(Request::Stop).await {
            Ok(()) => "ok\n".to_owned(),
            Err(_) => gone(),
        },
    }
}

/// `None` if the master ends before it answers.
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

/// One line, whatever the error.
fn failure(error: &str) -> String {
    let line = error.lines().collect::<Vec<_>>().join("; ");
    format!("error: {line}\n")
}
