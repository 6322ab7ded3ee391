//! [`Observer`], the HTTP server of a master for health and metrics.
//!
//! # Invariants
//!
//! 1. No client blocks another client or the master: each has its own task, and limits on how
//!    much it may send, and on how long that and reading the answer may take. If there are too
//!    many, the one that the server has waited for the longest is disconnected: for its request,
//!    until it reads the answer, or until it closes the connection.
//! 2. A request changes nothing.
//! 3. The socket stays open as long as the master, so that a successor can take it over. Only
//!    a master that serves accepts from it.

use std::cell::Cell;
use std::io;
use std::net;
use std::rc::Rc;
use std::time::Duration;

use coreloop_net::{TcpListener, TcpStream};
use coreloop_runtime::task::{AbortHandle, JoinHandle, JoinSet, spawn};
use coreloop_runtime::time::{Instant, timeout};
use coreloop_sync::{CancellationToken, mpsc, oneshot};

use super::request::{ENDING, Request, ask};
use crate::metrics::Format;
use crate::sockets::SocketGroup;

/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to read the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client that has its answer may take to close the connection. Without this, bytes
/// that were not read would reset the connection before the client has read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// The maximum length of the head of a request.
const MAX_HEAD: usize = 8 << 10;

const MAX_HEADERS: usize = 64;

const MAX_CLIENTS: usize = 32;

const PLAIN: &str = "text/plain; charset=utf-8";

/// The socket of the server, and whether it is served.
#[derive(Debug)]
pub(super) struct Observer {
    group: SocketGroup,
    serving: Option<Serving>,
    /// A successor serves. The clients that this master has accepted are answered as the
    /// successor would answer them.
    is_replaced: Rc<Cell<bool>>,
}

/// The task that serves, and how to end it.
#[derive(Debug)]
struct Serving {
    end: CancellationToken,
    task: JoinHandle<()>,
}

/// What the task of a client needs to answer it.
#[derive(Debug, Clone)]
struct Source {
    requests: mpsc::Sender<Request>,
    is_replaced: Rc<Cell<bool>>,
}

impl Observer {
    pub(super) fn new(group: SocketGroup) -> Self {
        Self {
            group,
            serving: None,
            is_replaced: Rc::default(),
        }
    }

    pub(super) fn group(&self) -> &SocketGroup {
        &self.group
    }

    /// Begins to accept clients on the current loop.
    pub(super) fn start(&mut self, requests: &mpsc::Sender<Request>) -> io::Result<()> {
        let socket = self.group.socket(0).try_clone_to_owned()?;
        let listener = TcpListener::from_std(net::TcpListener::from(socket))?;
        let end = CancellationToken::new();
        let source = Source {
            requests: requests.clone(),
            is_replaced: Rc::clone(&self.is_replaced),
        };
        let task = spawn(serve(listener, source, end.clone()));
        self.serving = Some(Serving { end, task });
        Ok(())
    }

    /// Accepts no more clients, as a successor does. Those that are connected get their
    /// answers.
    pub(super) fn replaced(&mut self) {
        self.is_replaced.set(true);
        if let Some(serving) = &self.serving {
            serving.end.cancel();
        }
    }

    /// Accepts no more clients, and waits until those that are connected have their answers.
    pub(super) async fn finish(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.end.cancel();
            let _ = serving.task.await;
        }
    }
}

async fn serve(listener: TcpListener, source: Source, end: CancellationToken) {
    let mut clients = Clients::default();
    end.run_until_cancelled(accept(&listener, &source, &mut clients))
        .await;
    // The socket is open elsewhere too, so closing it would leave it registered.
    drop(listener.into_std());
    while clients.tasks.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener, source: &Source, clients: &mut Clients) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        clients.make_room().await;
        clients.spawn(stream, source.clone());
    }
}

/// The clients that are connected.
#[derive(Default)]
struct Clients {
    tasks: JoinSet<io::Result<()>>,
    /// In the order in which they have connected. Some may have disconnected.
    connected: Vec<Client>,
}

struct Client {
    task: AbortHandle,
    waits: Rc<Waits>,
}

/// Since when the server waits for a client; `None` while the client waits for its answer.
struct Waits(Cell<Option<Instant>>);

