//! Moving bytes without copying them: splice(2) and sendfile(2).
//!
//! No call waits, and each moves at most as many bytes as it is asked to.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::pipe::{SpliceFlags, splice};
use socket2::SockRef;

/// More bytes than any pipe holds.
const ALL: usize = 1 << 20;

/// The maximum for one call of sendfile(2), so that a call neither takes long nor reads far
/// ahead.
const MAX_SENDFILE: usize = 256 << 10;

/// A pipe of the default size. A larger pipe counts towards a limit of the user, beyond which
/// the system creates ever smaller pipes.
pub(crate) struct KernelPipe {
    reader: PipeReader,
    writer: PipeWriter,
}

impl KernelPipe {
    pub(crate) fn open() -> Option<Self> {
        let (reader, writer) = io::pipe().ok()?;
        Some(Self { reader, writer })
    }

    /// Fills the pipe, which must be empty, from `socket`.
    ///
    /// splice(2) stops before a byte of urgent data, and reports that no bytes are there, or
    /// the end of the stream once the peer has closed. So neither report is believed before a
    /// peek confirms it; and if the peek finds bytes twice, splicing is refused.
    pub(crate) fn fill_from(&self, socket: &OwnedFd) -> io::Result<usize> {
        for _ in 0..2 {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            match splice(socket, None, &self.writer, None, ALL, flags) {
                Ok(0) | Err(Errno::AGAIN) => {}
                result => return Ok(result?),
            }
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            if let (_, 0) = recv(socket, &mut [0], flags)? {
                return Ok(0);
            }
        }
        Err(Errno::INVAL.into())
    }

    /// Moves bytes from the pipe, which holds `held` bytes, to `socket`.
    pub(crate) fn empty_into(&self, socket: &OwnedFd, held: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        Ok(splice(&self.reader, None, socket, None, held, flags)?)
    }

    /// Removes the `held` bytes that the pipe holds, and returns them.
    pub(crate) fn drain(&self, held: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; held];
        (&self.reader).read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Sends bytes of `file` from the start of `range`, and moves the start.
pub(crate) fn sendfile(socket: &OwnedFd, file: &File, range: &mut Range<u64>) -> io::Result<usize> {
    // Where pointers have 32 bits, socket2 passes an offset of 32 bits.
    let Ok(at) = isize::try_from(range.start) else {
        return Err(Errno::INVAL.into());
    };
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let length = NonZeroUsize::new(length.min(MAX_SENDFILE));
    // rustix has this call too, in a module that takes a third of its time to compile.
    let count = SockRef::from(socket).sendfile(file, at.unsigned_abs(), length)?;
    range.start += count as u64;
    Ok(count)
}
