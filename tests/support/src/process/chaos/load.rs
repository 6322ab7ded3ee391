//! [`Load`], clients that visit the program all the time and count how the visits end.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::chaos::visit::{Failure, Target};

/// How many clients visit each socket.
const CLIENTS: usize = 6;

/// Clients, which stop when this is finished or dropped.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    answered: AtomicU64,
    killed: Mutex<HashSet<Pid>>,
    failures: Mutex<Vec<(Target, Failure)>>,
}

impl Load {
    pub(super) fn start(targets: &[Target]) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = targets
            .iter()
            .flat_map(|target| (0..CLIENTS).map(move |_| target.clone()))
            .map(|target| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || visit_again(&shared, &target))
            })
            .collect();
        Self { shared, clients }
    }

    /// Returns the number of visits that were answered.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Kills a worker, whose connections may fail from now on.
    pub fn kill(&self, worker: Pid) {
        self.shared.killed.lock().unwrap().insert(worker);
        // It may have ended meanwhile.
        let _ = kill_process(worker, Signal::KILL);
    }

    /// Waits for the open visits, and checks how all of them have ended.
    ///
    /// # Panics
    ///
    /// Panics if a visit failed that no kill explains.
    pub fn finish(mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        let killed = self.shared.killed.lock().unwrap();
        let mut failures = self.shared.failures.lock().unwrap();
        let count = failures.len();
        failures.retain(|(_, failure)| match failure {
            Failure::Cut(server, _) => !killed.contains(&server.pid),
            _ => true,
        });
        let (excused, kills) = (count - failures.len(), killed.len());
        eprintln!(
            "{} answered, {excused} cut off by {kills} kills, other failures: {failures:?}",
            self.answered()
        );
        for socket in [Target::is_tcp, Target::is_udp, Target::is_shared] {
            // At most one for each kill, and nothing else.
            let of_socket = failures.iter().filter(|(target, _)| socket(target));
            let (unread, other): (Vec<_>, Vec<_>) = of_socket.partition(|(_, failure)| {
                matches!(failure, Failure::Unannounced | Failure::Unanswered)
            });
            assert!(other.is_empty(), "lost: {other:?}");
            assert!(unread.len() <= kills, "{kills} kills: {unread:?}");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

fn visit_again(shared: &Shared, target: &Target) {
    while !shared.over.load(Ordering::Relaxed) {
        match target.visit() {
            Ok(_) => {
                shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(failure) => {
                let mut failures = shared.failures.lock().unwrap();
                failures.push((target.clone(), failure));
            }
        }
    }
}
