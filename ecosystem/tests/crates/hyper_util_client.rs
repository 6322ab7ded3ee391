//! The pooled client of hyper-util, on which reqwest is built, on the loop.
//!
//! The client requires connections to be `Send`, and a socket of the loop is not. So a task
//! of the loop owns the socket, and gives the client the other end of a stream in memory,
//! which may be sent to any thread.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coreloop::hyper::{LocalExecutor, LoopTimer};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::runtime::Handle;
use coreloop::time;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;

const IDLE: Duration = Duration::from_secs(15);

#[coreloop::test]
async fn the_pool_keeps_connections_for_the_next_request_until_they_expire() {
    let (address, connections) = listen().await;
    let client = client();
    for _ in 0..10 {
        assert_eq!(get(&client, address).await, "hello");
    }
    assert_eq!(connections.get(), 1);

    // The pool uses the clock of the loop.
    time::pause();
    time::advance(2 * IDLE).await;
    time::resume();
    assert_eq!(get(&client, address).await, "hello");
    assert_eq!(connections.get(), 2);
}

#[coreloop::test]
async fn concurrent_requests_use_separate_connections() {
    let (address, connections) = listen().await;
    let client = client();
    let asked: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            coreloop::spawn(async move { get(&client, address).await })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), "hello");
    }
    assert!((1..=5).contains(&connections.get()));
}

#[coreloop::test]
async fn a_refused_connection_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client().get(uri(address)).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

/// The client's end of the stream in memory.
struct Piped(TokioIo<DuplexStream>);

async fn pipe(uri: Uri) -> io::Result<Piped> {
    let address = uri.authority().unwrap().to_string();
    let connecting = Handle::current().spawn(move || async move {
        let mut stream = TcpStream::connect(address.as_str()).await?;
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        coreloop::spawn(async move {
            let mut ours = ours;
            // The copy ends when the client drops its end.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut ours).await;
        });
        Ok(Piped(TokioIo::new(theirs)))
    });
    connecting.await.map_err(io::Error::other)?
}

impl Connection for Piped {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Piped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for Piped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

type Pooled = Client<tower::util::BoxCloneSyncService<Uri, Piped, io::Error>, Full<Bytes>>;

fn client() -> Pooled {
    let connector = tower::service_fn(pipe);
    Client::builder(LocalExecutor)
        .timer(LoopTimer)
        .pool_timer(LoopTimer)
        .pool_idle_timeout(IDLE)
        .build(tower::util::BoxCloneSyncService::new(connector))
}

/// Starts a server. Returns its address, and a count of the connections that it has
/// accepted.
async fn listen() -> (SocketAddr, Rc<Cell<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Rc::new(Cell::new(0));
    let count = Rc::clone(&connections);
    coreloop::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(
                stream,
                service_fn(async |_: Request<Incoming>| {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
                }),
            );
            coreloop::spawn(connection);
        }
    });
    (address, connections)
}

async fn get(client: &Pooled, address: SocketAddr) -> String {
    let response = client.get(uri(address)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn uri(address: SocketAddr) -> Uri {
    format!("http://{address}/").parse().unwrap()
}
