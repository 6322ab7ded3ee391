//! Peers that become silent, as if their machine had lost power: the kernel drops their packets
//! before TCP handles them, so that the peers neither answer nor refuse.

use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// Makes the kernel drop every packet for `socket` from now on.
pub fn silence(socket: &impl AsFd) {
    const RETURN: u16 = 0x06;
    let drop_all = SockFilter::new(RETURN, 0, 0, 0);
    SockRef::from(socket)
        .attach_filter(&[drop_all])
        .expect("a filter");
}
