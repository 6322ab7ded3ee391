//! Connections that are lost, and managers that are started anew.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use coreloop::jobs::{Client, Manager, ManagerBuilder, Service};
use coreloop::spawn;
use coreloop::sync::Notify;
use coreloop::time::{sleep, timeout};
use coreloop_test_support::clock::paused;
use coreloop_test_support::meeting::soon;
use coreloop_test_support::size;

use super::cable::Cable;
use super::{client, key};

fn builder() -> ManagerBuilder {
    Manager::bind("127.0.0.1:0").key(&key()).queue("tasks", 100)
}

async fn manager() -> Manager {
    builder().start().await.unwrap()
}

/// A service whose handler waits for the test.
struct Slow;

impl Service for Slow {
    const NAME: &'static str = "slow";
    type Request = u32;
    type Response = u32;
}

/// The handlers of [`Slow`] that run, and how many have started.
#[derive(Default)]
struct Handlers {
    started: Cell<u32>,
    changed: Notify,
    release: Notify,
}

async fn slow() -> (Manager, Rc<Handlers>) {
    let handlers = Rc::new(Handlers::default());
    let own = Rc::clone(&handlers);
    let manager = builder().service::<Slow, &str>(async move |number, _| {
        own.started.set(own.started.get() + 1);
        own.changed.notify_one();
        own.release.notified().await;
        Ok(number * 2)
    });
    (manager.start().await.unwrap(), handlers)
}

#[coreloop::test]
async fn a_request_is_carried_out_once_however_often_its_connection_is_lost() {
    let (manager, handlers) = slow().await;
    let cable = Cable::new(&manager).await;
    let client = cable.client().await;
    let other = client.clone();
    let call = spawn(async move { other.call::<Slow>(&21).await });
    soon(handlers.changed.notified()).await;
    for _ in 0..3 {
        cable.cut();
        cable.connected().await;
    }
    // It ends while there is no connection.
    cable.unplug();
    handlers.release.notify_one();
    while manager.clients().1 > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    cable.plug_in(&manager);
    assert_eq!(soon(call).await.unwrap().unwrap(), 42);
    assert_eq!(handlers.started.get(), 1);
    assert_eq!(manager.clients(), (1, 1));
}

