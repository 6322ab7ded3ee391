//! HTTP/1.1 with hyper on the loop: `coreloop::hyper::serve`, and hyper's client.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use coreloop::hyper::{Io, LoopTimer, serve};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::sync::{Notify, oneshot};
use coreloop::time::{self, Instant};
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};

use coreloop_test_support::deadline::{Deadline, yield_until};
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::reports::Reports;

const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

#[coreloop::test]
async fn answers_many_requests_on_one_connection() {
    let (listener, address) = bind().await;
    let count = Rc::new(Cell::new(0));
    let shared = Rc::clone(&count);
    coreloop::spawn(
        serve(
            listener,
            service_fn(move |_| {
                // Neither the service nor its futures are `Send`.
                let count = Rc::clone(&shared);
                async move {
                    count.set(count.get() + 1);
                    coreloop::task::yield_now().await;
                    text(&format!("number {}", count.get()))
                }
            }),
        )
        .into_future(),
    );
    let mut client = connect(address).await;
    for number in 1..=100 {
        assert_eq!(get(&mut client).await, format!("number {number}"));
    }
    assert_eq!(count.get(), 100);
}

#[coreloop::test]
async fn serves_many_connections_at_once() {
    let (listener, address) = bind().await;
    // The service answers only when all clients have sent their requests.
    let waiting = Rc::new(Cell::new(0));
    let all_there = Rc::new(Notify::new());
    let service = service_fn(move |_| {
        let (waiting, all_there) = (Rc::clone(&waiting), Rc::clone(&all_there));
        async move {
            waiting.set(waiting.get() + 1);
            if waiting.get() == 100 {
                all_there.notify_waiters();
            } else {
                all_there.notified().await;
            }
            text("all")
        }
    });
    coreloop::spawn(serve(listener, service).into_future());
    let clients: Vec<_> = (0..100)
        .map(|_| coreloop::spawn(async move { get(&mut connect(address).await).await }))
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), "all");
    }
}

#[coreloop::test]
async fn large_bodies_go_both_ways() {
    let (listener, address) = bind().await;
    coreloop::spawn(serve(listener, service_fn(echo)).into_future());
    let mut client = connect(address).await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_be_bytes()[2]).collect();
    let response = send(&mut client, Full::new(Bytes::from(sent.clone())))
        .await
        .unwrap();
    let came = response.into_body().collect().await.unwrap().to_bytes();
    assert!(came == sent, "{} bytes of {}", came.len(), sent.len());
}

const CHUNK: usize = 64 * 1024;

#[coreloop::test]
async fn a_body_is_made_no_faster_than_it_is_read() {
    let (listener, address) = bind().await;
    let made = Rc::new(Cell::new(0_usize));
    let counter = Rc::clone(&made);
    let service = service_fn(move |_: Request<Incoming>| {
        let made = Rc::clone(&counter);
        let chunks = stream::repeat_with(move || {
            made.set(made.get() + 1);
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; CHUNK])))
        });
        async move { Ok::<_, Infallible>(Response::new(StreamBody::new(chunks))) }
    });
    coreloop::spawn(serve(listener, service).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    // Production stops when the kernel's buffers are full. It counts as stopped when no
    // chunk was produced in many turns of the loop.
    let mut before = usize::MAX;
    let deadline = Deadline::new();
    while made.get() != before || made.get() == 0 {
        deadline.check();
        before = made.get();
        assert!(before * CHUNK < 64 * 1024 * 1024, "{before} made");
        for _ in 0..1000 {
            coreloop::task::yield_now().await;
        }
    }
    drop(stream);
}

