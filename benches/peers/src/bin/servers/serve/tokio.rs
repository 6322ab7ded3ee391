//! The services on tokio's `current_thread` runtime.

use std::io;
use std::net::SocketAddr;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Options, Service, hello};
use crate::bulk;
use crate::tls;

pub(super) fn serve(options: &Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(super::ANY_PORT).await?;
        super::announce(listener.local_addr()?)?;
        match options.service {
            Service::Http => each(&listener, http).await,
            Service::HttpTimed => each(&listener, http_timed).await,
            Service::Answer => each(&listener, answer).await,
            Service::Echo => each(&listener, echo).await,
            Service::Proxy => {
                let upstream = options.upstream();
                each(&listener, |stream| proxy(stream, upstream)).await
            }
            Service::Tls => {
                let acceptor = TlsAcceptor::from(options.identity()?);
                each(&listener, |stream| tls_echo(stream, acceptor.clone())).await
            }
            Service::TlsMessages => {
                let acceptor = TlsAcceptor::from(options.identity()?);
                each(&listener, |stream| tls_messages(stream, acceptor.clone())).await
            }
        }
    })
}

/// Spawns a task for each connection. Its errors are visible to the client.
async fn each<F>(listener: &TcpListener, handle: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let handling = handle(stream);
        drop(tokio::spawn(async {
            drop(handling.await);
            super::closed();
        }));
    }
}

async fn http(stream: TcpStream) -> io::Result<()> {
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(hello))
        .await
        .map_err(io::Error::other)
}

async fn http_timed(stream: TcpStream) -> io::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service_fn(hello))
        .await
        .map_err(io::Error::other)
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let count = stream.read(&mut buffer).await?;
    stream.write_all(&buffer[..count]).await
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; bulk::MESSAGE];
    while let count @ 1.. = stream.read(&mut buffer).await? {
        stream.write_all(&buffer[..count]).await?;
    }
    Ok(())
}

async fn proxy(mut near: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let size = bulk::PROXY_BUFFER;
    let mut far = TcpStream::connect(upstream).await?;
    copy_bidirectional_with_sizes(&mut near, &mut far, size, size).await?;
    Ok(())
}

async fn tls_echo(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; tls::MESSAGE];
    while let count @ 1.. = stream.read(&mut buffer).await? {
        stream.write_all(&buffer[..count]).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn tls_messages(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; tls::MESSAGE];
    loop {
        stream.read_exact(&mut buffer).await?;
        stream.write_all(&buffer).await?;
        stream.flush().await?;
    }
}
