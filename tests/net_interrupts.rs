//! A storm of signals while bytes move. The test has a process of its own, without a
//! harness, because signals go to the main thread, where the loop must run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::{block_on, spawn};
use coreloop_test_support::alone::test;
use coreloop_test_support::deadline::end_if_it_hangs;
use rustix::process::{Signal, getpid, kill_process};

/// The least number of messages that are echoed.
const ROUNDS: usize = 2_000;
/// The least number of signals that are sent meanwhile.
const SIGNALS: usize = 101;

fn main() {
    // Miri delivers no signals.
    if !cfg!(miri) {
        test("bytes_move_in_a_storm_of_signals", || {
            echo_in_a_storm().expect("no error, though signals interrupt");
        });
    }
}

fn echo_in_a_storm() -> io::Result<()> {
    end_if_it_hangs();
    let seen = Arc::new(AtomicUsize::new(0));
    signal_hook::flag::register_usize(signal_hook::consts::SIGUSR1, Arc::clone(&seen), 1)?;
    let done = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let storm = thread::spawn({
        let (done, sent) = (Arc::clone(&done), Arc::clone(&sent));
        move || {
            while !done.load(Ordering::Relaxed) {
                kill_process(getpid(), Signal::USR1).expect("a process may signal itself");
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });

    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut buffer = [0; 64];
            loop {
                match stream.read(&mut buffer).await? {
                    0 => return io::Result::Ok(()),
                    count => stream.write_all(&buffer[..count]).await?,
                }
            }
        });
        let mut client = TcpStream::connect(address).await?;
        let mut round = 0_usize;
        // On a busy machine the other thread may not have run yet.
        while round < ROUNDS || sent.load(Ordering::Relaxed) < SIGNALS {
            let message = [round.to_le_bytes()[0]; 64];
            let mut received = [0; 64];
            client.write_all(&message).await?;
            client.read_exact(&mut received).await?;
            assert_eq!(received, message);
            round += 1;
        }
        drop(client);
        server
            .await
            .expect("the server task neither panics nor is aborted")
    })?;

    done.store(true, Ordering::Relaxed);
    storm.join().expect("the storm does not panic");
    assert_eq!(seen.load(Ordering::Relaxed), 1, "the handler ran");
    Ok(())
}
