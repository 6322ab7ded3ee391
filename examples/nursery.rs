//! A nursery: child tasks that borrow, and that end with their scope.
//!
//! ```sh
//! cargo run -p coreloop-examples --example nursery
//! ```
//!
//! The children write to a local variable of the function that spawned them, with no
//! `Rc` and no `clone`: the scope returns only when they have finished. When one takes
//! too long, all are cancelled, and each puts its pen back first.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use coreloop::cleanup::bracket;
use coreloop::scope::{scope, timeout_at};
use coreloop::time::{Instant, sleep};

const MINUTE: Duration = Duration::from_millis(1);

/// Draws with a pen, and puts it back even when cancelled.
async fn draw(name: &str, minutes: u32, drawings: &RefCell<Vec<String>>) {
    let put_back = {
        let name = name.to_owned();
        async move |pen| {
            sleep(MINUTE).await;
            println!("{name} puts the {pen} back");
        }
    };
    bracket(
        async || "pen",
        async |pen| {
            sleep(minutes * MINUTE).await;
            drawings
                .borrow_mut()
                .push(format!("{name} drew with a {pen}"));
        },
        put_back,
    )
    .await;
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let names = [("Ada", 5), ("Ben", 2), ("Cleo", 60_000)];
    let drawings = RefCell::new(Vec::new());

    let bedtime = Instant::now() + 100 * MINUTE;
    let drawing = scope(async |nursery| {
        for (name, minutes) in &names {
            drop(nursery.spawn(draw(name, *minutes, &drawings)));
        }
    });
    let in_time = timeout_at(bedtime, drawing).await;

    for drawing in drawings.into_inner() {
        println!("{drawing}");
    }
    if in_time.is_err() {
        println!("not everyone had finished by bedtime");
    }
    Ok(())
}
