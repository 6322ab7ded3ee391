//! The services on coreloop.

use std::io;
use std::net::SocketAddr;

use coreloop::hyper::LoopTimer;
use coreloop::net::{TcpListener, TcpStream};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::{Options, Runtime, Service, hello};
use crate::bulk;

pub(super) fn serve(options: &Options) -> io::Result<()> {
    coreloop::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(super::ANY_PORT).await?;
        super::announce(listener.local_addr()?)?;
        match (options.service, options.runtime) {
            (Service::Http, _) => each(&listener, http).await,
            (Service::HttpTimed, _) => each(&listener, http_timed).await,
            (Service::Answer, _) => each(&listener, answer).await,
            (Service::Echo, _) => each(&listener, echo).await,
            (Service::Proxy, _) => {
                let upstream = options.upstream();
                each(&listener, |stream| proxy(stream, upstream)).await
            }
            (Service::Tls | Service::TlsMessages, Runtime::Coreloop) => {
                by_futures_io::serve(options, &listener).await
            }
            (Service::Tls | Service::TlsMessages, Runtime::CoreloopTokioIo) => {
                by_tokio_io::serve(options, &listener).await
            }
            _ => Err(super::not_here(options)),
        }
    })
}

/// Spawns a task for each connection. Its errors are visible to the client.
async fn each<F>(listener: &TcpListener, handle: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let handling = handle(stream);
        drop(coreloop::spawn(async {
            drop(handling.await);
            super::closed();
        }));
    }
}

async fn http(stream: TcpStream) -> io::Result<()> {
    http1::Builder::new()
        .serve_connection(stream, service_fn(hello))
        .await
        .map_err(io::Error::other)
}

async fn http_timed(stream: TcpStream) -> io::Result<()> {
    http1::Builder::new()
        .timer(LoopTimer)
        .serve_connection(stream, service_fn(hello))
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
    let mut far = TcpStream::connect(upstream).await?;
    coreloop::io::copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

/// TLS with futures-rustls.
mod by_futures_io {
    use std::io;

    use coreloop::net::{TcpListener, TcpStream};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use futures_rustls::TlsAcceptor;

    use super::{Options, Service, each};
    use crate::tls;

    pub(super) async fn serve(options: &Options, listener: &TcpListener) -> io::Result<()> {
        let acceptor = TlsAcceptor::from(options.identity()?);
        match options.service {
            Service::TlsMessages => {
                each(listener, |stream| messages(stream, acceptor.clone())).await
            }
            _ => each(listener, |stream| echo(stream, acceptor.clone())).await,
        }
    }

    async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = acceptor.accept(stream).await?;
        let mut buffer = vec![0; tls::MESSAGE];
        while let count @ 1.. = stream.read(&mut buffer).await? {
            stream.write_all(&buffer[..count]).await?;
            stream.flush().await?;
        }
        Ok(())
    }

    async fn messages(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = acceptor.accept(stream).await?;
        let mut buffer = vec![0; tls::MESSAGE];
        loop {
            stream.read_exact(&mut buffer).await?;
            stream.write_all(&buffer).await?;
            stream.flush().await?;
        }
    }
}

/// TLS with tokio-rustls.
mod by_tokio_io {
    use std::io;

    use coreloop::net::{TcpListener, TcpStream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsAcceptor;

    use super::{Options, Service, each};
    use crate::tls;

    pub(super) async fn serve(options: &Options, listener: &TcpListener) -> io::Result<()> {
        let acceptor = TlsAcceptor::from(options.identity()?);
        match options.service {
            Service::TlsMessages => {
                each(listener, |stream| messages(stream, acceptor.clone())).await
            }
            _ => each(listener, |stream| echo(stream, acceptor.clone())).await,
        }
    }

    async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = acceptor.accept(stream).await?;
        let mut buffer = vec![0; tls::MESSAGE];
        while let count @ 1.. = stream.read(&mut buffer).await? {
            stream.write_all(&buffer[..count]).await?;
            stream.flush().await?;
        }
        Ok(())
    }

    async fn messages(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = acceptor.accept(stream).await?;
        let mut buffer = vec![0; tls::MESSAGE];
        loop {
            stream.read_exact(&mut buffer).await?;
            stream.write_all(&buffer).await?;
            stream.flush().await?;
        }
    }
}
