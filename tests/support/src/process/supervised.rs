//! The app for a storm. Its master, whichever process that is by then, is asked to stop when
//! the test has ended.

use std::net::SocketAddr;

use crate::process::master::{App, Master};

pub struct Server {
    /// The process that was started. Its files exist for longer than the process.
    pub first: Master,
    pub app: App,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        let app = App::new();
        let mut first = Master::start(app.command(arguments));
        let address = first.address();
        Self {
            first,
            app,
            address,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The second request stops the workers at once. It fails if the master has ended.
        for _ in 0..2 {
            let _ = self.app.try_ask("stop");
        }
    }
}
