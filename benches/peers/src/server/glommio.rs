//! Echo on glommio, if the kernel offers `io_uring`.

use std::future::pending;
use std::io;

use glommio::net::TcpListener;
use glommio::{GlommioError, LocalExecutorBuilder};
use smol::io::{AsyncReadExt, AsyncWriteExt};

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    let executor = LocalExecutorBuilder::default()
        .make()
        .map_err(|error| glommio_error(&error))?;
    executor.run(async {
        let listener = TcpListener::bind(super::ANY_PORT).map_err(|error| glommio_error(&error))?;
        super::announce(
            listener
                .local_addr()
                .map_err(|error| glommio_error(&error))?,
        )?;
        for _ in 0..connections {
            let mut stream = listener
                .accept()
                .await
                .map_err(|error| glommio_error(&error))?;
            let handler = glommio::spawn_local(async move {
                let mut buffer = [0; N];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
                super::closed();
            });
            drop(handler.detach());
        }
        pending().await
    })
}

/// Converts glommio's error, which is not `Sync`, to an error of `std`.
fn glommio_error(error: &GlommioError<()>) -> io::Error {
    io::Error::other(error.to_string())
}
