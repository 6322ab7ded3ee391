//! The descriptors of streams and halves, for splice and sendfile.

use std::os::fd::OwnedFd;

use coreloop_runtime::io::Async;

use super::ByteStream;
use crate::io::{Descriptor, SpliceSource, SpliceTarget};
use crate::{tcp, unix};

macro_rules! descriptor {
    ($($type:ty: $($what:ident)+;)*) => {$(
        impl Descriptor for $type {
            fn descriptor(&self) -> &Async<OwnedFd> {
                self.stream().io()
            }
        }

        $(impl $what for $type {})+
    )*};
}

descriptor! {
    tcp::TcpStream: SpliceSource SpliceTarget;
    &tcp::TcpStream: SpliceSource SpliceTarget;
    tcp::ReadHalf<'_>: SpliceSource;
    tcp::OwnedReadHalf: SpliceSource;
    tcp::WriteHalf<'_>: SpliceTarget;
    tcp::OwnedWriteHalf: SpliceTarget;
    unix::UnixStream: SpliceSource SpliceTarget;
    &unix::UnixStream: SpliceSource SpliceTarget;
    unix::ReadHalf<'_>: SpliceSource;
    unix::OwnedReadHalf: SpliceSource;
    unix::WriteHalf<'_>: SpliceTarget;
    unix::OwnedWriteHalf: SpliceTarget;
}
