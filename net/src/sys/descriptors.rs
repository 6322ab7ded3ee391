//! Descriptors beside bytes, in control messages of the kind `SCM_RIGHTS`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrAny, SocketAddrUnix,
};

use super::NO_SIGPIPE;
use super::platform::{RECEIVE_DESCRIPTORS, close_on_exec, keeps_bytes_without_descriptors};

/// The maximum number of descriptors in one message: `SCM_MAX_FD` of Linux, unix(7).
pub(crate) const MAX_DESCRIPTORS: usize = 253;

const SPACE_TO_SEND: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS));

/// Some more than the descriptors need: options of the socket, such as `SO_PASSCRED`, make the
/// system add messages of its own, and without room for them it would drop descriptors.
const SPACE_TO_RECEIVE: usize = SPACE_TO_SEND + 256;

/// What one call of `recvmsg` has received, with the sender in the form `A`.
pub(crate) struct Message<A> {
    pub(crate) length: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether the message came with more descriptors than these.
    pub(crate) lost_some: bool,
    pub(crate) from: A,
}

/// Returns an error if there are more descriptors than one message can bring.
pub(crate) fn check_number(descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a message brings at most {MAX_DESCRIPTORS} descriptors, and these are {}: \
                 send them in several messages",
                descriptors.len()
            ),
        ));
    }
    Ok(())
}

/// Sends bytes with duplicates of the descriptors: all of them, or none if this fails.
pub(crate) fn send_with_descriptors(
    socket: impl AsFd,
    buffers: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    to: Option<&SocketAddrUnix>,
    flags: SendFlags,
) -> io::Result<usize> {
    check_number(descriptors)?;
    let mut space = [MaybeUninit::uninit(); SPACE_TO_SEND];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "there is space for the maximum");
    }
    let flags = flags | NO_SIGPIPE;
    Ok(match to {
        Some(to) => rustix::net::sendmsg_addr(socket, to, buffers, &mut control, flags)?,
        None => rustix::net::sendmsg(socket, buffers, &mut control, flags)?,
    })
}

/// Receives bytes with the descriptors that came with them, all of which are closed on `exec`.
/// `sender` converts the address of the sender.
#[inline]
pub(crate) fn receive_with_descriptors<A>(
    socket: impl AsFd,
    buffers: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
    sender: impl FnOnce(Option<SocketAddrAny>) -> A,
) -> io::Result<Message<A>> {
    let mut space = [MaybeUninit::uninit(); SPACE_TO_RECEIVE];
    // All that was received is taken below. Dropping this would look for more.
    let mut control = ManuallyDrop::new(RecvAncillaryBuffer::new(&mut space));
    let flags = flags | RECEIVE_DESCRIPTORS;
    let received = rustix::net::recvmsg(socket, buffers, &mut control, flags)?;
    let mut message = Message {
        length: received.bytes,
        descriptors: Vec::new(),
        lost_some: received.flags.contains(ReturnFlags::CTRUNC),
        from: sender(received.address),
    };
    for control in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = control {
            for descriptor in descriptors {
                match close_on_exec(&descriptor) {
                    Ok(()) => message.descriptors.push(descriptor),
                    // The bytes have been taken from the socket and must be returned.
                    Err(_) => message.lost_some = true,
                }
            }
        }
    }
    Ok(message)
}

/// Receives like [`receive_with_descriptors`] from a stream. If the system has no room for
/// descriptors, it may return an error, and the bytes only at the next call. This returns the
/// bytes on every system.
#[inline]
pub(crate) fn read_with_descriptors(
    stream: impl AsFd,
    buffers: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> io::Result<Message<()>> {
    match receive_with_descriptors(&stream, buffers, flags, drop) {
        Err(error) if Errno::from_io_error(&error).is_some_and(keeps_bytes_without_descriptors) => {
            let flags = flags | RecvFlags::DONTWAIT;
            let again = receive_with_descriptors(&stream, buffers, flags, drop);
            // If there are no bytes, the error had another cause.
            let mut message = again.map_err(|_| error)?;
            message.lost_some = true;
            Ok(message)
        }
        received => received,
    }
}
