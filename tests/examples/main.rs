//! Runs the examples as a user does. The echo server of the quick start is started,
//! used by clients, and stopped with Ctrl-C.
#![cfg(test)]
#![cfg(not(miri))]

mod pool;
mod tasks;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use coreloop_test_support::folder::Folder;
use coreloop_test_support::program::{PATIENCE, Server, connect, exchange, program};

#[test]
fn the_echo_server_echoes_and_prints_a_summary_on_ctrl_c() {
    let mut server = Server::start("echo_server", &["--addr", "127.0.0.1:0"]);
    let address = server.read_address();

    let mut first = connect(address);
    let mut second = connect(address);
    for round in 0..3 {
        for (client, name) in [(&mut first, "first"), (&mut second, "second")] {
            let message = format!("{name} client, message {round}\n");
            assert_eq!(exchange(client, message.as_bytes()), message.as_bytes());
        }
    }
    // The first client closes one direction and waits for the server to close the other;
    // the second closes at once.
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0);
    drop(second);

    server.interrupt();
    let summary = server.finish();
    let sent = 3 * ("first client, message 0\n".len() + "second client, message 0\n".len());
    for expected in [
        "2 connections".to_owned(),
        format!("{sent} bytes"),
        "6 messages".to_owned(),
    ] {
        assert!(summary.contains(&expected), "no {expected:?} in: {summary}");
    }
    TcpStream::connect(address).expect_err("the server is gone, but its port still answers");
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_open_connections() {
    let mut server = Server::start("echo_server", &["--addr", "127.0.0.1:0"]);
    let mut idle = connect(server.read_address());
    assert_eq!(exchange(&mut idle, b"still here"), b"still here");
    server.interrupt();
    let mut line = String::new();
    server.output.read_line(&mut line).unwrap();
    assert!(line.contains("open connections: 1"), "{line}");
    // The server gives open connections a moment to finish, and serves them
    // meanwhile.
    assert_eq!(exchange(&mut idle, b"still there"), b"still there");
    server.interrupt();
    let summary = server.finish();
    assert!(summary.contains("21 bytes"), "{summary}");
    drop(idle);
}

#[test]
fn a_group_of_clients_ends_after_each_has_received_a_goodbye() {
    let mut server = Server::start("server_group", &["--addr", "127.0.0.1:0"]);
    let address = server.read_address();
    let mut clients = [(); 3].map(|()| connect(address));
    for client in &mut clients {
        assert_eq!(exchange(client, b"hello"), b"hello");
    }
    let mut said = String::new();
    let [first, others @ ..] = &mut clients;
    first.shutdown(Shutdown::Write).unwrap();
    first.read_to_string(&mut said).unwrap();
    assert_eq!(said, "goodbye\n");
    server.interrupt();
    for client in others {
        said.clear();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "goodbye\n");
    }
    let summary = server.finish();
    assert_eq!(summary, "served 3 clients, 2 are still here\n");
}

