//! The HTTP examples, run as a user would run them.

use std::io::{Read, Write};
use std::process::{Command, Output};

use coreloop_test_support::program::{Server, connect, program};

#[test]
fn the_client_prints_the_response_of_the_server() {
    let mut server = Server::start("http_server", &["--addr", "127.0.0.1:0"]);
    let address = server.read_address();
    for _ in 0..2 {
        let output = get(&format!("http://{address}/some/where?a=b"));
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "200 OK\nHello, World!");
    }
    server.interrupt();
    assert_eq!(server.finish(), "requests answered: 2\n");
}

#[test]
fn an_idle_client_does_not_delay_the_end() {
    let mut server = Server::start("http_server", &["--addr", "127.0.0.1:0"]);
    let mut stream = connect(server.read_address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    stream.read_exact(&mut [0; 15]).unwrap();
    server.interrupt();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("\r\n\r\nHello, World!"), "{rest}");
    assert_eq!(server.finish(), "requests answered: 1\n");
}

#[test]
fn the_client_reports_a_url_that_it_cannot_fetch() {
    let mut server = Server::start("http_server", &["--addr", "127.0.0.1:0"]);
    let address = server.read_address();
    server.interrupt();
    server.finish();
    for url in [
        format!("http://{address}/"),
        "https://127.0.0.1/".to_owned(),
        "/no/host".to_owned(),
    ] {
        let output = get(&url);
        assert!(!output.status.success(), "{output:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(
            !message.is_empty() && !message.contains("panicked"),
            "{message}"
        );
    }
}

fn get(url: &str) -> Output {
    Command::new(program("http_client"))
        .arg(url)
        .output()
        .unwrap()
}
