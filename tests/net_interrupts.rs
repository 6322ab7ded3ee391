//! In a process of its own, without a harness, because signals go to the main thread,
//! where the loop must run: a storm of signals while bytes move.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::{block_on, spawn};
use coreloop_test_support::alone::test;
use coreloop_test_support::deadline::end_if_it_hangs;
use rustix::process::{Signal, getpid, kill_process};

const ROUNDS: usize = 2_000;

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
    let storm = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut sent = 0_usize;
            while !done.load(Ordering::Relaxed) {
                kill_process(getpid(), Signal::USR1).expect("a process may signal itself");
                sent += 1;
            }
            sent
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
        for round in 0..ROUNDS {
            let sent = [round.to_le_bytes()[0]; 64];
            let mut received = [0; 64];
            client.write_all(&sent).await?;
            client.read_exact(&mut received).await?;
            assert_eq!(received, sent);
        }
        drop(client);
        server
            .await
            .expect("the server task neither panics nor is aborted")
    })?;

    done.store(true, Ordering::Relaxed);
    let sent = storm.join().expect("the storm does not panic");
    assert_eq!(seen.load(Ordering::Relaxed), 1, "the handler ran");
    assert!(sent > 100, "{sent} signals are no storm");
    Ok(())
}
