//! Names with several addresses on the loopback, and ports that are in use.

use std::cell::RefCell;
use std::net::{TcpListener, TcpStream};

use super::*;
use coreloop_test_support::skip::skipped;

fn every(names: &[&str]) -> io::Result<Vec<SocketGroup>> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    SocketGroup::every(&names, SocketOptions::new(), |_, _, _| Ok(None))
}

fn addresses(groups: &[SocketGroup]) -> Vec<SocketAddr> {
    let addresses = groups.iter().map(|group| group.local_addr().unwrap());
    addresses.collect()
}

fn wanted(names: &[&str]) -> Vec<Wanted> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    resolve(&names).unwrap()
}

fn parse(addresses: &[&str]) -> Vec<SocketAddr> {
    let parsed = addresses.iter().map(|address| address.parse().unwrap());
    parsed.collect()
}

#[test]
fn each_address_has_a_group_and_port_0_is_one_port_for_all() {
    let groups = every(&["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"]).unwrap();
    let bound = addresses(&groups);
    let port = bound[0].port();
    assert_ne!(port, 0);
    let expected = ["127.0.0.1", "127.0.0.2"].map(|ip| format!("{ip}:{port}"));
    assert_eq!(bound, parse(&expected.each_ref().map(String::as_str)));
    assert_eq!(groups[1].address(), "127.0.0.2:0");
    for address in bound {
        TcpStream::connect(address).unwrap();
    }
}

#[test]
fn a_wildcard_of_each_family_can_be_bound_together() {
    if !has_ipv6() {
        skipped("this host has no IPv6, so no socket of both families is tested");
        return;
    }
    for names in [["0.0.0.0:0", "[::]:0"], ["[::]:0", "0.0.0.0:0"]] {
        let groups = every(&names).unwrap();
        let port = groups[0].local_addr().unwrap().port();
        for (group, name) in groups.iter().zip(names) {
            let ip = if name.starts_with('[') {
                "[::1]"
            } else {
                "127.0.0.1"
            };
            let client = TcpStream::connect(format!("{ip}:{port}")).unwrap();
            let listener = TcpListener::from(group.socket(0).try_clone_to_owned().unwrap());
            listener.set_nonblocking(false).unwrap();
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    }
    // Alone, it gets connections of IPv4 too, as with `bind`.
    let groups = every(&["[::]:0"]).unwrap();
    let port = groups[0].local_addr().unwrap().port();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
}

#[test]
fn addresses_with_a_port_keep_it() {
    let free = TcpListener::bind("127.0.0.3:0").unwrap();
    let given = free.local_addr().unwrap();
    drop(free);
    let groups = every(&["127.0.0.1:0", &given.to_string(), "127.0.0.2:0"]).unwrap();
    let bound = addresses(&groups);
    assert_eq!(bound[1], given);
    assert_eq!(bound[0].port(), bound[2].port());
}

#[test]
fn errors_name_the_address() {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let in_use = listener.local_addr().unwrap().to_string();
    for (names, kind, text) in [
        (
            &["127.0.0.1:0", "127.0.0.1"][..],
            ErrorKind::InvalidInput,
            "cannot listen on 127.0.0.1: ",
        ),
        (
            &["127.0.0.1:0", &in_use],
            ErrorKind::AddrInUse,
            &format!("cannot listen on {in_use}: "),
        ),
        (
            &["127.0.0.1:0", "192.0.2.1:0"],
            ErrorKind::AddrNotAvailable,
            "cannot listen on 192.0.2.1:0 at 192.0.2.1:",
        ),
        (
            &[],
            ErrorKind::InvalidInput,
            "no address to listen on was given",
        ),
    ] {
        let error = every(names).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with(text), "{error}");
    }
    let names = ["a:1", "b:1"].map(str::to_owned);
    let options = SocketOptions::new().mode(0o600);
    let error = SocketGroup::every(&names, options, |_, _, _| Ok(None)).unwrap_err();
    let text = "cannot listen on a:1 and b:1: TCP sockets have no option `mode`";
    assert_eq!(error.to_string(), text);
}

/// A name such as `localhost` often has an address of IPv6 on hosts without it. One that was
/// given as an address must not be left out, wherever it is in the list.
#[test]
fn only_an_ipv6_address_of_a_name_that_has_ipv4_too_may_be_absent() {
    let may_be_absent = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let wanted = resolve_by(&names, |name| {
            Ok(parse(match name {
                "both" => &["127.0.0.1:1", "[::1]:1", "127.0.0.1:1"],
                "v6" => &["[::2]:1"],
                other => return Ok(parse(&[other])),
            }))
        });
        let wanted = wanted.unwrap().into_iter();
        let wanted = wanted.map(|wanted| (wanted.address.to_string(), wanted.may_be_absent));
        wanted.collect::<Vec<_>>()
    };
    let expected = |all: &[(&str, bool)]| {
        let all = all.iter().map(|&(address, may)| (address.to_owned(), may));
        all.collect::<Vec<_>>()
    };
    assert_eq!(
        may_be_absent(&["both", "v6", "both"]),
        expected(&[
            ("127.0.0.1:1", false),
            ("[::1]:1", true),
            ("[::2]:1", false)
        ])
    );
    assert_eq!(
        may_be_absent(&["both", "[::1]:1"]),
        expected(&[("127.0.0.1:1", false), ("[::1]:1", false)])
    );
    assert_eq!(
        may_be_absent(&["[::1]:1", "both"]),
        expected(&[("[::1]:1", false), ("127.0.0.1:1", false)])
    );
}

