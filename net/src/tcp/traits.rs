//! The traits of [`TcpStream`] and its halves, for reading, writing and splicing.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};
use crate::io::splice_sockets;
use crate::stream::{read_traits, shared_traits, write_traits};

read_traits!(TcpStream, ReadHalf<'_>, OwnedReadHalf);
write_traits!(TcpStream, WriteHalf<'_>, OwnedWriteHalf);
shared_traits!(&TcpStream);

splice_sockets! {
    TcpStream: SpliceSource SpliceTarget;
    &TcpStream: SpliceSource SpliceTarget;
    ReadHalf<'_>: SpliceSource;
    OwnedReadHalf: SpliceSource;
    WriteHalf<'_>: SpliceTarget;
    OwnedWriteHalf: SpliceTarget;
}
