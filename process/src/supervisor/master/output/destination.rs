//! [`Destination`], a stream or a file that lines are written to.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

/// The most bytes that are written at once to a pipe, unless a line has more. The kernel does
/// not mix them with what others write to the same pipe, such as the other master of an upgrade.
/// It is `PIPE_BUF` on Linux; systems where that is less mix only what others write.
const PIPE_CHUNK: usize = 4096;

/// How long the thread waits if a file says that it can be written, and then that it cannot.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) enum Destination {
    Stdout,
    Stderr,
    File(LogFile),
}

/// A file that can be opened again.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
}

/// Why some bytes were not written, and how many were.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) written: usize,
    pub(super) why: String,
}

impl Destination {
    /// Writes all lines. Waits while a pipe is full, also if it is in non-blocking mode.
    pub(super) fn write_lines(&self, lines: &[u8]) -> Result<(), Unwritten> {
        match self {
            Self::Stdout => write_lines(io::stdout().as_fd(), lines),
            Self::Stderr => write_lines(io::stderr().as_fd(), lines),
            Self::File(file) => write_lines(file.file.as_fd(), lines),
        }
    }
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o644);
        match options.open(path) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("cannot open the log file {}: {error}", path.display()),
            )),
        }
    }

    #[cfg(test)]
    pub(super) fn from_file(file: impl Into<std::os::fd::OwnedFd>) -> Self {
        Self {
            path: PathBuf::new(),
            file: File::from(file.into()),
        }
    }

    /// Opens the file that is at the path now.
    pub(super) fn reopened(&self) -> io::Result<Self> {
        Self::open(&self.path)
    }
}

fn write_lines(to: BorrowedFd<'_>, lines: &[u8]) -> Result<(), Unwritten> {
    let is_file = fstat(to)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
    let mut written = 0;
    while written < lines.len() {
        let rest = &lines[written..];
        let chunk = if is_file {
            rest
        } else {
            &rest[..chunk_of(rest)]
        };
        let mut done = 0;
        while done < chunk.len() {
            match write_some(to, &chunk[done..]) {
                Ok(count) => done += count,
                Err(error) => {
                    return Err(Unwritten {
                        written: written + done,
                        why: describe(&error),
                    });
                }
            }
        }
        written += chunk.len();
    }
    Ok(())
}

/// Returns the length of the lines that are written at once.
fn chunk_of(lines: &[u8]) -> usize {
    let first = &lines[..lines.len().min(PIPE_CHUNK)];
    let end_of = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte == b'\n');
    if let Some(end) = end_of(first) {
        return end + 1;
    }
    let end = lines.iter().position(|&byte| byte == b'\n');
    end.map_or(lines.len(), |end| end + 1)
}

fn write_some(to: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut has_waited = false;
    loop {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // A file that is always ready to `poll` must not be asked in a tight loop.
                if has_waited {
                    thread::sleep(PAUSE);
                }
                has_waited = true;
                // If this fails, the next write shows the error of the file.
                let _ = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Describes an error without its number.
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
