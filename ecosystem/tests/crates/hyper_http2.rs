//! HTTP/2 with hyper on the loop: server, client, and hyper-util on both.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use coreloop::hyper::{LocalExecutor, LoopTimer};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::sync::{Notify, oneshot};
use coreloop::time::{self, Instant};
use futures_util::future::join_all;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{self as client, SendRequest};
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};

use coreloop_test_support::on_drop::OnDrop;

type ClientBody = BoxBody<Bytes, Infallible>;

#[coreloop::test]
async fn streams_of_one_connection_are_served_at_once() {
    // The service answers only when all clients have sent their requests, so serving them
    // one after another would hang. The futures hold an `Rc`; the executor spawns them.
    let waiting = Rc::new(Cell::new(0));
    let all_there = Rc::new(Notify::new());
    let address = listen(move |_| {
        let (waiting, all_there) = (Rc::clone(&waiting), Rc::clone(&all_there));
        async move {
            waiting.set(waiting.get() + 1);
            if waiting.get() == 50 {
                all_there.notify_waiters();
            } else {
                all_there.notified().await;
            }
            Ok(Response::new(Full::new(Bytes::from_static(b"all"))))
        }
    })
    .await;
    let client = connect(address).await;
    let asked = (0..50).map(|_| {
        let mut client = client.clone();
        async move { post(&mut client, full(b"")).await }
    });
    for answer in join_all(asked).await {
        assert_eq!(answer, "all");
    }
}

#[coreloop::test]
async fn several_streams_carry_large_bodies_in_both_directions() {
    let address = listen(echo).await;
    let client = connect(address).await;
    // Each body is larger than the windows of the stream and of the connection.
    let asked = (1..=4_u8).map(|number| {
        let mut client = client.clone();
        async move {
            let sent = Bytes::from(vec![number; 1_000_000]);
            let request = Request::post("http://x/").body(full(&sent)).unwrap();
            let response = client.send_request(request).await.unwrap();
            let came = response.into_body().collect().await.unwrap().to_bytes();
            assert!(came == sent, "{} bytes of {}", came.len(), sent.len());
        }
    });
    join_all(asked).await;
}

#[coreloop::test]
async fn a_stream_that_is_not_read_delays_no_other() {
    let made = Rc::new(Cell::new(0_usize));
    let counter = Rc::clone(&made);
    let address = listen(move |request: Request<Incoming>| {
        let made = Rc::clone(&counter);
        async move {
            let is_large = request.uri().path() == "/large";
            let chunks = (0..if is_large { 1000 } else { 1 }).map(move |_| {
                made.set(made.get() + 1);
                Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; 4096])))
            });
            Ok(Response::new(StreamBody::new(stream::iter(chunks))))
        }
    })
    .await;
    let mut client = connect(address).await;
    let request = Request::get("http://x/large").body(full(b"")).unwrap();
    let unread = client.send_request(request).await.unwrap();
    for _ in 0..10 {
        assert_eq!(post(&mut client, full(b"")).await.len(), 4096);
    }
    assert!(
        made.get() < 1000,
        "the whole body was produced although no byte was read"
    );
    let all = unread.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(all.len(), 4_096_000);
}

#[coreloop::test]
async fn a_stream_that_is_dropped_does_not_end_the_others() {
    let (dropped, freed) = oneshot::channel();
    let dropped = Rc::new(RefCell::new(Some(dropped)));
    let address = listen(move |request: Request<Incoming>| {
        let dropped = Rc::clone(&dropped);
        async move {
            if request.uri().path() == "/wait" {
                let dropped = dropped.borrow_mut().take().unwrap();
                let _guard = OnDrop::new(move || dropped.send(()).unwrap());
                std::future::pending::<()>().await;
            }
            Ok(Response::new(Full::new(Bytes::from_static(b"fine"))))
        }
    })
    .await;
    let mut client = connect(address).await;
    let request = Request::get("http://x/wait").body(full(b"")).unwrap();
    let mut waiting = client.clone();
    let waiting = coreloop::spawn(async move { drop(waiting.send_request(request).await) });
    assert_eq!(post(&mut client, full(b"")).await, "fine");
    waiting.abort();
    freed.await.unwrap();
    assert_eq!(post(&mut client, full(b"")).await, "fine");
}

#[coreloop::test]
async fn a_client_that_disconnects_within_its_body_causes_an_error() {
    let (seen, outcome) = oneshot::channel();
    let seen = Rc::new(RefCell::new(Some(seen)));
    let (began, begun) = oneshot::channel();
    let began = Rc::new(RefCell::new(Some(began)));
    let address = listen(move |request: Request<Incoming>| {
        let seen = seen.borrow_mut().take();
        let began = began.borrow_mut().take();
        async move {
            let mut body = request.into_body();
            let first = body.frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), &b"half"[..]);
            began.unwrap().send(()).unwrap();
            let rest = body.collect().await.map(|_| ());
            seen.unwrap().send(rest).unwrap();
            Ok(Response::new(Full::new(Bytes::new())))
        }
    })
    .await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = client::handshake(LocalExecutor, stream).await.unwrap();
    let connection = coreloop::spawn(connection);
    let half = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(
        b"half",
    )))]);
    let half = futures_util::StreamExt::chain(half, stream::pending());
    let request = Request::post("http://x/")
        .body(StreamBody::new(half))
        .unwrap();
    let asked = coreloop::spawn(async move { drop(client.send_request(request).await) });
    begun.await.unwrap();
    connection.abort();
    asked.abort();
    outcome.await.unwrap().unwrap_err();
}

