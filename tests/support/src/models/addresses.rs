//! Strings as socket addresses: a numeric address is parsed like std does, without waiting, and
//! an invalid one is refused. Names are not resolved.

use std::io;
use std::net::{IpAddr, SocketAddr};

use coreloop::net::lookup_host;
use futures_lite::future::{block_on, poll_once};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let expected = match text.parse::<SocketAddr>() {
        Ok(address) => Ok(address),
        Err(_) => match text.rsplit_once(':') {
            None => Err(()),
            Some((host, port)) => match (host.parse::<IpAddr>(), port.parse()) {
                (_, Err(_)) => Err(()),
                (Ok(ip), Ok(port)) => Ok(SocketAddr::new(ip, port)),
                (Err(_), Ok(_)) => return,
            },
        },
    };
    let found = block_on(poll_once(lookup_host(text))).expect("nothing numeric is waited for");
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found.collect::<Vec<_>>(), [expected]),
        (Err(error), Err(())) => assert_eq!(error.kind(), io::ErrorKind::InvalidInput),
        (found, expected) => panic!(
            "{text:?} is {:?}, not {expected:?}",
            found.map(Iterator::collect::<Vec<_>>)
        ),
    }
}
