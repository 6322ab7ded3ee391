//! The descriptors of streams and halves, for splice and sendfile.

use std::os::fd::OwnedFd;

use coreloop_runtime::io::Async;

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};
use crate::io::{Descriptor, SpliceSource, SpliceTarget};

macro_rules! descriptor {
    ($($type:ty: $($what:ident)+;)*) => {$(
        impl Descriptor for $type {
            fn descriptor(&self) -> &Async<OwnedFd> {
                &self.stream().io
            }
        }

        $(impl $what for $type {})+
    )*};
}

descriptor! {
    TcpStream: SpliceSource SpliceTarget;
    &TcpStream: SpliceSource SpliceTarget;
    ReadHalf<'_>: SpliceSource;
    OwnedReadHalf: SpliceSource;
    WriteHalf<'_>: SpliceTarget;
    OwnedWriteHalf: SpliceTarget;
}
