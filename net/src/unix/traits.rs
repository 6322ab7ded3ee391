//! The traits of [`UnixStream`] and its halves, for reading, writing and splicing.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, UnixStream, WriteHalf};
use crate::io::splice_sockets;
use crate::stream::{read_traits, shared_traits, write_traits};

read_traits!(UnixStream, ReadHalf<'_>, OwnedReadHalf);
write_traits!(UnixStream, WriteHalf<'_>, OwnedWriteHalf);
shared_traits!(&UnixStream);

splice_sockets! {
    UnixStream: SpliceSource SpliceTarget;
    &UnixStream: SpliceSource SpliceTarget;
    ReadHalf<'_>: SpliceSource;
    OwnedReadHalf: SpliceSource;
    WriteHalf<'_>: SpliceTarget;
    OwnedWriteHalf: SpliceTarget;
}
