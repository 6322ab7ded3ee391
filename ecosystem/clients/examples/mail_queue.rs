//! Mails that a shop pushes and other machines send: a queue of jobs on a server of Redis.
//!
//! ```sh
//! redis-server --appendonly yes &
//! cargo run -p coreloop-ecosystem-clients --example mail_queue -- work &
//! cargo run -p coreloop-ecosystem-clients --example mail_queue -- push ada@home grace@work mistyped
//! ```
//!
//! Start as many workers as you like, on other machines too, and kill some: their mails are sent
//! by the others. A mail that cannot be sent is among the dead letters after three attempts.

use std::error::Error;
use std::thread;
use std::time::Duration;

use clap::{Parser, Subcommand};
use coreloop::jobs::{Queue, WorkerEvent};
use coreloop::pool::Pool;
use coreloop::{signal, spawn};

#[derive(Parser)]
struct Options {
    /// The server of Redis
    #[arg(long, default_value = "redis://127.0.0.1")]
    url: String,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Sends mails until Ctrl-C
    Work,
    /// Pushes a mail to each address, and waits until all are sent
    Push { addresses: Vec<String> },
}

/// Runs in a worker process of any machine whose program has this function.
#[coreloop::job]
fn send_mail(to: String, text: String) -> Result<String, String> {
    // A program that sends mails would talk to a mail server here.
    thread::sleep(Duration::from_millis(50));
    if to.contains('@') {
        Ok(format!("{to} was sent {text:?}"))
    } else {
        Err(format!("{to} is not an address"))
    }
}

async fn push(queue: &Queue, addresses: &[String]) -> Result<(), coreloop::jobs::Error> {
    let mut receipts = Vec::new();
    for to in addresses {
        let mail = (to.clone(), "Your order is on its way.".to_owned());
        // A shop has numbers of orders. With the key, it may push again after an error, and the
        // mail is sent once.
        let push = queue.push(send_mail, mail).key(format!("order of {to}"));
        receipts.push(push.await?);
    }
    for receipt in receipts {
        match queue.result(&receipt).await {
            Ok(sent) => println!("{}", sent.unwrap_or_else(|error| error)),
            Err(error) if error.is_dead() => println!("not sent: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn work(queue: &Queue) -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder().workers(2).build()?;
    // A mail of a worker that is killed is sent by another one after the lease.
    let worker = queue
        .worker()
        .jobs_of(&pool)
        .attempts(3)
        .lease(Duration::from_secs(2))
        .on_event(|event| {
            if let WorkerEvent::Failed { error, .. } = event {
                println!("tried: {error}");
            }
        });
    let control = worker.control();
    spawn(async move {
        let stopped = signal::ctrl_c().await;
        control.stop();
        stopped
    });
    println!("ready");
    let metrics = worker.run().await?;
    println!("sent {} mails", metrics.done);
    Ok(())
}

#[coreloop::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let queue = match Queue::redis(&options.url).name("mail").connect().await {
        Ok(queue) => queue,
        Err(error) => {
            eprintln!("SKIPPED: the example needs a server of Redis. {error}");
            return Ok(());
        }
    };
    for warning in queue.warnings() {
        eprintln!("warning: {warning}");
    }
    match options.role {
        Role::Work => work(&queue).await?,
        Role::Push { addresses } => push(&queue, &addresses).await?,
    }
    Ok(())
}
