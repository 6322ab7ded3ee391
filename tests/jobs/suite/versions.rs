//! Programs with several versions of a function.

use coreloop::jobs::Receipt;
use serde::{Deserialize, Serialize};

use super::{Place, Running, pool, worker};

#[coreloop::job(name = "suite: greet")]
fn greet(name: String) -> String {
    format!("hello {name}")
}

/// The same job with another argument.
#[coreloop::job(name = "suite: greet", version = 2)]
fn greet_in(name: String, language: String) -> String {
    format!("{language}: hello {name}")
}

pub(crate) async fn a_worker_leases_only_versions_that_it_has(place: &impl Place) {
    let queue = place.queue("greetings").await;
    let ada = || "ada".to_owned();
    let new = queue
        .push(greet_in, (ada(), "en".to_owned()))
        .await
        .unwrap();
    let old = queue.push(greet, ada()).await.unwrap();
    let pool = pool(1);
    // A worker of a program that has only the old version.
    let worker_of_old = Running::start(worker(&queue, &pool).only(greet));
    assert_eq!(queue.result(&old).await.unwrap(), "hello ada");
    let metrics = worker_of_old.stop().await;
    assert_eq!((metrics.done, metrics.failed), (1, 0));
    assert_eq!(queue.counts().await.unwrap().waiting, 1);
    let worker_of_new = Running::start(worker(&queue, &pool).only(greet_in));
    assert_eq!(queue.result(&new).await.unwrap(), "en: hello ada");
    worker_of_new.stop().await;
}

#[derive(Serialize, Deserialize)]
struct Before {
    width: u32,
}

/// The same struct in a later version of a program.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct After {
    #[serde(default)]
    unit: Option<String>,
    width: u32,
}

#[coreloop::job]
fn measure(width: u32) -> Before {
    Before { width }
}

pub(crate) async fn a_result_decodes_with_an_added_field(place: &impl Place) {
    let queue = place.queue("sizes").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool));
    let receipt = queue.push(measure, 7).await.unwrap();
    let receipt = Receipt::<After>::of(receipt.id().clone());
    let expected = After {
        unit: None,
        width: 7,
    };
    assert_eq!(queue.result(&receipt).await.unwrap(), expected);
    running.stop().await;
}
