//! The system's side of splicing.
//!
//! Contract: no call waits, each moves at most what it says, and `is_refusal`
//! tells the errors after which the same bytes can be copied instead. Elsewhere
//! than on Linux, and under Miri, there is no pipe to be had.

#[cfg(all(any(target_os = "android", target_os = "linux"), not(miri)))]
mod linux {
    use std::io::{self, PipeReader, PipeWriter, Read};
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};
    use rustix::pipe::{SpliceFlags, splice};

    /// More than a pipe holds, whatever it is.
    const ALL: usize = 1 << 20;

    /// A pipe of the size that the system gives. A larger one is taken from what
    /// the user may have, and past that the system gives ever smaller ones.
    pub(in crate::io) struct Pipe {
        reader: PipeReader,
        writer: PipeWriter,
    }

    impl Pipe {
        pub(in crate::io) fn open() -> Option<Pipe> {
            let (reader, writer) = io::pipe().ok()?;
            Some(Pipe { reader, writer })
        }

        /// The pipe is empty.
        ///
        /// Splicing comes to a halt before a byte of urgent data, as if nothing
        /// were there, or, once the peer has closed, as if that were the end. So
        /// neither is believed before a look says the same; and if there is
        /// something, also the second time, splicing gives up.
        pub(in crate::io) fn fill_from(&self, socket: &OwnedFd) -> io::Result<usize> {
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

        /// The pipe holds `held` bytes.
        pub(in crate::io) fn empty_into(&self, socket: &OwnedFd, held: usize) -> io::Result<usize> {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            Ok(splice(&self.reader, None, socket, None, held, flags)?)
        }

        /// Takes out the `held` bytes that the pipe holds.
        pub(in crate::io) fn drain(&self, held: usize) -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; held];
            (&self.reader).read_exact(&mut bytes)?;
            Ok(bytes)
        }
    }
}

#[cfg(not(all(any(target_os = "android", target_os = "linux"), not(miri))))]
mod elsewhere {
    use std::io;
    use std::os::fd::OwnedFd;

    pub(in crate::io) enum Pipe {}

    impl Pipe {
        pub(in crate::io) fn open() -> Option<Pipe> {
            None
        }

        pub(in crate::io) fn fill_from(&self, _socket: &OwnedFd) -> io::Result<usize> {
            match *self {}
        }

        pub(in crate::io) fn empty_into(
            &self,
            _socket: &OwnedFd,
            _held: usize,
        ) -> io::Result<usize> {
            match *self {}
        }

        pub(in crate::io) fn drain(&self, _held: usize) -> io::Result<Vec<u8>> {
            match *self {}
        }
    }
}

use std::io;

use rustix::io::Errno;

#[cfg(not(all(any(target_os = "android", target_os = "linux"), not(miri))))]
pub(super) use elsewhere::Pipe;
#[cfg(all(any(target_os = "android", target_os = "linux"), not(miri)))]
pub(super) use linux::Pipe;

/// Whether the system cannot do this between such descriptors, or at all.
pub(in crate::io) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
    )
}
