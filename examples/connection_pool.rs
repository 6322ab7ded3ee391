//! A bounded connection pool: many requests share a few connections.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example connection_pool
//! ```
//!
//! A semaphore has one permit for each connection that may exist. A request with a
//! permit takes an idle connection or opens one. The permit is returned when the
//! request succeeds, fails or is cancelled. Requests wait for a permit in order.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::sync::Semaphore;

struct Pool {
    address: SocketAddr,
    permits: Semaphore,
    idle: RefCell<Vec<TcpStream>>,
    opened: Cell<usize>,
}

impl Pool {
    async fn request(&self, text: &[u8]) -> io::Result<Vec<u8>> {
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        let idle = self.idle.borrow_mut().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                self.opened.set(self.opened.get() + 1);
                TcpStream::connect(self.address).await?
            }
        };
        stream.write_all(text).await?;
        let mut response = vec![0; text.len()];
        stream.read_exact(&mut response).await?;
        // A connection whose response was not read to its end cannot serve the next
        // request. So a request that fails or is cancelled before this line closes it.
        self.idle.borrow_mut().push(stream);
        Ok(response)
    }
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let pool = Rc::new(Pool {
        address: listener.local_addr()?,
        permits: Semaphore::new(4),
        idle: RefCell::default(),
        opened: Cell::new(0),
    });
    coreloop::spawn(serve(listener));

    let mut requests = Vec::new();
    for number in 0..100 {
        let pool = Rc::clone(&pool);
        let text = format!("request {number}");
        requests.push(coreloop::spawn(async move {
            let response = pool.request(text.as_bytes()).await?;
            assert_eq!(response, text.as_bytes());
            io::Result::Ok(())
        }));
    }
    let count = requests.len();
    for request in requests {
        request.await??;
    }
    println!("{count} requests over {} connections", pool.opened.get());
    Ok(())
}

/// Sends back every request.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        coreloop::spawn(async move {
            let mut buffer = [0; 256];
            loop {
                match stream.read(&mut buffer).await? {
                    0 => return io::Result::Ok(()),
                    count => stream.write_all(&buffer[..count]).await?,
                }
            }
        });
    }
}