impl Clients {
    /// Waits until there is room for one more client. Disconnects for it the one that the server
    /// has waited for the longest.
    async fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.connected.retain(|client| !client.task.is_finished());
        if self.tasks.len() >= MAX_CLIENTS {
            let clients = self.connected.iter();
            let waits = clients.filter_map(|client| Some((client.waits.0.get()?, &client.task)));
            if let Some((_, task)) = waits.min_by_key(|(since, _)| *since) {
                task.abort();
            }
            let _ = self.tasks.join_next().await;
        }
    }

    fn spawn(&mut self, stream: TcpStream, source: Source) {
        let waits = Rc::new(Waits(Cell::new(Some(Instant::now()))));
        let of_task = Rc::clone(&waits);
        let task = self
            .tasks
            .spawn(async move { attend(stream, &source, &of_task).await });
        self.connected.push(Client { task, waits });
    }
}

impl Waits {
    fn begin(&self) {
        self.0.set(Some(Instant::now()));
    }

    fn end(&self) {
        self.0.set(None);
    }
}

/// Answers one client.
async fn attend(mut stream: TcpStream, source: &Source, waits: &Waits) -> io::Result<()> {
    let head = timeout(REQUEST_TIMEOUT, read_head(&mut stream)).await;
    waits.end();
    let (answer, has_body) = match head {
        Ok(Ok(head)) => (answer(&head, source).await, !head.is_head),
        Ok(Err(refusal)) => (refusal?, true),
        Err(_) => (
            line("408 Request Timeout", "the request took too long"),
            true,
        ),
    };
    let bytes = answer.to_bytes(has_body);
    waits.begin();
    timeout(ANSWER_TIMEOUT, stream.write_all(&bytes)).await??;
    stream.shutdown().await?;
    waits.begin();
    let rest = async {
        let mut chunk = [0; 1024];
        while stream.read(&mut chunk).await.is_ok_and(|count| count > 0) {}
    };
    let _ = timeout(LINGER, rest).await;
    Ok(())
}

/// What a request asks for.
#[derive(Debug)]
struct Head {
    is_head: bool,
    path: String,
    /// The client accepts OpenMetrics.
    accepts_open_metrics: bool,
}

/// Reads the head of a request. The error is an answer that refuses it, or an error of the stream.
async fn read_head(stream: &mut TcpStream) -> Result<Head, io::Result<Answer>> {
    let mut received = Vec::new();
    loop {
        match parse(&received) {
            Ok(Some(head)) => return Ok(head),
            Ok(None) if received.len() >= MAX_HEAD => {
                let status = "431 Request Header Fields Too Large";
                return Err(Ok(line(status, "the request is too long")));
            }
            Ok(None) => {}
            Err(refusal) => return Err(Ok(refusal)),
        }
        let mut chunk = [0; 1024];
        let room = chunk.len().min(MAX_HEAD - received.len());
        match stream.read(&mut chunk[..room]).await {
            Ok(0) => return Err(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => received.extend_from_slice(&chunk[..count]),
            Err(error) => return Err(Err(error)),
        }
    }
}

/// Parses the head of a request; `None` if it is not complete.
fn parse(received: &[u8]) -> Result<Option<Head>, Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(received) {
        Ok(status) if status.is_complete() => {}
        Ok(_) => return Ok(None),
        Err(why) => return Err(line("400 Bad Request", &format!("not a request: {why}"))),
    }
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => {
            let mut refusal = line("405 Method Not Allowed", "only GET and HEAD are served");
            refusal.more = "Allow: GET, HEAD\r\n";
            return Err(refusal);
        }
    };
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let accepts_open_metrics = request.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("accept")
            && String::from_utf8_lossy(header.value)
                .to_ascii_lowercase()
                .contains("application/openmetrics-text")
    });
    Ok(Some(Head {
        is_head,
        path: path.to_owned(),
        accepts_open_metrics,
    }))
}

async fn answer(head: &Head, source: &Source) -> Answer {
    match head.path.as_str() {
        "/metrics" => {
            let (format, content_type) = if head.accepts_open_metrics {
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                (Format::OpenMetrics, content_type)
            } else {
                let content_type = "text/plain; version=0.0.4; charset=utf-8";
                (Format::Prometheus, content_type)
            };
            let metrics = |reply| Request::Metrics(format, reply);
            match ask(&source.requests, metrics).await {
                Some(body) => Answer {
                    status: "200 OK",
                    content_type,
                    more: "",
                    body,
                },
                None => ending(),
            }
        }
        "/livez" => source.health(Request::Live).await,
        "/readyz" => source.health(Request::Ready).await,
        _ => line("404 Not Found", "there are /metrics, /livez and /readyz"),
    }
}