#[coreloop::test]
async fn a_graceful_shutdown_finishes_the_streams_that_are_open() {
    let (entered, inside) = oneshot::channel();
    let entered = Rc::new(RefCell::new(Some(entered)));
    let gate = Rc::new(Notify::new());
    let gate_of_service = Rc::clone(&gate);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = coreloop::spawn(async move {
        let service = service_fn(move |_: Request<Incoming>| {
            let gate = Rc::clone(&gate_of_service);
            let entered = entered.borrow_mut().take();
            async move {
                // Other requests may arrive before the client has received the shutdown.
                if let Some(entered) = entered {
                    entered.send(()).unwrap();
                    gate.notified().await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"late"))))
            }
        });
        let (stream, _) = listener.accept().await.unwrap();
        let connection = server::Builder::new(LocalExecutor).serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        coreloop::select! {
            result = &mut connection => panic!("it ended by itself: {result:?}"),
            _ = stopped => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    });
    let mut client = connect(address).await;
    let mut other = client.clone();
    let asked = coreloop::spawn(async move { post(&mut client, full(b"")).await });
    inside.await.unwrap();
    stop.send(()).unwrap();
    // When the client has received the shutdown, it starts no new request.
    while other.ready().await.is_ok() {
        let request = Request::get("http://x/").body(full(b"")).unwrap();
        if other.send_request(request).await.is_err() {
            break;
        }
    }
    gate.notify_one();
    assert_eq!(asked.await.unwrap(), "late");
    serving.await.unwrap().unwrap();
}

#[coreloop::test]
async fn a_peer_that_answers_no_ping_is_disconnected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = coreloop::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        server::Builder::new(LocalExecutor)
            .timer(LoopTimer)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(5))
            .serve_connection(stream, service_fn(echo))
            .await
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The preface, an empty settings frame, and nothing more.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    stream.read_exact(&mut [0; 9]).await.unwrap();
    time::pause();
    let start = Instant::now();
    let error = serving.await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(start.elapsed() <= Duration::from_secs(25));
    assert!(start.elapsed() > Duration::from_secs(5));
}

#[coreloop::test]
async fn garbage_instead_of_a_preface_ends_the_connection() {
    for garbage in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot frames at all",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let address = listen(echo).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut buffer = [0; 1024];
        while let Ok(1..) = stream.read(&mut buffer).await {}
        // The next connection is served.
        let mut client = connect(address).await;
        assert_eq!(post(&mut client, full(b"good")).await, "good");
    }
}

#[coreloop::test]
async fn the_auto_builder_serves_both_versions() {
    use hyper_util::server::conn::auto;
    use hyper_util::server::graceful::GracefulShutdown;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = coreloop::spawn(async move {
        let graceful = GracefulShutdown::new();
        let mut stopped = stopped;
        loop {
            let (stream, _) = coreloop::select! {
                accepted = listener.accept() => accepted.unwrap(),
                _ = &mut stopped => break,
            };
            let watcher = graceful.watcher();
            coreloop::spawn(async move {
                let http = auto::Builder::new(LocalExecutor);
                let connection = http.serve_connection(stream, service_fn(echo));
                watcher.watch(connection).await.unwrap();
            });
        }
        graceful.shutdown().await;
    });
    let mut second = connect(address).await;
    assert_eq!(post(&mut second, full(b"two")).await, "two");

    let stream = TcpStream::connect(address).await.unwrap();
    let (mut first, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    let connection = coreloop::spawn(connection);
    let request = Request::post("/").header("host", "x");
    let response = first
        .send_request(request.body(full(b"one")).unwrap())
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"one");

    stop.send(()).unwrap();
    serving.await.unwrap();
    connection.await.unwrap().unwrap();
}

/// Serves HTTP/2, and returns the address.
async fn listen<F, B>(service: impl Fn(Request<Incoming>) -> F + Clone + 'static) -> SocketAddr
where
    F: Future<Output = Result<Response<B>, Infallible>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    coreloop::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(service.clone());
            coreloop::spawn(
                server::Builder::new(LocalExecutor)
                    .timer(LoopTimer)
                    .serve_connection(stream, service),
            );
        }
    });
    address
}

async fn connect(address: SocketAddr) -> SendRequest<ClientBody> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = client::Builder::new(LocalExecutor)
        .timer(LoopTimer)
        .handshake(stream)
        .await
        .unwrap();
    coreloop::spawn(connection);
    client
}

async fn post(client: &mut SendRequest<ClientBody>, body: ClientBody) -> String {
    client.ready().await.unwrap();
    let request = Request::post("http://x/").body(body).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn full(bytes: &[u8]) -> ClientBody {
    Full::new(Bytes::copy_from_slice(bytes)).boxed()
}

async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    Ok(Response::new(request.into_body()))
}
