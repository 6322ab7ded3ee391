//! An HTTP client: it prints the response of a URL.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-ecosystem --example http_client http://127.0.0.1:8080/
//! ```
//!
//! while the `http_server` example is running. It speaks plain HTTP/1.1; `https` would
//! need a TLS stream.

use std::error::Error;
use std::io::{self, Write};

use bytes::Bytes;
use clap::Parser;
use coreloop::net::TcpStream;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::{Request, Uri};

/// Prints the response of a URL.
#[derive(Parser)]
struct Options {
    /// The URL to request, as http://host:port/path
    url: Uri,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    coreloop::block_on(get(&options.url))
}

async fn get(url: &Uri) -> Result<(), Box<dyn Error>> {
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(format!("not a URL that starts with http://: {url}").into());
    };
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{authority}: {error}")))?;

    // The connection reads and writes in its own task.
    let (mut sender, connection) = http1::handshake(stream).await?;
    let connection = coreloop::spawn(connection);

    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header("host", authority.as_str())
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let mut response = sender.send_request(request).await?;
    println!("{}", response.status());

    let mut output = io::stdout();
    while let Some(frame) = response.frame().await {
        // A frame without data holds trailers, which are not printed.
        if let Ok(data) = frame?.into_data() {
            output.write_all(&data)?;
        }
    }
    output.flush()?;
    drop(sender);
    connection.await??;
    Ok(())
}
