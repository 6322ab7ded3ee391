//! [`Packet`], one message of a channel.
//!
//! The first byte says where the body is: after it, or in a file, which is then the first
//! descriptor of the packet, and whose length follows.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendFlags, send};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::wire::rights::Received;
use crate::ipc::wire::send_slices;
use crate::ipc::{MAX_DESCRIPTORS, decode, encode, error};
use crate::sys;

/// A longer body is sent in a file, because the kernel has no packets of any length.
const MAX_INLINE: usize = 128 << 10;

/// The length of the longest packet. One byte more shows that a packet is longer.
pub(super) const BUFFER: usize = 1 + MAX_INLINE + 1;

const INLINE: u8 = 0;
const IN_FILE: u8 = 1;

/// A message that is to be sent.
pub(super) struct Packet {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Packet {
    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// Returns an error if the value does not encode or is too long.
    pub(super) fn new<T: Serialize>(value: &T, max_message: usize) -> io::Result<Self> {
        let mut bytes = vec![INLINE];
        let descriptors =
            encode(value, &mut bytes).map_err(|text| error::does_not_encode(&text))?;
        let length = bytes.len() - 1;
        if length > max_message {
            return Err(error::too_long(length, max_message));
        }
        let mut packet = Self { bytes, descriptors };
        if length > MAX_INLINE {
            packet.move_to_file()?;
        }
        Ok(packet)
    }

    /// Sends the packet.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](ErrorKind::WouldBlock) if the socket is full and `flags` say that
    /// this does not wait, or the error of the system call. Then nothing was sent.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, flags: SendFlags) -> io::Result<()> {
        match retry_on_intr(|| self.send_once(socket, flags)) {
            Ok(_) => Ok(()),
            Err(error) if sys::is_full(error) => Err(ErrorKind::WouldBlock.into()),
            // The system has smaller packets.
            Err(Errno::MSGSIZE) if self.bytes[0] == INLINE => {
                self.move_to_file()?;
                self.send(socket, flags)
            }
            // The receiver was closed, and had packets that it has not read.
            Err(Errno::CONNRESET) => Err(ErrorKind::BrokenPipe.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn send_once(&self, socket: BorrowedFd<'_>, flags: SendFlags) -> rustix::io::Result<usize> {
        match &*self.descriptors {
            [] => send(socket, &self.bytes, flags),
            all => send_slices(socket, &[IoSlice::new(&self.bytes)], all, flags),
        }
    }

    #[cold]
    fn move_to_file(&mut self) -> io::Result<()> {
        if self.descriptors.len() == MAX_DESCRIPTORS {
            return Err(error::invalid(&format!(
                "a long message holds at most {} descriptors",
                MAX_DESCRIPTORS - 1
            )));
        }
        let body = &self.bytes[1..];
        let file = sys::message_file()?;
        let mut rest = body;
        while !rest.is_empty() {
            let count = retry_on_intr(|| rustix::io::write(&file, rest))?;
            rest = &rest[count..];
        }
        if sys::HAS_FIXED_CONTENTS {
            sys::fix_contents(&file)?;
        }
        let length = body.len() as u64;
        self.bytes.clear();
        self.bytes.push(IN_FILE);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.shrink_to_fit();
        self.descriptors.insert(0, file);
        Ok(())
    }
}

/// Decodes the value in a packet, of which these are the bytes.
///
/// # Errors
///
/// Returns an error if the packet has no such value, or has lost its descriptors. The next packet
/// is not affected.
pub(super) fn open<T: DeserializeOwned>(
    bytes: &[u8],
    received: Received,
    max_message: usize,
) -> io::Result<T> {
    let Some((&place, body)) = bytes[..received.count].split_first() else {
        return Err(garbled("it is empty"));
    };
    if received.count == BUFFER {
        return Err(garbled("it is longer than a packet can be"));
    }
    let mut descriptors = received.descriptors.unwrap_or(Ok(Vec::new()))?;
    let kept;
    let body = match place {
        INLINE => body,
        IN_FILE if !descriptors.is_empty() => {
            let length = body.try_into().map_err(|_| garbled("it has no length"))?;
            let file = descriptors.remove(0);
            kept = read(&file, u64::from_le_bytes(length), max_message)?;
            &kept
        }
        _ => return Err(garbled("it has an invalid start")),
    };
    if body.len() > max_message {
        return Err(error::too_long_to_receive(body.len() as u64, max_message));
    }
    decode(body, descriptors).map_err(|text| error::does_not_decode(&text))
}

/// Reads the body in a file.
fn read(file: &OwnedFd, length: u64, max_message: usize) -> io::Result<Vec<u8>> {
    let found = sys::inspect(file)?;
    // Reading another file could block.
    if sys::HAS_FIXED_CONTENTS && !found.has_fixed_contents {
        return Err(garbled("its file is not a sealed one"));
    }
    if length != found.size {
        return Err(garbled("its file has another length"));
    }
    let length = usize::try_from(length)
        .ok()
        .filter(|&length| length <= max_message)
        .ok_or_else(|| error::too_long_to_receive(length, max_message))?;
    let mut body = vec![0; length];
    let mut at = 0;
    while at < length {
        let count = retry_on_intr(|| rustix::io::pread(file, &mut body[at..], at as u64))?;
        if count == 0 {
            return Err(garbled("its file was shortened"));
        }
        at += count;
    }
    Ok(body)
}

fn garbled(why: &str) -> io::Error {
    let text = format!("a message is not one of a channel: {why}");
    io::Error::new(ErrorKind::InvalidData, text)
}
