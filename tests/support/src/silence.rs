//! Peers that go silent, as when their machine loses power: the kernel drops what
//! reaches them before TCP sees it, so that they neither answer nor refuse.

use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// Has the kernel drop every packet for `socket` from now on.
pub fn silence(socket: &impl AsFd) {
    const RETURN: u16 = 0x06;
    let drop_all = SockFilter::new(RETURN, 0, 0, 0);
    SockRef::from(socket)
        .attach_filter(&[drop_all])
        .expect("a filter");
}
