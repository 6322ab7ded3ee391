//! A program with newer versions of the jobs that a test has. It connects to the manager of
//! the test, pushes a job of each version, and runs jobs until its standard input ends.

use std::error::Error;

use coreloop::io::{AsyncReadExt, stdin};
use coreloop::jobs::{Client, Key, Queue};
use coreloop::pool::Pool;
use serde::{Deserialize, Serialize};

/// The argument, to which this version has added a field.
#[derive(Debug, Serialize, Deserialize)]
struct Shape {
    width: u32,
    #[serde(default = "one")]
    height: u32,
}

fn one() -> u32 {
    1
}

/// The result, to which this version has added a field.
#[derive(Debug, Serialize, Deserialize)]
struct Area {
    area: u32,
    program: String,
}

#[coreloop::job(name = "programs: area")]
fn area(shape: Shape) -> Area {
    Area {
        area: shape.width * shape.height,
        program: "newer".to_owned(),
    }
}

/// The same job with arguments that the older program does not know.
#[coreloop::job(name = "programs: area", version = 2)]
fn area_of(width: u32, height: u32) -> Area {
    area(Shape { width, height })
}

#[coreloop::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("two arguments are needed: an address, and a key in hexadecimal".into());
    };
    let client = Client::connect(address, &Key::from_hex(&key)?).await?;
    let queue = Queue::memory(&client).name("areas").connect().await?;
    let shape = Shape {
        width: 3,
        height: 5,
    };
    let old = queue.push(area, shape).await?;
    let new = queue.push(area_of, (7, 2)).await?;
    println!("{} {}", old.id(), new.id());

    // The test says when this program runs jobs too.
    let mut line = [0];
    if stdin().read(&mut line).await? > 0 {
        let pool = Pool::builder().workers(1).build()?;
        let worker = queue.worker().jobs_of(&pool);
        let end = async { while stdin().read(&mut line).await.is_ok_and(|read| read > 0) {} };
        worker.run_until(end).await?;
    }
    client.close().await;
    Ok(())
}
