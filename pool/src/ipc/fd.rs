//! [`Fd`], a descriptor inside a message.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::net;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net as unix;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{attach, detach};

/// A descriptor that travels inside a value: an open file, a socket, or the end of a pipe.
///
/// It can be a part of the arguments or the result of a job, and of the messages of
/// [`ipc`](super). The other process gets a duplicate, which refers to the same open file: both
/// share its position and its flags, such as whether it is non-blocking. A message has at most
/// 253 descriptors.
///
/// The value is only borrowed for the encoding. So if the other process waits for the end of a
/// socket or a pipe, drop the `Fd` here after the message was sent.
///
/// # Errors
///
/// Encoding it with any other serializer is an error, and so is decoding it from anything else
/// than a received message.
///
/// # Examples
///
/// ```no_run
/// use std::fs::File;
/// use std::io::{self, Read};
///
/// use coreloop::ipc::Fd;
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// fn length(file: Fd) -> usize {
///     let mut bytes = Vec::new();
///     File::from(file).read_to_end(&mut bytes).unwrap_or(0)
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().workers(1).build()?;
///     let file = Fd::from(File::open("Cargo.toml")?);
///     println!("{} bytes", pool.run(length, file).await?);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Fd(OwnedFd);

impl Serialize for Fd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let position = attach(&self.0).map_err(S::Error::custom)?;
        serializer.serialize_u32(position)
    }
}

impl<'de> Deserialize<'de> for Fd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let position = u32::deserialize(deserializer)?;
        detach(position).map(Self).map_err(D::Error::custom)
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Implements the conversions of a type of the standard library that owns a descriptor.
macro_rules! owned {
    ($($type:ty)*) => {$(
        impl From<$type> for Fd {
            fn from(owner: $type) -> Self {
                Self(owner.into())
            }
        }

        impl From<Fd> for $type {
            fn from(descriptor: Fd) -> Self {
                descriptor.0.into()
            }
        }
    )*};
}

owned! {
    OwnedFd
    File
    PipeReader
    PipeWriter
    net::TcpListener
    net::TcpStream
    net::UdpSocket
    unix::UnixDatagram
    unix::UnixListener
    unix::UnixStream
}

/// Implements the conversions of a socket on the loop.
macro_rules! on_the_loop {
    ($($socket:ident)*) => {$(
        /// Takes the socket off the loop.
        impl TryFrom<coreloop_net::$socket> for Fd {
            type Error = io::Error;

            fn try_from(socket: coreloop_net::$socket) -> io::Result<Self> {
                Ok(Self::from(socket.into_std()?))
            }
        }

        /// Puts the socket on the current loop, and makes it non-blocking, also for the process
        /// that has sent it.
        impl TryFrom<Fd> for coreloop_net::$socket {
            type Error = io::Error;

            fn try_from(descriptor: Fd) -> io::Result<Self> {
                Self::from_std(descriptor.into())
            }
        }
    )*};
}

on_the_loop! {
    TcpListener
    TcpStream
    UdpSocket
    UnixDatagram
    UnixListener
    UnixStream
}

#[cfg(test)]
#[cfg(not(miri))] // The encoding of a list of descriptors needs duplicates.
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::ipc::{MAX_DESCRIPTORS, decode, encode};

    fn sent<T: Serialize>(value: &T) -> (Vec<u8>, Vec<OwnedFd>) {
        let mut bytes = Vec::new();
        let descriptors = encode(value, &mut bytes).unwrap();
        (bytes, descriptors)
    }

    #[test]
    fn a_descriptor_comes_out_of_a_value_as_it_went_in() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (bytes, descriptors) = sent(&("x", Fd::from(writer), 7_u8));
        assert_eq!(descriptors.len(), 1);
        let (text, writer, number): (String, Fd, u8) = decode(&bytes, descriptors).unwrap();
        PipeWriter::from(writer).write_all(b"through").unwrap();
        let mut came = String::new();
        reader.read_to_string(&mut came).unwrap();
        assert_eq!((&*text, &*came, number), ("x", "through", 7));
    }

    #[test]
    fn a_descriptor_that_no_value_takes_is_closed() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (bytes, descriptors) = sent(&Fd::from(writer));
        assert_eq!(decode::<u32>(&bytes, descriptors).unwrap(), 0);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn one_descriptor_more_than_a_message_holds_is_an_error_that_says_so() {
        let (reader, _) = io::pipe().unwrap();
        let clone = || Fd::from(reader.try_clone().unwrap());
        let mut many: Vec<_> = (0..MAX_DESCRIPTORS).map(|_| clone()).collect();
        assert_eq!(sent(&many).1.len(), MAX_DESCRIPTORS);
        many.push(clone());
        let mut bytes = vec![1];
        let error = encode(&many, &mut bytes).unwrap_err();
        assert!(error.contains("at most 253 descriptors"), "{error}");
        assert_eq!(bytes, [1]);
    }

    #[test]
    fn another_serializer_is_an_error_that_says_so() {
        let (reader, _) = io::pipe().unwrap();
        let reader = Fd::from(reader);
        postcard::to_stdvec(&reader).unwrap_err();
        let error = attach(&reader).unwrap_err();
        assert!(error.contains("`coreloop::ipc`"), "{error}");
        let number = serde::de::value::U32Deserializer::<serde::de::value::Error>::new(0);
        let error = Fd::deserialize(number).unwrap_err();
        assert!(error.to_string().contains("`coreloop::ipc`"), "{error}");
    }

    #[test]
    fn a_position_is_taken_once() {
        let (reader, _) = io::pipe().unwrap();
        let (_, descriptors) = sent(&Fd::from(reader));
        let error = decode::<(Fd, Fd)>(&[0, 0], descriptors).unwrap_err();
        assert!(error.contains("no such descriptor"), "{error}");
    }
}