#[test]
fn an_address_is_left_out_only_if_the_host_has_no_ipv6() {
    let absent = Wanted {
        name: "name:0".to_owned(),
        address: "192.0.2.1:0".parse().unwrap(),
        may_be_absent: true,
    };
    let listened = absent.listen(absent.address, &SocketOptions::new());
    if has_ipv6() {
        let error = listened.unwrap_err();
        let text = "cannot listen on name:0 at 192.0.2.1:0: ";
        assert!(error.to_string().starts_with(text), "{error}");
    } else {
        assert!(listened.unwrap().is_none());
    }
}

#[test]
fn inherited_sockets_are_found_by_the_address_to_which_they_are_bound() {
    let bound: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let fixed = &wanted(&["127.0.0.1:8080"])[0];
    assert!(fixed.is_same("localhost:8080", bound, None));
    assert!(fixed.is_same("127.0.0.1:0", bound, Some(9)));
    assert!(!fixed.is_same("127.0.0.1:8080", "127.0.0.2:8080".parse().unwrap(), None));

    let open = &wanted(&["127.0.0.1:0"])[0];
    assert!(open.is_same("127.0.0.1:0", bound, None));
    assert!(open.is_same("127.0.0.1:0", bound, Some(8080)));
    assert!(!open.is_same("127.0.0.1:0", bound, Some(9)));
    assert!(!open.is_same("127.0.0.1:8080", bound, None));
    let names = wanted(&["localhost:0"]);
    let v4 = names.iter().find(|wanted| wanted.address.is_ipv4());
    for given in ["localhost:0", "127.0.0.1:0"] {
        assert!(v4.unwrap().is_same(given, bound, None));
    }
}

/// The ports of a host as a test wants them: which the system chooses, and which are in use.
fn bind_among(
    addresses: &[&str],
    chosen: &[u16],
    in_use: &[&str],
    port: Option<u16>,
) -> (io::Result<Vec<Option<SocketAddr>>>, usize) {
    let in_use = parse(in_use);
    let mut chosen = chosen.iter().copied();
    let calls = RefCell::new(0);
    let bound = bind_each(
        &parse(addresses),
        port,
        |_, mut address| {
            *calls.borrow_mut() += 1;
            if address.port() == 0 {
                let next = chosen.next().ok_or(ErrorKind::AddrInUse)?;
                address.set_port(next);
            }
            match address.ip().to_string().as_str() {
                "::1" => Ok(None),
                _ if in_use.contains(&address) => Err(ErrorKind::AddrInUse.into()),
                _ => Ok(Some(address)),
            }
        },
        |address| Ok(address.port()),
    );
    (bound, calls.into_inner())
}

#[test]
fn another_port_is_chosen_if_one_is_in_use_at_another_address() {
    let addresses = ["127.0.0.1:0", "127.0.0.2:0"];
    let (bound, calls) = bind_among(&addresses, &[1, 2], &["127.0.0.2:1"], None);
    let bound: Vec<_> = bound.unwrap().into_iter().map(Option::unwrap).collect();
    assert_eq!(bound, parse(&["127.0.0.1:2", "127.0.0.2:2"]));
    assert_eq!(calls, 4);

    // A port that was inherited is the only one to try.
    let (bound, calls) = bind_among(&addresses, &[], &["127.0.0.2:1"], Some(1));
    assert_eq!(bound.unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(calls, 2);

    // No other port helps if the first address has none.
    let (bound, calls) = bind_among(&addresses, &[], &[], None);
    assert_eq!(bound.unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(calls, 1);

    // An address that is left out leaves the choice to the next.
    let (bound, _) = bind_among(
        &["[::1]:0", "127.0.0.1:0", "127.0.0.2:9"],
        &[1, 2],
        &[],
        None,
    );
    let expected = parse(&["127.0.0.1:2", "127.0.0.2:9"]);
    assert_eq!(bound.unwrap(), [None, Some(expected[0]), Some(expected[1])]);
}

#[test]
fn the_choice_of_a_port_ends() {
    let ports: Vec<_> = (1..1000).collect();
    let in_use: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.2:{port}"))
        .collect();
    let in_use: Vec<_> = in_use.iter().map(String::as_str).collect();
    let addresses = ["127.0.0.1:0", "127.0.0.2:0"];
    let (bound, calls) = bind_among(&addresses, &ports, &in_use, None);
    assert_eq!(bound.unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(calls, 2 * (MAX_CLASHES + 1));
}
