//! Supervisors that listen at several addresses: each worker answers at each of them, whatever
//! happens to the workers and to the master.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use coreloop::process::{SocketOptions, Supervisor};
use coreloop_test_support::deadline::Deadline;
use coreloop_test_support::process::fleet::Fleet;
use coreloop_test_support::process::master::{App, Master, ask_on, ask_worker};
use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use coreloop_test_support::program::{connect, exchange};
use coreloop_test_support::skip::skipped;
use rustix::process::{Pid, Signal, kill_process};

/// Returns addresses of this host: of both families, if it has IPv6.
fn addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.push(Ipv6Addr::LOCALHOST.into());
    } else {
        skipped("this host has no IPv6, so only addresses of IPv4 are tested");
        addresses.push([127, 0, 0, 3].into());
    }
    addresses
}

/// Returns the options by which the app listens at these addresses, at a port that the system
/// chooses.
fn options(addresses: &[IpAddr]) -> Vec<String> {
    let at = |&ip| format!("--every={}", SocketAddr::new(ip, 0));
    addresses.iter().map(at).collect()
}

/// An app that listens at several addresses.
struct Listening {
    app: App,
    master: Master,
    addresses: Vec<SocketAddr>,
}

/// Returns the options of a new program, from the address at which the old one listens.
type After<'a> = &'a dyn Fn(SocketAddr) -> Vec<String>;

/// A worker as it answers: its process, its slot and its generation.
type Answer = (Pid, u32, u64);

impl Listening {
    fn start(arguments: &[&str]) -> Self {
        let app = App::new();
        let all = addresses();
        let options = options(&all);
        let options = options.iter().map(String::as_str);
        let arguments: Vec<_> = options.chain(arguments.iter().copied()).collect();
        let mut master = Master::start(app.command(&arguments));
        let port = master.address().port();
        let addresses = all.into_iter().map(|ip| SocketAddr::new(ip, port));
        Self {
            app,
            master,
            addresses: addresses.collect(),
        }
    }

    /// Checks that at each address all of `count` workers answer, and returns them by their
    /// slots. They are the same at each address.
    fn answers(&self, count: usize) -> BTreeMap<u32, Answer> {
        self.answers_of(count, 0)
    }

    /// Like `answers`, for workers of this generation or a later one. An old worker may accept
    /// another connection until it reads the message to drain.
    fn answers_of(&self, count: usize, generation: u64) -> BTreeMap<u32, Answer> {
        let at = |address| answers_at(address, count, generation);
        let mut each = self.addresses.iter().copied().map(at);
        let first = each.next().unwrap();
        for (other, address) in each.zip(&self.addresses[1..]) {
            assert_eq!(other, first, "at {address}");
        }
        let slots: Vec<_> = first.keys().copied().map(|slot| slot as usize).collect();
        assert_eq!(slots, (0..count).collect::<Vec<_>>());
        first
    }

    /// Checks that the worker of slot 1 accepts all connections, at each address. Half of them
    /// come to the sockets of the other worker.
    fn is_served_by(&self, worker: &Answer) {
        for &address in &self.addresses {
            let waiting: Vec<_> = (0..32).map(|_| connect(address)).collect();
            for stream in &waiting {
                let line = ask_on(stream, b'p');
                let expected = format!("{} 1 ", worker.0);
                assert!(line.starts_with(&expected), "{line} at {address}");
            }
        }
    }

    fn upgrade(&mut self) {
        let old = self.app.master();
        self.app.ask("upgrade").unwrap();
        assert_ne!(self.app.master(), old);
    }

    fn stop(mut self) {
        self.app.ask("stop").unwrap();
        assert!(self.master.end().success());
        for address in self.addresses {
            assert!(TcpStream::connect(address).is_err(), "{address}");
        }
    }
}

fn answer(address: SocketAddr) -> Answer {
    let line = ask_worker(address, b'p');
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("{line:?}"));
    let pid = Pid::from_raw(word().parse().unwrap()).unwrap();
    (pid, word().parse().unwrap(), word().parse().unwrap())
}