fn ending() -> Answer {
    line("503 Service Unavailable", ENDING)
}

/// Where to send the result of a question about health.
type HealthReply = oneshot::Sender<Result<(), String>>;

impl Source {
    /// Asks the master about its health.
    async fn health(&self, request: impl FnOnce(HealthReply) -> Request) -> Answer {
        match ask(&self.requests, request).await {
            // The answer came from a master that ends, but the program does not.
            _ if self.is_replaced.get() => line("200 OK", "ok"),
            Some(Ok(())) => line("200 OK", "ok"),
            Some(Err(why)) => line("503 Service Unavailable", &why),
            None => ending(),
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: &'static str,
    content_type: &'static str,
    /// Further header lines.
    more: &'static str,
    body: String,
}

/// Returns an answer of one line.
fn line(status: &'static str, text: &str) -> Answer {
    Answer {
        status,
        content_type: PLAIN,
        more: "",
        body: format!("{text}\n"),
    }
}

impl Answer {
    fn to_bytes(&self, has_body: bool) -> Vec<u8> {
        let Self {
            status,
            content_type,
            more,
            body,
        } = self;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{more}\
             Connection: close\r\n\r\n"
        );
        let body = if has_body { body.as_str() } else { "" };
        [head.as_bytes(), body.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_runtime::runtime::Builder;
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_request_is_parsed() {
        let head = parse(b"GET /metrics?x=1 HTTP/1.1\r\nACCEPT: application/OpenMetrics-text;version=1.0.0\r\n\r\n");
        let head = head.unwrap().unwrap();
        assert!(head.accepts_open_metrics && !head.is_head);
        assert_eq!(head.path, "/metrics");
        let head = parse(b"HEAD /livez HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert!(head.is_head && !head.accepts_open_metrics);
        assert!(parse(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap().is_none());
        let refused = parse(b"POST / HTTP/1.1\r\n\r\n").unwrap_err();
        let refused = String::from_utf8(refused.to_bytes(true)).unwrap();
        assert!(
            refused.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{refused}"
        );
        assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
        let refused = parse(b"\x16\x03\x01\x02\x00\x01").unwrap_err();
        assert!(refused.status.starts_with("400"));
    }

    /// A probe waited for clients that had their answers, or did not read them.
    #[test]
    fn clients_that_are_not_being_answered_make_room() {
        let runtime = Builder::new().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (requests, mut asked) = mpsc::channel(1);
            let source = Source {
                requests,
                is_replaced: Rc::default(),
            };
            drop(spawn(async move {
                while let Some(request) = asked.recv().await {
                    match request {
                        Request::Live(reply) => reply.send(Ok(())).unwrap(),
                        Request::Metrics(_, reply) => reply.send("x".repeat(32 << 20)).unwrap(),
                        other => panic!("{other:?}"),
                    }
                }
            }));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for path in ["livez", "metrics"] {
                let mut clients = Clients::default();
                let mut peers = Vec::new();
                for _ in 0..MAX_CLIENTS {
                    let mut peer = TcpStream::connect(address).await.unwrap();
                    let (stream, _) = listener.accept().await.unwrap();
                    clients.spawn(stream, source.clone());
                    let request = format!("GET /{path} HTTP/1.1\r\n\r\n");
                    peer.write_all(request.as_bytes()).await.unwrap();
                    peer.read_exact(&mut [0; 12]).await.unwrap();
                    peers.push(peer);
                }
                let begun = Instant::now();
                clients.make_room().await;
                // The clock is paused: no limit on the time of a client was waited for.
                assert_eq!(begun.elapsed(), Duration::ZERO, "{path}");
            }
        });
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            let request = [b"GET /".as_slice(), &bytes, b"\r\n\r\n"].concat();
            for bytes in [bytes, request] {
                if let Err(refused) = parse(&bytes) {
                    assert_eq!(refused.body.lines().count(), 1);
                }
            }
        }
    }
}
