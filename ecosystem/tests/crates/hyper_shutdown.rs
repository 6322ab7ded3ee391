//! A graceful shutdown of `coreloop::hyper::serve` in the middle of a message.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coreloop::hyper::{Serve, serve};
use coreloop::net::{Accept, TcpListener, TcpStream};
use coreloop::sync::{mpsc, oneshot};
use coreloop::task::JoinHandle;
use coreloop::time::{self, Instant};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nfirst";

#[coreloop::test]
async fn a_request_whose_body_is_incomplete_is_answered() {
    let (listener, address) = bind().await;
    let (inside, entered) = oneshot::channel();
    let inside = RefCell::new(Some(inside));
    let echo = service_fn(move |mut request: Request<Incoming>| {
        let inside = inside.take();
        async move {
            let first = request.body_mut().frame().await.unwrap()?;
            inside.unwrap().send(()).unwrap();
            let mut all = first.into_data().unwrap().to_vec();
            all.extend(request.into_body().collect().await?.to_bytes());
            Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(all))))
        }
    });
    let (stop, server) = start(serve(listener, echo));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(POST).await.unwrap();
    entered.await.unwrap();

    stop.send(()).unwrap();
    coreloop::task::yield_now().await;
    assert!(!server.is_finished());
    stream.write_all(b"now").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nfirstnow"), "{answer}");
    server.await.unwrap().unwrap();
}

#[coreloop::test]
async fn an_answer_that_is_being_sent_is_sent_whole() {
    let (listener, address) = bind().await;
    let (parts, body) = mpsc::unbounded_channel::<&'static str>();
    let body = Rc::new(RefCell::new(Some(body)));
    let service = service_fn(move |_: Request<Incoming>| {
        let parts = body.take().unwrap();
        let frames = parts.map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part))));
        async move { Ok::<_, Infallible>(Response::new(StreamBody::new(frames))) }
    });
    let (stop, server) = start(serve(listener, service));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    parts.send("one").unwrap();
    let mut buffer = [0; 1024];
    let mut answer = String::new();
    while !answer.contains("one") {
        let count = stream.read(&mut buffer).await.unwrap();
        answer += std::str::from_utf8(&buffer[..count]).unwrap();
    }

    stop.send(()).unwrap();
    coreloop::task::yield_now().await;
    assert!(!server.is_finished());
    parts.send("two").unwrap();
    drop(parts);
    answer += &read_to_end(&mut stream).await;
    assert!(
        answer.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        "{answer}"
    );
    server.await.unwrap().unwrap();
}

/// Neither an incomplete head nor an incomplete body delays the shutdown for longer than
/// the grace period.
#[coreloop::test]
async fn clients_with_an_incomplete_request_are_dropped_after_the_grace_period() {
    let (listener, address) = bind().await;
    let (inside, entered) = oneshot::channel();
    let inside = RefCell::new(Some(inside));
    let wait = service_fn(move |request: Request<Incoming>| {
        inside.take().unwrap().send(()).unwrap();
        async move {
            request.into_body().collect().await?;
            pending::<Result<Response<Full<Bytes>>, hyper::Error>>().await
        }
    });
    let grace = Duration::from_secs(3);
    let (stop, server) = start(serve(listener, wait).grace_period(grace));
    let mut in_head = TcpStream::connect(address).await.unwrap();
    in_head.write_all(&POST[..20]).await.unwrap();
    let mut in_body = TcpStream::connect(address).await.unwrap();
    in_body.write_all(POST).await.unwrap();
    entered.await.unwrap();

    time::pause();
    let asked = Instant::now();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert_eq!(asked.elapsed(), grace);
    assert_eq!(read_to_end(&mut in_head).await, "");
    assert_eq!(read_to_end(&mut in_body).await, "");
}

#[coreloop::test(start_paused = true)]
async fn an_idle_connection_may_send_a_last_request() {
    let (listener, address) = bind().await;
    let answer =
        service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done")))));
    let wait = Duration::from_secs(1);
    let (stop, server) = start(serve(listener, answer).last_request(wait));
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(!ask(&mut stream).await.contains("connection: close"));
        streams.push(stream);
    }

    let asked = Instant::now();
    stop.send(()).unwrap();
    coreloop::task::yield_now().await;
    assert!(ask(&mut streams[0]).await.contains("connection: close"));
    assert_eq!(streams[0].read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(asked.elapsed(), Duration::ZERO);
    // The other connection sends no request.
    assert_eq!(streams[1].read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(asked.elapsed(), wait);
    server.await.unwrap().unwrap();
}

/// The listener of a worker ends when the worker has to end.
#[coreloop::test]
async fn a_listener_that_ends_shuts_down_the_server() {
    struct Ending(TcpListener, oneshot::Receiver<()>);

    impl Accept for Ending {
        fn poll_accept(
            &mut self,
            cx: &mut Context<'_>,
        ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
            match Pin::new(&mut self.1).poll(cx) {
                Poll::Ready(_) => Poll::Ready(Ok(None)),
                Poll::Pending => Accept::poll_accept(&mut self.0, cx),
            }
        }
    }

    let (listener, address) = bind().await;
    let (inside, mut entered) = mpsc::unbounded_channel();
    let (go, gate) = oneshot::channel::<()>();
    let gate = RefCell::new(Some(gate));
    let answer = service_fn(move |_: Request<Incoming>| {
        inside.send(()).unwrap();
        let gate = gate.take();
        async move {
            if let Some(gate) = gate {
                gate.await.unwrap();
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done"))))
        }
    });
    let (end, ended) = oneshot::channel();
    let server = coreloop::spawn(serve(Ending(listener, ended), answer).into_future());
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(GET).await.unwrap();
    entered.recv().await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    let answer = ask(&mut idle).await;
    assert!(!answer.contains("connection: close"), "{answer}");

    end.send(()).unwrap();
    // The idle connection is closed, and not reset.
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(!server.is_finished());
    go.send(()).unwrap();
    let answer = read_to_end(&mut busy).await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    server.await.unwrap().unwrap();
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Runs a server until the returned sender is used.
fn start<S>(server: Serve<S>) -> (oneshot::Sender<()>, JoinHandle<io::Result<()>>)
where
    Serve<S>: IntoFuture<Output = io::Result<()>, IntoFuture: 'static>,
{
    let (stop, stopped) = oneshot::channel();
    let server = server.with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    (stop, coreloop::spawn(server.into_future()))
}

/// Sends a request, and returns the answer without waiting for the end of the connection.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(GET).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("done") {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "only: {answer}");
        answer += std::str::from_utf8(&buffer[..count]).unwrap();
    }
    answer
}

/// Returns the text that arrives before the end, or before the peer resets the connection.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        all.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(all).unwrap()
}