/// The last connection ends with the program, and says goodbye too.
#[test]
fn a_drop_guard_says_goodbye_on_ctrl_c() {
    let mut child = Command::new(program("drop_guard"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("press Ctrl-C") {
        assert!(output.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    output.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said.matches("goodbye").count(), 5, "{said}");
    assert!(said.contains("ends with the program, goodbye"), "{said}");
}

#[test]
fn datagrams_come_back() {
    let mut server = Server::start("udp_echo", &["--addr", "127.0.0.1:0"]);
    let address = server.read_address();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(address).unwrap();
    let mut buffer = [0; 2048];
    for message in [&b"hello"[..], b"", &[7; 2000]] {
        client.send(message).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), message.len());
        assert_eq!(&buffer[..message.len()], message);
    }
    server.interrupt();
    assert!(server.finish().contains("served 3 datagrams"));
}

/// The server also removes the path that a killed server has left behind, and its own.
#[test]
fn unix_clients_are_served_and_the_path_is_removed() {
    let folder = Folder::new();
    let path = folder.path("echo");
    drop(UnixListener::bind(&path).unwrap());
    let mut server = Server::start("unix_echo", &["--path", path.to_str().unwrap()]);
    let mut line = String::new();
    server.output.read_line(&mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    client.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hello");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut echo).unwrap(), 0);

    // A second server leaves the first one alone.
    let second = Command::new(program("unix_echo"))
        .args(["--path", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("in use"), "{error}");

    server.interrupt();
    assert!(server.finish().contains("is here"));
    assert!(!path.exists());
}

#[test]
fn the_client_checks_every_byte_and_prints_the_rate() {
    let mut server = Server::start("echo_server", &["--addr", "127.0.0.1:0"]);
    let output = Command::new(program("echo_client"))
        .args(["--addr", &server.read_address().to_string()])
        .args(["--connections", "3", "--size", "100", "--seconds", "1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for expected in ["p50", "p99", "p99.9"] {
        assert!(said.contains(expected), "no {expected:?} in: {said}");
    }
    server.interrupt();
    assert!(server.finish().contains("3 connections"));
}

#[test]
fn another_loop_drives_the_runtime() {
    let output = Command::new(program("embed")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("runtime: hello came back"), "{said}");
}

#[test]
fn requests_share_a_few_connections() {
    let said = run("connection_pool");
    assert_eq!(said, "100 requests over 4 connections\n");
}

#[test]
fn readers_see_no_unfinished_change() {
    let said = run("readers_writers");
    assert!(said.contains("day 3: [3, 3, 3, 3, 3]"), "{said}");
    assert!(said.contains("consistent reads"), "{said}");
}

#[test]
fn a_slow_consumer_gets_all_that_is_produced() {
    let said = run("producer_consumer");
    assert!(
        said.contains("wrote down 12 readings of 3 gauges"),
        "{said}"
    );
    let count = |what| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("done"), count("reading ")), (3, 12), "{said}");
}

#[test]
fn a_slow_subscriber_learns_how_many_values_it_missed() {
    let said = run("publish_subscribe");
    for name in ["quick", "slow"] {
        let line = said
            .lines()
            .find(|line| line.contains("saw") && line.starts_with(name));
        let numbers: Vec<u32> = line
            .unwrap()
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        assert_eq!(numbers.iter().sum::<u32>(), 20, "{said}");
    }
}

#[test]
fn a_proxy_carries_bytes_and_the_ends_of_both_sides() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let mut proxy = Server::start("proxy", &["--listen", "127.0.0.1:0", "--to", &to]);
    let address = proxy.read_address();
    let mut client = connect(address);
    let (mut server, _) = listener.accept().unwrap();

    client.write_all(b"a question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).unwrap();
    assert_eq!(question, "a question");
    server.write_all(b"the answer").unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "the answer");
    let mut line = String::new();
    proxy.output.read_line(&mut line).unwrap();
    assert!(line.contains("10 bytes sent, 10 received"), "{line}");

    // Without a server to connect to, the proxy closes the connection of the client.
    drop(listener);
    let mut client = connect(address);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_line_of_a_chat_reaches_all_others_and_no_slow_client_delays_it() {
    const LINES: usize = 15_000;

    let mut chat = Server::start("chat", &["--addr", "127.0.0.1:0"]);
    let address = chat.read_address();
    let mut line = String::new();
    let mut next_line = |from: &mut BufReader<TcpStream>| {
        line.clear();
        from.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let mut slow = BufReader::new(connect(address));
    // With a small buffer in the kernel, so that not all lines fit into it.
    let socket = socket2::SockRef::from(slow.get_ref());
    socket.set_recv_buffer_size(64 << 10).unwrap();
    assert_eq!(next_line(&mut slow), "* 1 came");
    let mut quick = BufReader::new(connect(address));
    assert_eq!(next_line(&mut quick), "* 2 came");
    assert_eq!(next_line(&mut slow), "* 2 came");
    slow.get_mut().write_all(b"hello\n").unwrap();
    assert_eq!(next_line(&mut quick), "1: hello");

    // More lines than the kernel keeps for a client that does not read. The other
    // clients do not wait for it: they receive the next lines.
    let words = "x".repeat(1000);
    for _ in 0..LINES {
        quick.get_mut().write_all(words.as_bytes()).unwrap();
        quick.get_mut().write_all(b"\n").unwrap();
    }
    let third = connect(address);
    assert_eq!(next_line(&mut quick), "* 3 came");
    drop(third);
    assert_eq!(next_line(&mut quick), "* 3 left");

    let mut received = 0;
    loop {
        let line = next_line(&mut slow);
        if let Some(rest) = line.strip_prefix("* you missed ") {
            let missed: usize = rest.split(' ').next().unwrap().parse().unwrap();
            assert!(
                received + missed <= LINES + 2,
                "{received} received, {missed} missed"
            );
            break;
        }
        assert!(line.starts_with("2: x"), "{line}");
        received += 1;
    }
}

#[test]
fn a_generator_over_lines_says_goodbye_when_it_is_closed() {
    let said = run("generator");
    assert!(said.contains("127.0.0.1: sugar is sweet"), "{said}");
    assert!(!said.contains("and ..."), "{said}");
    assert!(said.contains("the poet hears: that will do"), "{said}");
}

#[test]
fn the_first_address_that_answers_is_connected_to() {
    let said = run("happy_eyeballs");
    assert!(said.starts_with("connected to 127.0.0.1:"), "{said}");
}

#[test]
fn a_nursery_ends_in_time_and_every_tool_is_put_back() {
    let said = run("nursery");
    let lines: Vec<&str> = said.lines().collect();
    let count = |what| lines.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!(count("puts the pen back"), 3, "{said}");
    assert!(said.contains("Cleo puts the pen back"), "{said}");
    assert!(!said.contains("Cleo drew"), "{said}");
    assert_eq!(lines.last(), Some(&"not everyone had finished by bedtime"));
}

#[test]
fn a_crawl_finds_all_pages_and_keeps_to_its_limit() {
    assert_eq!(run("crawler"), "500 pages, at most 8 at a time\n");
}

#[test]
fn child_processes_are_talked_to_and_stopped() {
    let said = run("subprocess");
    let expected = [
        "sort: apple fig pear (exit status: 0)",
        "cat: hello",
        "cat: goodbye",
        "cat: (exit status: 0)",
    ];
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..4], expected, "{said}");
    assert!(lines[4].contains("it took longer than 1s"), "{said}");
}

#[test]
fn a_supervised_server_answers_at_its_control_socket() {
    let folder = Folder::new();
    let path = folder.path("control");
    let path = path.to_str().unwrap();
    let arguments = ["--addr", "127.0.0.1:0", "--workers", "1", "--control", path];
    let mut server = Server::start("echo_server", &arguments);
    let mut client = connect(server.read_address());
    assert_eq!(exchange(&mut client, b"hello"), b"hello");
    drop(client);
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask("status").lines().count(), 3);
    assert_eq!(ask("stop"), "ok\n");
    assert!(server.finish().contains("1 connections, 5 bytes"));
}

#[test]
fn a_bad_address_is_reported() {
    let output = Command::new(program("echo_server"))
        .args(["--addr", "256.0.0.1:1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        !message.is_empty() && !message.contains("panicked"),
        "{message}"
    );
}

/// Runs an example to its end and returns its output.
fn run(example: &str) -> String {
    let output = Command::new(program(example)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