fn answers_at(address: SocketAddr, count: usize, generation: u64) -> BTreeMap<u32, Answer> {
    let mut answers = BTreeMap::new();
    let deadline = Deadline::new();
    while answers.len() < count {
        deadline.check();
        let answer = answer(address);
        if answer.2 >= generation {
            answers.insert(answer.1, answer);
        }
    }
    answers
}

/// Each step of a service's life, after which every ready worker has to answer at every
/// address.
fn every_worker_answers(mode: &str) {
    let mut server = Listening::start(&[mode, "--backoff=1"]);
    server.master.ready(2);
    let first = server.answers(2);

    // The function of the worker panics, so that a thread ends too.
    server.app.ask("scale 3").unwrap();
    server.answers(3);
    connect(server.addresses[1]).write_all(b"x").unwrap();
    server.master.line(" panicked: asked to panic");
    server.master.ready(1);
    let after = server.answers(3);
    let new = after.values().filter(|&&(_, _, generation)| generation > 0);
    assert_eq!(new.count(), 1, "{first:?} {after:?}");

    server.app.ask("reload").unwrap();
    server.answers_of(3, 1);
    server.app.ask("scale 1").unwrap();
    server.answers(1);
    // The new master begins with the one slot, and adds another.
    server.upgrade();
    server.answers(2);
    server.app.ask("scale 3").unwrap();
    server.answers(3);
    server.upgrade();
    server.app.ask("reload").unwrap();
    server.app.ask("scale 2").unwrap();
    server.answers(2);
    server.stop();
}

#[test]
fn every_worker_process_answers_at_every_address() {
    every_worker_answers("--workers=2");
}

#[test]
fn every_worker_thread_answers_at_every_address() {
    every_worker_answers("--threads=2");
}

/// While a worker is down, another one accepts the connections of its sockets at all
/// addresses.
#[test]
fn another_worker_serves_every_address_of_a_worker_that_was_killed() {
    let mut server = Listening::start(&["--workers=2", "--restarts=0", "--backoff=60000"]);
    server.master.ready(2);
    let before = server.answers(2);
    kill_process(before[&0].0, Signal::KILL).unwrap();
    server.master.line("was killed by signal 9");
    server.is_served_by(&before[&1]);
    server.stop();
}

#[test]
fn another_worker_serves_every_address_of_a_worker_that_is_silent() {
    let mut server = Listening::start(&["--workers=2", "--heartbeat=20000"]);
    server.master.ready(2);
    let before = server.answers(2);
    kill_process(before[&0].0, Signal::STOP).unwrap();
    server.is_served_by(&before[&1]);
    kill_process(before[&0].0, Signal::CONT).unwrap();
    assert_eq!(server.answers(2), before, "it serves again");
    server.stop();
}

/// Starts an app with some options, and replaces it by a program with others. Returns what it
/// listened at, too.
fn upgrade(before: &[&str], after: impl Fn(SocketAddr) -> Vec<String>) -> (Server, SocketAddr) {
    let mut server = Server::start(&[before, &["--workers=2"]].concat());
    server.first.ready(2);
    let address = server.address;
    // Open until the old master ends, which waits for it.
    let mut client = connect(address);
    exchange(&mut client, b"1");
    let after = after(address);
    let after: Vec<_> = after.iter().map(String::as_str).collect();
    let script = server.app.script(&[&after[..], &["--workers=2"]].concat());
    server.app.install_script(&script);
    let old = server.app.master();
    let upgraded = server.app.ask("upgrade");
    assert!(
        upgraded.is_ok(),
        "from {before:?} to {after:?}: {upgraded:?}"
    );
    assert_ne!(server.app.master(), old);
    assert!(server.first.end_of_first().success());
    (server, address)
}

