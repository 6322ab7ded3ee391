//! Malformed and hostile HTTP/1.1 against `coreloop::hyper::serve`, over real
//! sockets: the server refuses bytes that are not a request, answers each request once,
//! and in any case continues to serve others.

mod corpus;

use std::io::{self, ErrorKind, PipeWriter, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use coreloop::hyper::serve;
use coreloop::io::Async;
use coreloop::net::TcpListener;
use fastrand::Rng;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};

use coreloop_test_support::program::Server as Example;
use corpus::{Outcome, corpus};

/// The limit that turns a hang into a failure. No test comes near it.
const PATIENCE: Duration = Duration::from_secs(60);

const GOOD: &[u8] = b"GET /good HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[test]
fn each_entry_is_refused_or_answered_once() {
    let server = Server::start();
    for (name, bytes, outcome) in corpus() {
        let answers = exchange(server.address, &bytes, outcome);
        let served = server.take_served();
        let wrong = match outcome {
            Outcome::Refused => !answers.ok.is_empty() || answers.refusals > 1,
            Outcome::Served(paths) => {
                served != paths || answers.ok.len() != paths.len() || answers.refusals > 0
            }
            Outcome::ThenRefused(paths) => {
                served != paths || answers.ok.len() != paths.len() || answers.refusals > 1
            }
        };
        assert!(!wrong, "{name}: {outcome:?}, but {answers:?} of {served:?}");
        assert!(
            !served.iter().any(|path| path == "/smuggled"),
            "{name}: smuggled in"
        );
        server.assert_serves(name);
    }
}

#[test]
fn the_example_refuses_bad_requests_and_continues_to_serve() {
    let mut example = Example::start("http_server", &["--addr", "127.0.0.1:0"]);
    let address = example.read_address();
    for (name, bytes, outcome) in corpus() {
        let answers = exchange(address, &bytes, outcome);
        // The example reads no body, so it may answer before it could find an error in one.
        let most = match outcome {
            Outcome::Refused => usize::from(bytes.starts_with(b"POST /read")),
            Outcome::Served(paths) | Outcome::ThenRefused(paths) => paths.len(),
        };
        assert!(answers.ok.len() <= most, "{name}: {answers:?}");
        let good = exchange(address, GOOD, Outcome::Served(&["/good"]));
        assert_eq!(good.ok.len(), 1, "after {name}");
    }
    example.interrupt();
    example.finish();
}

#[test]
fn the_server_survives_mutations_of_good_requests() {
    let seeds: [&[u8]; 4] = [
        b"GET /one?a=b HTTP/1.1\r\nhost: x\r\naccept: */*\r\ncookie: a=b; c=d\r\n\r\n",
        b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\nhello world",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
          5\r\nhello\r\n6;a=b\r\n world\r\n0\r\ntrailer: x\r\n\r\n",
        b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc\
          GET /two HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ];
    let server = Server::start();
    let mut random = Rng::with_seed(7);
    for round in 0..3000 {
        let mut bytes = random.choice(seeds).unwrap().to_vec();
        for _ in 0..random.usize(1..=4) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        let answers = exchange(server.address, &bytes, Outcome::Refused);
        let served = server.take_served();
        let what = format!("round {round}: {}", bytes.escape_ascii());
        assert!(answers.ok.len() <= served.len(), "{answers:?} in {what}");
        assert!(answers.refusals <= 1, "{answers:?} in {what}");
        // Each request has at least one line that names the version.
        let lines = bytes.windows(7).filter(|&window| window == b"HTTP/1.");
        assert!(served.len() <= lines.count(), "{served:?} in {what}");
        server.assert_serves(&what);
    }
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[&[u8]], random: &mut Rng) {
    const TOKENS: [&[u8]; 14] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b"content-length: 5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1",
        b"\xff",
    ];
    let at = random.usize(0..=bytes.len());
    let end = (at + random.usize(0..8)).min(bytes.len());
    match random.u8(0..7) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.truncate(at),
        2 => {
            let again = bytes[at..end].to_vec();
            drop(bytes.splice(at..at, again));
        }
        3 => {
            let token = random.choice(TOKENS).unwrap();
            drop(bytes.splice(at..at, token.iter().copied()));
        }
        4 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
        5 if at < bytes.len() => bytes[at] = random.u8(..),
        _ => {
            let seed = random.choice(seeds).unwrap();
            let from = random.usize(0..seed.len());
            drop(bytes.splice(at..end, seed[from..].iter().copied()));
        }
    }
}

/// The answers received on a connection.
#[derive(Debug, Default)]
struct Answers {
    /// The bodies of the answers with status 200.
    ok: Vec<String>,
    /// The number of answers with a status of 400 or more.
    refusals: usize,
}

/// Sends bytes, and reads to the end of the connection. For [`Outcome::Served`], the server
/// has to close first, so this end is not shut down.
fn exchange(address: SocketAddr, bytes: &[u8], outcome: Outcome) -> Answers {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // A server that has refused the first half does not read the second.
    let sent = stream.write_all(bytes);
    if sent.is_ok() && !matches!(outcome, Outcome::Served(_)) {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut came = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => came.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert!(
                    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    "the server neither answers nor closes: {}",
                    came.escape_ascii()
                );
                break;
            }
        }
    }
    parse(&came)
}

/// Parses answers, which all have a length. A reset may have cut the last one off.
fn parse(came: &[u8]) -> Answers {
    let mut answers = Answers::default();
    let mut rest = String::from_utf8(came.to_vec()).unwrap();
    while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let Some((body, behind)) = behind.split_at_checked(length) else {
            break;
        };
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .or(head.strip_prefix("HTTP/1.0 "));
        match &status.unwrap()[..3] {
            "200" => answers.ok.push(body.to_owned()),
            "100" => {}
            status if status.starts_with('4') => answers.refusals += 1,
            status => panic!("answered {status}"),
        }
        rest = behind.to_owned();
    }
    answers
}

/// A server in a thread, which records the paths of requests. It reads the bodies of
/// requests for `/read`, and leaves other bodies to hyper.
struct Server {
    address: SocketAddr,
    served: Arc<Mutex<Vec<String>>>,
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    fn start() -> Server {
        let served = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&served);
        let (stopped, stop) = io::pipe().unwrap();
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            coreloop::block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                sender.send(listener.local_addr()?).unwrap();
                let service = service_fn(move |request: Request<Incoming>| {
                    let path = request.uri().path().to_owned();
                    noted.lock().unwrap().push(path.clone());
                    answer(request, path)
                });
                let stopped = Async::new(stopped)?;
                serve(listener, service)
                    .with_graceful_shutdown(async move { stopped.readable().await.unwrap() })
                    .await
            })
        });
        Server {
            address: receiver.recv().unwrap(),
            served,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn take_served(&self) -> Vec<String> {
        mem::take(&mut self.served.lock().unwrap())
    }

    fn assert_serves(&self, after: &str) {
        let good = exchange(self.address, GOOD, Outcome::Served(&["/good"]));
        assert_eq!(good.ok, ["/good"], "after {after}");
        assert_eq!(self.take_served(), ["/good"], "after {after}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap().unwrap();
        }
    }
}

async fn answer(request: Request<Incoming>, path: String) -> hyper::Result<Response<Full<Bytes>>> {
    if path == "/read" {
        request.into_body().collect().await?;
    }
    Ok(Response::new(Full::new(Bytes::from(path))))
}