#[coreloop::test(start_paused = true)]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let (listener, address) = bind().await;
    let errors = Errors::default();
    coreloop::spawn(
        serve(listener, service_fn(hello))
            .on_error(errors.hook())
            .into_future(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    let start = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    read_to_end(&mut stream).await;
    assert_eq!(start.elapsed(), HEAD_TIMEOUT);
    let (peer, error) = errors.only();
    assert_eq!(peer, stream.local_addr().unwrap());
    assert!(error.is_timeout(), "{error:?}");
}

#[coreloop::test(start_paused = true)]
async fn the_time_limit_of_a_head_can_be_set() {
    let (listener, address) = bind().await;
    coreloop::spawn(
        serve(listener, service_fn(hello))
            .header_read_timeout(Duration::from_millis(250))
            .into_future(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    let start = Instant::now();
    read_to_end(&mut stream).await;
    assert_eq!(start.elapsed(), Duration::from_millis(250));
}

#[coreloop::test]
async fn an_idle_connection_is_closed_after_the_head_timeout() {
    let (listener, address) = bind().await;
    coreloop::spawn(serve(listener, service_fn(hello)).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    // The clock ran when the connection's timer was set, so some of its time has passed.
    time::pause();
    let start = Instant::now();
    let rest = read_to_end(&mut stream).await;
    assert!(rest.ends_with(b"hello"), "{}", rest.escape_ascii());
    assert!(start.elapsed() <= HEAD_TIMEOUT);
    assert!(start.elapsed() > Duration::ZERO);
}

#[coreloop::test]
async fn without_keep_alive_a_connection_serves_one_request() {
    let (listener, address) = bind().await;
    coreloop::spawn(
        serve(listener, service_fn(hello))
            .keep_alive(false)
            .configure(|http| {
                http.auto_date_header(false);
            })
            .into_future(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    let expected = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
}

#[coreloop::test]
async fn a_graceful_shutdown_answers_open_requests() {
    let (listener, address) = bind().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let gate = Gate::default();
    let server = coreloop::spawn(
        serve(listener, gate.service())
            .with_graceful_shutdown(async {
                let _ = stopped.await;
            })
            .into_future(),
    );
    let mut busy = connect(address).await;
    let mut idle = connect(address).await;
    gate.open();
    assert_eq!(get(&mut idle).await, "through");
    gate.close();
    let asked = coreloop::spawn(async move { get(&mut busy).await });
    gate.entered().await;
    // A connection on which nothing was sent yet.
    let mut silent = TcpStream::connect(address).await.unwrap();

    stop.send(()).unwrap();
    // The idle connection is closed while the busy one is still served.
    yield_until(|| idle.is_closed()).await;
    assert_eq!(read_to_end(&mut silent).await, b"");
    assert!(!server.is_finished());
    TcpStream::connect(address)
        .await
        .expect_err("the listener is closed");

    gate.open();
    assert_eq!(asked.await.unwrap(), "through");
    server.await.unwrap().unwrap();
}

#[coreloop::test]
async fn a_graceful_shutdown_does_not_outlast_its_grace_period() {
    let (listener, address) = bind().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let gate = Gate::default();
    let server = coreloop::spawn(
        serve(listener, gate.service())
            .with_graceful_shutdown(async {
                let _ = stopped.await;
            })
            .grace_period(Duration::from_secs(5))
            .into_future(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    gate.entered().await;
    time::pause();
    let start = Instant::now();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    gate.left().await;
    assert_eq!(read_to_end(&mut stream).await, b"");
}

#[coreloop::test]
async fn a_shutdown_without_connections_ends_at_once() {
    let (listener, _) = bind().await;
    serve(listener, service_fn(hello))
        .with_graceful_shutdown(async {})
        .await
        .unwrap();
}

#[coreloop::test]
async fn a_server_that_is_dropped_drops_its_connections() {
    let (listener, address) = bind().await;
    let gate = Gate::default();
    let server = coreloop::spawn(serve(listener, gate.service()).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    gate.entered().await;
    server.abort();
    gate.left().await;
    assert_eq!(read_to_end(&mut stream).await, b"");
}

#[coreloop::test]
async fn the_hook_receives_an_error_of_the_service() {
    let (listener, address) = bind().await;
    let errors = Errors::default();
    let service = service_fn(async |request: Request<Incoming>| {
        if request.uri().path() == "/fail" {
            return Err(io::Error::other("on purpose"));
        }
        Ok(Response::new(Full::new(Bytes::from_static(b"fine"))))
    });
    coreloop::spawn(
        serve(listener, service)
            .on_error(errors.hook())
            .into_future(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /fail HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_to_end(&mut stream).await, b"");
    let (_, error) = errors.only();
    assert!(error.is_user(), "{error:?}");
    assert_eq!(get(&mut connect(address).await).await, "fine");
}

#[test]
fn a_panic_of_the_service_ends_its_connection_only() {
    let reports = Reports::new();
    reports.builder().build().unwrap().block_on(async {
        let (listener, address) = bind().await;
        let service = service_fn(async |request: Request<Incoming>| {
            assert!(request.uri().path() != "/panic", "on purpose");
            text("fine")
        });
        let server = coreloop::spawn(serve(listener, service).into_future());
        let mut good = connect(address).await;
        assert_eq!(get(&mut good).await, "fine");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /panic HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(read_to_end(&mut stream).await, b"");
        assert_eq!(get(&mut good).await, "fine");
        assert!(!server.is_finished());
    });
    assert_eq!(reports.messages(), ["on purpose"]);
}

#[coreloop::test]
async fn a_client_that_disconnects_within_a_body_causes_an_error() {
    let (listener, address) = bind().await;
    let errors = Errors::default();
    let (seen, outcome) = oneshot::channel();
    let seen = Rc::new(RefCell::new(Some(seen)));
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = seen.borrow_mut().take();
        async move {
            let collected = request.into_body().collect().await;
            seen.unwrap().send(collected.map(|_| ())).unwrap();
            text("never read")
        }
    });
    coreloop::spawn(
        serve(listener, service)
            .on_error(errors.hook())
            .into_future(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        .await
        .unwrap();
    drop(stream);
    let error = outcome.await.unwrap().unwrap_err();
    let cause = error.source().unwrap().downcast_ref::<io::Error>();
    assert_eq!(cause.unwrap().kind(), io::ErrorKind::UnexpectedEof);
}

#[coreloop::test]
async fn a_client_that_disconnects_within_an_answer_frees_the_answer() {
    let (listener, address) = bind().await;
    let (dropped, freed) = oneshot::channel();
    let dropped = Rc::new(RefCell::new(Some(dropped)));
    let service = service_fn(move |_: Request<Incoming>| {
        let dropped = dropped.borrow_mut().take();
        let guard = OnDrop::new(move || dropped.unwrap().send(()).unwrap());
        let endless = stream::repeat_with(move || {
            let _ = &guard;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 4096])))
        });
        async { Ok::<_, Infallible>(Response::new(StreamBody::new(endless))) }
    });
    coreloop::spawn(serve(listener, service).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    stream.read_exact(&mut [0; 100]).await.unwrap();
    drop(stream);
    freed.await.unwrap();
}

#[coreloop::test]
async fn pipelined_requests_are_answered_in_order() {
    let (listener, address) = bind().await;
    coreloop::spawn(
        serve(
            listener,
            service_fn(async |request: Request<Incoming>| text(request.uri().path())),
        )
        .into_future(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut requests: String = (0..49)
        .map(|number| format!("GET /{number}. HTTP/1.1\r\nhost: x\r\n\r\n"))
        .collect();
    requests.push_str("GET /49. HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = String::from_utf8(read_to_end(&mut stream).await).unwrap();
    let mut from = 0;
    for number in 0..50 {
        let answer = format!("/{number}.");
        from += answers[from..].find(&answer).unwrap_or_else(|| {
            panic!("{answer} is missing in {answers}");
        });
    }
}

#[coreloop::test]
async fn a_server_that_reads_the_body_sends_100_continue() {
    let (listener, address) = bind().await;
    // hyper sends `100 Continue` when the service reads the body, and not before.
    let service = service_fn(async |request: Request<Incoming>| {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Response::new(Full::new(body)))
    });
    coreloop::spawn(serve(listener, service).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\
              expect: 100-continue\r\nconnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(answer.ends_with(b"body"));
}

#[coreloop::test]
async fn io_wraps_any_stream_of_futures_io() {
    let (listener, address) = bind().await;
    coreloop::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        hyper::server::conn::http1::Builder::new()
            .timer(LoopTimer)
            .serve_connection(Io::new(stream), service_fn(echo))
            .await
            .unwrap();
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = http1::handshake(Io::new(stream)).await.unwrap();
    coreloop::spawn(connection);
    let sent = Bytes::from(vec![3; 100_000]);
    let response = send(&mut client, Full::new(sent.clone())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let came = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(came, sent);
}

#[coreloop::test]
async fn the_halves_of_a_stream_have_the_traits_too() {
    use hyper::rt::{Read, ReadBuf, Write};
    use std::future::poll_fn;
    use std::pin::Pin;

    let (listener, address) = bind().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, b"ping"))
        .await
        .unwrap();
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    server.write_all(b"pong").await.unwrap();
    let mut buffer = ReadBuf::new(&mut bytes);
    poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, buffer.unfilled()))
        .await
        .unwrap();
    assert_eq!(buffer.filled(), b"pong");
    poll_fn(|cx| Pin::new(&mut writer).poll_shutdown(cx))
        .await
        .unwrap();
    assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn text(text: &str) -> Answer {
    Ok(Response::new(Full::new(Bytes::from(text.to_owned()))))
}

async fn hello(_: Request<Incoming>) -> Answer {
    text("hello")
}

async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    Ok(Response::new(request.into_body()))
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http1::handshake(stream).await.unwrap();
    coreloop::spawn(connection);
    client
}

async fn send(
    client: &mut SendRequest<Full<Bytes>>,
    body: Full<Bytes>,
) -> hyper::Result<Response<Incoming>> {
    client.ready().await?;
    let request = Request::post("/").header("host", "x").body(body).unwrap();
    client.send_request(request).await
}

async fn get(client: &mut SendRequest<Full<Bytes>>) -> String {
    client.ready().await.unwrap();
    let request = Request::get("/").header("host", "x");
    let request = request.body(Full::default()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Returns the bytes that arrive before the end, or before the peer resets the connection.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

/// The errors that a server passed to its hook.
#[derive(Clone, Default)]
struct Errors {
    reported: Rc<RefCell<Vec<(SocketAddr, hyper::Error)>>>,
}

impl Errors {
    fn hook(&self) -> impl Fn(SocketAddr, hyper::Error) + 'static {
        let reported = Rc::clone(&self.reported);
        move |peer, error| reported.borrow_mut().push((peer, error))
    }

    fn only(&self) -> (SocketAddr, hyper::Error) {
        let mut reported = self.reported.borrow_mut();
        assert_eq!(reported.len(), 1, "{reported:?}");
        reported.pop().unwrap()
    }
}

/// A service that answers only while it is open.
#[derive(Clone, Default)]
struct Gate {
    state: Rc<GateState>,
}

#[derive(Default)]
struct GateState {
    is_open: Cell<bool>,
    opened: Notify,
    inside: Cell<usize>,
    changed: Notify,
}

impl Gate {
    fn service(
        &self,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
    > + 'static {
        let state = Rc::clone(&self.state);
        service_fn(move |_| {
            let state = Rc::clone(&state);
            async move {
                state.inside.set(state.inside.get() + 1);
                state.changed.notify_one();
                let leaving = Rc::clone(&state);
                let _guard = OnDrop::new(move || {
                    leaving.inside.set(leaving.inside.get() - 1);
                    leaving.changed.notify_one();
                });
                while !state.is_open.get() {
                    state.opened.notified().await;
                }
                text("through")
            }
        })
    }

    fn open(&self) {
        self.state.is_open.set(true);
        self.state.opened.notify_waiters();
    }

    fn close(&self) {
        self.state.is_open.set(false);
    }

    /// Waits until the service holds a request.
    async fn entered(&self) {
        while self.state.inside.get() == 0 {
            self.state.changed.notified().await;
        }
    }

    /// Waits until the service holds no request.
    async fn left(&self) {
        while self.state.inside.get() > 0 {
            self.state.changed.notified().await;
        }
    }
}