/// A new program takes over the addresses that stay, binds those that are new at the same
/// port, and closes those that are gone.
#[test]
fn an_upgrade_may_change_the_list() {
    let all = addresses();
    // No client of another test has its end of a connection there.
    let new = IpAddr::from([127, 0, 0, 4]);
    for (before, after) in [
        (&all[..], &[new, all[0], all[2]][..]),
        (&all[2..], &[all[2], new]),
        (&all[..], &all[..1]),
    ] {
        let listed = options(before);
        let listed: Vec<_> = listed.iter().map(String::as_str).collect();
        let (server, address) = upgrade(&listed, |_| options(after));
        let at = |&ip| SocketAddr::new(ip, address.port());
        let answers: Vec<_> = after.iter().map(|ip| answers_at(at(ip), 2, 0)).collect();
        assert!(
            answers.iter().all(|each| *each == answers[0]),
            "{answers:?}"
        );
        for gone in before.iter().filter(|ip| !after.contains(ip)) {
            assert!(TcpStream::connect(at(gone)).is_err(), "{gone}");
        }
        drop(server);
    }
}

/// From `bind` to `bind_every` and back, by a name, by an address, and by an address with the
/// port that the system has chosen for the old program.
#[test]
fn an_upgrade_may_change_the_call() {
    let local = IpAddr::from([127, 0, 0, 1]);
    let second = IpAddr::from([127, 0, 0, 2]);
    let option = |option: &str, address: &dyn Display| format!("--{option}={address}");
    let every = |ip: IpAddr, port| option("every", &SocketAddr::new(ip, port));
    let cases: [(&[&str], After<'_>, &[IpAddr]); 6] = [
        (
            &["--addr=127.0.0.1:0"],
            &|_| vec![every(local, 0), every(second, 0)],
            &[local, second],
        ),
        (
            &["--addr=127.0.0.1:0"],
            &|at| vec![every(second, at.port()), every(local, at.port())],
            &[local, second],
        ),
        (
            &["--every=127.0.0.1:0", "--every=127.0.0.2:0"],
            &|_| vec![option("addr", &"127.0.0.1:0")],
            &[local],
        ),
        (
            &["--every=127.0.0.1:0", "--every=127.0.0.2:0"],
            &|at| vec![option("addr", &at)],
            &[local],
        ),
        (
            &["--every=localhost:0"],
            &|_| vec![option("addr", &"localhost:0")],
            &[],
        ),
        (
            &["--every=localhost:0"],
            &|at| vec![option("every", &format!("localhost:{}", at.port()))],
            &[],
        ),
    ];
    for (before, after, answering) in cases {
        let (server, address) = upgrade(before, after);
        answers_at(address, 2, 0);
        for &ip in answering {
            answers_at(SocketAddr::new(ip, address.port()), 2, 0);
        }
        drop(server);
    }
}

/// The old program continues at all its addresses.
#[test]
fn an_upgrade_to_an_address_that_is_in_use_is_refused() {
    let server = Listening::start(&["--workers=2"]);
    let other = TcpListener::bind((IpAddr::from([127, 0, 0, 5]), 0)).unwrap();
    let in_use = other.local_addr().unwrap();
    let mut arguments = options(&addresses());
    arguments.push(format!("--every={in_use}"));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    server.app.install_script(&server.app.script(&arguments));
    let master = server.app.master();
    let error = server.app.ask("upgrade").unwrap_err();
    assert!(
        error.contains(&format!("cannot listen on {in_use}: ")),
        "{error}"
    );
    assert_eq!(server.app.master(), master);
    server.answers(2);
    server.stop();
}

/// No client of any address fails while the workers are reloaded, scaled and upgraded, and
/// while the list of the other addresses changes.
#[test]
fn reloads_and_upgrades_fail_no_client_of_any_address() {
    let all = addresses();
    let listed = options(&all);
    let listed: Vec<_> = listed.iter().map(String::as_str).collect();
    let more = options(&[[127, 0, 0, 4].into()]);
    let more: Vec<_> = listed
        .iter()
        .copied()
        .chain(more.iter().map(String::as_str))
        .collect();
    let server = Server::start(&[&["--workers=2"], &listed[..]].concat());
    let addresses = all
        .iter()
        .map(|&ip| SocketAddr::new(ip, server.address.port()));
    let start = |address| Storm::start(address, &["--clients=64", "--progress=100"]);
    let mut storms: Vec<_> = addresses.map(start).collect();
    let mut fleets: Vec<_> = storms.iter().map(|_| Fleet::default()).collect();
    let none = HashSet::new();
    for (fleet, storm) in fleets.iter_mut().zip(&mut storms) {
        fleet.await_slots(storm, 2, &none);
    }
    for step in [
        "reload", "upgrade", "scale 4", "upgrade", "scale 2", "change", "reload",
    ] {
        let before: Vec<_> = fleets.iter().map(|fleet| fleet.seen.clone()).collect();
        match step {
            "change" => {
                let script = server.app.script(&[&["--workers=2"], &more[..]].concat());
                server.app.install_script(&script);
                server.app.ask("upgrade").unwrap();
            }
            step => drop(server.app.ask(step).unwrap()),
        }
        for ((fleet, storm), before) in fleets.iter_mut().zip(&mut storms).zip(before) {
            if step.starts_with("scale") {
                storm.await_answers(200);
            } else {
                fleet.await_slots(storm, 2, &before);
            }
        }
    }
    for storm in storms {
        storm.stop().assert_flawless(1000);
    }
}

/// The names are resolved before anything is bound.
#[test]
fn a_list_that_cannot_be_bound_is_refused() {
    let every = |names: &[&str]| {
        let bound = Supervisor::new().bind_every(names, SocketOptions::new());
        bound
            .map(|supervisor| supervisor.local_addr(0))
            .unwrap_err()
    };
    let error = every(&["127.0.0.1:0", "no-such-host.invalid:80"]);
    let text = "cannot listen on no-such-host.invalid:80: ";
    assert!(error.to_string().starts_with(text), "{error}");

    let error = every(&[]);
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "no address to listen on was given");

    let other = TcpListener::bind("127.0.0.2:0").unwrap();
    let in_use = other.local_addr().unwrap().to_string();
    let error = every(&["127.0.0.1:0", &in_use]);
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let text = format!("cannot listen on {in_use}: ");
    assert!(error.to_string().starts_with(&text), "{error}");

    let error = Supervisor::new()
        .bind_every(["127.0.0.1:0"], SocketOptions::new().mode(0o600))
        .map(|supervisor| supervisor.local_addr(0))
        .unwrap_err();
    assert!(
        error.to_string().contains("have no option `mode`"),
        "{error}"
    );

    // A call that binds an address of an earlier one.
    let supervisor = Supervisor::new()
        .bind_every(["127.0.0.1:0", "127.0.0.2:0"], SocketOptions::new())
        .unwrap();
    let first = supervisor.local_addr(0).unwrap();
    assert_eq!(first.ip(), IpAddr::from([127, 0, 0, 1]));
    assert_eq!(supervisor.local_addr(1), None);
    let second = SocketAddr::new([127, 0, 0, 2].into(), first.port());
    let again = supervisor.bind_every([second, first], SocketOptions::new());
    let error = again
        .map(|supervisor| supervisor.local_addr(0))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn more_addresses_than_a_worker_can_get_are_refused() {
    let all = |count: u8| (1..=count).map(|last| SocketAddr::from(([127, 0, 1, last], 0)));
    let supervisor = Supervisor::new()
        .bind_every(all(252), SocketOptions::new())
        .unwrap()
        .bind("127.0.0.1:0")
        .unwrap();
    assert!(supervisor.local_addr(1).is_some());
    let refused = supervisor.bind("127.0.0.1:0");
    let error = refused
        .map(|supervisor| supervisor.local_addr(0))
        .unwrap_err();
    let text = "a supervisor can bind at most 253 addresses";
    assert_eq!(error.to_string(), text);
}
