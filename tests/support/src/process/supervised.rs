//! The app for a storm, with a master that is asked to stop when the test is over,
//! whichever process that is by then.

use std::net::SocketAddr;

use crate::process::master::{App, Master};

pub struct Server {
    /// The process that was started. Its files are there longer than it.
    pub first: Master,
    pub app: App,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
        let app = App::new();
        let mut first = Master::start(app.command(arguments));
        let address = first.address();
        Server {
            first,
            app,
            address,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The second request does not wait for anybody. Fails if there is no master.
        for _ in 0..2 {
            let _ = self.app.try_ask("stop");
        }
    }
}
