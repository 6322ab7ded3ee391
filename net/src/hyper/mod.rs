//! hyper 1 on the loop: HTTP, without an adapter and without `Send`.
//!
//! The sockets of [`net`](crate) implement the traits `Read` and `Write` of hyper, so its
//! builders take them as they are. This module has the rest:
//!
//! - [`serve`], an HTTP/1.1 server in one call;
//! - [`LocalExecutor`], on which hyper spawns tasks that need not be `Send`;
//! - [`LoopTimer`], which gives hyper the clock and the timers of the loop;
//! - [`Io`], which wraps any stream of futures-io for hyper, for example one of TLS.
//!
//! # Examples
//!
//! A server, and a client that talks to it:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use coreloop::net::{TcpListener, TcpStream};
//! use hyper::service::service_fn;
//! use hyper::{Request, Response, body::Incoming, client::conn::http1};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! coreloop::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     let hello = service_fn(async |_: Request<Incoming>| {
//!         Ok::<_, Infallible>(Response::new("Hello, World!".to_owned()))
//!     });
//!     let server = coreloop::spawn(coreloop::hyper::serve(listener, hello).into_future());
//!
//!     let stream = TcpStream::connect(address).await?;
//!     let (mut sender, connection) = http1::handshake(stream).await?;
//!     coreloop::spawn(connection);
//!     let request = Request::get("/").header("host", "localhost").body(String::new())?;
//!     let response = sender.send_request(request).await?;
//!     assert_eq!(response.status(), 200);
//!     server.abort();
//!     Ok(())
//! })
//! # }
//! ```
//!
//! For HTTP/2, TLS, or an accept loop of your own, pass these to the builders of hyper:
//!
//! ```
//! # use coreloop::hyper::{LocalExecutor, LoopTimer};
//! # use coreloop::net::TcpStream;
//! # use hyper::{Request, Response, body::Incoming};
//! # use std::convert::Infallible;
//! use hyper::server::conn::http2;
//!
//! async fn connection(stream: TcpStream) -> hyper::Result<()> {
//!     http2::Builder::new(LocalExecutor)
//!         .timer(LoopTimer)
//!         .serve_connection(stream, hyper::service::service_fn(hello))
//!         .await
//! }
//! # async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
//! #     Ok(Response::new(String::new()))
//! # }
//! ```
//!
//! # What needs `Send`
//!
//! hyper itself requires `Send` only in `with_upgrades`, whose connections may move to any
//! thread. Libraries on top of it often require it:
//!
//! - axum and tonic require it of handlers and their futures. They run here, on one thread,
//!   but such a future cannot hold a socket, a timer or a lock of coreloop across an `.await`.
//!   Move that work into a task of the loop:
//!   [`Handle::spawn`](coreloop_runtime::runtime::Handle::spawn) takes a closure that is
//!   `Send`, and its result can be awaited.
//! - The pooled client of hyper-util, and so reqwest, requires it of connections, and the
//!   sockets of coreloop are not `Send`. `hyper::client::conn` takes them. For the pool, a
//!   task of the loop may keep the socket and hand over one end of a pipe in memory, as
//!   `ecosystem/tests/crates/hyper_util_client.rs` does.

mod connections;
mod io;
mod serve;

pub use coreloop_runtime::hyper::{LocalExecutor, LoopTimer, Sleep};
pub use io::Io;
pub use serve::{Serve, Serving, serve};
