//! [`Meeting`], where jobs wait until their test lets them continue.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;

use coreloop::net::{UnixListener, UnixStream};
use coreloop_test_support::folder::Folder;
use futures_lite::AsyncBufReadExt;
use futures_lite::io::BufReader;

/// A socket that jobs connect to.
pub(crate) struct Meeting {
    folder: Folder,
    listener: UnixListener,
}

/// A job that waits.
pub(crate) struct Guest {
    pub(crate) pid: u32,
    pub(crate) text: String,
    _stream: BufReader<UnixStream>,
}

impl Meeting {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path("meeting")).unwrap();
        Self { folder, listener }
    }

    /// The argument for [`wait_at`].
    pub(crate) fn place(&self) -> String {
        self.folder.path("meeting").to_str().unwrap().to_owned()
    }

    /// Waits for the next job that waits.
    pub(crate) async fn guest(&self) -> Guest {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let (pid, text) = line.trim_end_matches('\n').split_once(' ').unwrap();
        Guest {
            pid: pid.parse().unwrap(),
            text: text.to_owned(),
            _stream: stream,
        }
    }
}

impl Guest {
    /// Lets the job return.
    pub(crate) fn release(self) {}
}

/// Waits in a job until the test releases the guest, or has ended.
pub(crate) fn wait_at(place: &str, text: &str) {
    let mut stream = StdStream::connect(place).unwrap();
    // An error is as good an end as the end of the stream.
    let _ = writeln!(stream, "{} {text}", std::process::id());
    let _ = stream.read(&mut [0]);
}