/// The list of requests in the first message of the client was longer than a request may be, so
/// that the manager ended each new connection.
#[coreloop::test]
async fn a_client_with_many_requests_comes_back_to_a_manager_with_a_small_maximum() {
    let manager = builder().max_message(1024).start().await.unwrap();
    let cable = Cable::new(&manager).await;
    let client = cable.client().await;
    let gets: Vec<_> = (0..300)
        .map(|_| {
            let tasks = client.queue::<u32>("tasks");
            spawn(async move { tasks.get().await })
        })
        .collect();
    // It is answered after all of them have come.
    assert_eq!(soon(client.queue::<u32>("tasks").len()).await.unwrap(), 0);
    cable.cut();
    cable.connected().await;
    let here = manager.queue::<u32>("tasks");
    for number in 0..300 {
        soon(here.put(&number)).await.unwrap();
    }
    let mut numbers = Vec::new();
    for get in gets {
        numbers.push(soon(get).await.unwrap().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    // The maximum of a request is as it was.
    let tasks = client.queue::<String>("tasks");
    let error = soon(tasks.put(&"x".repeat(2000))).await.unwrap_err();
    assert!(error.is_codec(), "{error}");
}

/// The client sent the request on each new connection, and the manager ended each.
#[coreloop::test]
async fn a_request_that_a_new_manager_does_not_accept_fails() {
    let first = manager().await;
    let cable = Cable::new(&first).await;
    let client = cable.client().await;
    let tasks = client.queue::<String>("tasks");
    cable.unplug();
    while client.is_connected() {
        sleep(Duration::from_millis(1)).await;
    }
    let (long, short) = (tasks.clone(), tasks.clone());
    let long = spawn(async move { long.put(&"x".repeat(10_000)).await });
    let short = spawn(async move { short.put(&"hello".to_owned()).await });
    let second = builder().max_message(1000).start().await.unwrap();
    cable.plug_in(&second);
    let error = soon(long).await.unwrap().unwrap_err();
    assert!(error.is_codec(), "{error}");
    assert!(error.to_string().contains("1000 are allowed"), "{error}");
    soon(short).await.unwrap().unwrap();
    assert_eq!(soon(tasks.get()).await.unwrap(), "hello");
}

#[test]
fn leases_are_kept_for_the_grace_and_no_longer() {
    paused().block_on(async {
        let manager = builder()
            .grace(Duration::from_secs(10))
            .start()
            .await
            .unwrap();
        let cable = Cable::new(&manager).await;
        let lost = cable.client().await;
        let tasks = lost.queue::<u32>("tasks");
        let here = client(&manager).await.queue::<u32>("tasks");
        here.put(&1).await.unwrap();
        let lease = tasks.lease().await.unwrap();
        cable.unplug();
        // Nobody gets it within the grace.
        assert!(timeout(Duration::from_secs(9), here.get()).await.is_err());
        let again = timeout(Duration::from_secs(5), here.lease()).await;
        let again = again.expect("the grace has passed").unwrap();
        assert_eq!((*again, again.attempt()), (1, 2));
        // The one that was away is told.
        cable.plug_in(&manager);
        let error = lease.ack().await.unwrap_err();
        assert!(error.is_closed(), "{error}");
        again.ack().await.unwrap();
    });
}

#[test]
fn a_client_that_is_back_within_the_grace_has_its_leases() {
    paused().block_on(async {
        let manager = builder()
            .grace(Duration::from_secs(10))
            .start()
            .await
            .unwrap();
        let cable = Cable::new(&manager).await;
        let client = cable.client().await;
        let tasks = client.queue::<u32>("tasks");
        let here = manager.queue::<u32>("tasks");
        here.put(&1).await.unwrap();
        let lease = tasks.lease().await.unwrap();
        for _ in 0..5 {
            cable.unplug();
            sleep(Duration::from_secs(6)).await;
            cable.plug_in(&manager);
            sleep(Duration::from_secs(3)).await;
        }
        assert_eq!(here.try_get().await.unwrap(), None);
        lease.ack().await.unwrap();
        here.join().await.unwrap();
    });
}

/// A machine that has lost its power says nothing: its connection stays open.
#[test]
fn a_client_that_falls_silent_is_gone_after_its_heartbeats_and_the_grace() {
    paused().block_on(async {
        let manager = builder()
            .grace(Duration::from_secs(5))
            .heartbeat(Duration::from_secs(2))
            .start()
            .await
            .unwrap();
        let here = client(&manager).await.queue::<u32>("tasks");
        here.put(&1).await.unwrap();
        // Its loop does not run any more after this.
        let address = manager.address().to_string();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (stay, until) = std::sync::mpsc::channel::<()>();
        let frozen = std::thread::spawn(move || {
            let runtime = coreloop::Runtime::new().unwrap();
            let lease = runtime.block_on(async {
                let client = Client::connect(address, &key()).await.unwrap();
                let tasks = client.queue::<u32>("tasks");
                tasks.lease().await.unwrap()
            });
            sender.send(()).unwrap();
            let _ = until.recv();
            std::mem::forget(lease);
        });
        while receiver.try_recv().is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(manager.clients(), (2, 2));
        let again = timeout(Duration::from_secs(60), here.get()).await;
        assert_eq!(again.expect("the silent client is gone").unwrap(), 1);
        assert_eq!(manager.clients(), (1, 1));
        drop(stay);
        frozen.join().unwrap();
    });
}

#[coreloop::test]
async fn clients_come_back_to_a_manager_that_was_started_anew() {
    let (first, handlers) = slow().await;
    let cable = Cable::new(&first).await;
    let client = cable.client().await;
    let tasks = client.queue::<u32>("tasks");
    tasks.put_many(&[1, 2]).await.unwrap();
    let lease = soon(tasks.lease()).await.unwrap();
    // A request that runs, one that may be made again, and a get that waits.
    let (once, twice, getter) = (client.clone(), client.clone(), tasks.clone());
    let once = spawn(async move { once.call::<Slow>(&1).await });
    let twice = spawn(async move { twice.call::<Slow>(&2).idempotent(true).await });
    while handlers.started.get() < 2 {
        soon(handlers.changed.notified()).await;
    }
    assert_eq!(soon(tasks.get()).await.unwrap(), 2);
    let getting = spawn(async move { getter.get().await });
    soon(tasks.len()).await.unwrap();
    cable.unplug();
    drop(first);

    let (second, handlers) = slow().await;
    cable.plug_in(&second);
    let error = soon(once).await.unwrap().unwrap_err();
    assert!(error.is_lost(), "{error}");
    soon(handlers.changed.notified()).await;
    handlers.release.notify_one();
    assert_eq!(soon(twice).await.unwrap().unwrap(), 4);
    assert_eq!(handlers.started.get(), 1);
    second.queue("tasks").put_many(&[9_u32, 10]).await.unwrap();
    assert_eq!(soon(getting).await.unwrap().unwrap(), 9);
    // A lease of the first manager is none of the second one, which has leases of its own.
    let other = soon(tasks.lease()).await.unwrap();
    assert!(soon(lease.ack()).await.unwrap_err().is_closed());
    drop(other);
    assert_eq!(soon(tasks.get()).await.unwrap(), 10);
}

#[test]
fn requests_fail_when_the_manager_is_out_of_reach_for_long() {
    paused().block_on(async {
        let (manager, _) = slow().await;
        let cable = Cable::new(&manager).await;
        let client =
            Client::builder(cable.address(), &key()).unreachable_after(Duration::from_secs(20));
        let client = client.connect().await.unwrap();
        cable.unplug();
        let error = client.queue::<u32>("tasks").get().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("was out of reach for 20s"), "{text}");
        let error = client
            .call::<Slow>(&1)
            .timeout(Duration::from_secs(3))
            .await;
        let error = error.unwrap_err();
        assert!(error.is_timeout());
        let text = error.to_string();
        assert!(
            text.contains("there is no connection with the manager"),
            "{text}"
        );
        assert!(!client.is_connected());
        // It still tries.
        cable.plug_in(&manager);
        assert_eq!(client.queue::<u32>("tasks").len().await.unwrap(), 0);
        assert!(client.is_connected());
    });
}

#[coreloop::test]
async fn a_manager_that_has_all_its_clients_refuses_another_one() {
    let manager = builder().max_clients(1).start().await.unwrap();
    let first = client(&manager).await;
    let error = soon(Client::connect(manager.address(), &key())).await;
    let error = error.unwrap_err();
    assert!(error.is_refused());
    assert!(error.to_string().contains("as many clients"), "{error}");
    soon(first.close()).await;
    let second = client(&manager).await;
    assert_eq!(second.queue::<u32>("tasks").len().await.unwrap(), 0);
}

#[coreloop::test]
async fn a_shutdown_waits_until_the_clients_have_left() {
    let manager = manager().await;
    let client = client(&manager).await;
    let tasks = client.queue::<u32>("tasks");
    tasks.put(&1).await.unwrap();
    tasks.close().await.unwrap();
    let worker = spawn(async move {
        let mut sum = 0;
        while let Ok(item) = tasks.lease().await {
            sum += *item;
            item.ack().await.unwrap();
        }
        drop(client);
        sum
    });
    assert!(soon(manager.shutdown(Duration::from_secs(60))).await);
    assert_eq!(soon(worker).await.unwrap(), 1);
}

/// All connections are cut again and again, at any time. Each item is put once, and confirmed once.
#[coreloop::test]
async fn no_item_is_lost_or_doubled_while_connections_are_cut() {
    const PRODUCERS: u32 = 2;
    let items: u32 = size::pick(150, 5_000);
    let manager = manager().await;
    let cable = Rc::new(Cable::new(&manager).await);
    let confirmed = Rc::new(RefCell::new(Vec::new()));
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let client = cable.client().await;
        let confirmed = Rc::clone(&confirmed);
        consumers.push(spawn(async move {
            let tasks = client.queue::<u32>("tasks");
            loop {
                match tasks.lease().await {
                    Ok(item) => {
                        let number = *item;
                        // Some are given back.
                        if fastrand::u8(..8) > 0 {
                            item.ack().await.unwrap();
                            confirmed.borrow_mut().push(number);
                        }
                    }
                    Err(error) => return assert!(error.is_closed(), "{error}"),
                }
            }
        }));
    }
    let mut producers = Vec::new();
    for producer in 0..PRODUCERS {
        let client = cable.client().await;
        producers.push(spawn(async move {
            let tasks = client.queue::<u32>("tasks");
            for number in 0..items {
                tasks.put(&(number * PRODUCERS + producer)).await.unwrap();
            }
        }));
    }
    let cutter = {
        let cable = Rc::clone(&cable);
        spawn(async move {
            loop {
                sleep(Duration::from_micros(fastrand::u64(500..60_000))).await;
                cable.cut();
            }
        })
    };
    for producer in producers {
        producer.await.unwrap();
    }
    cutter.abort();
    let here = manager.queue::<u32>("tasks");
    here.close().await.unwrap();
    for consumer in consumers {
        soon(consumer).await.unwrap();
    }
    let mut all = confirmed.take();
    all.sort_unstable();
    assert_eq!(all, (0..items * PRODUCERS).collect::<Vec<_>>());
}
