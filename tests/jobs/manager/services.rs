//! Typed services.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use coreloop::jobs::{Client, Manager, Service};
use coreloop::sync::Notify;
use coreloop_test_support::meeting::soon;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{client, key};

/// A service with several operations.
struct Store;

#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Set { key: String, value: i64 },
    Get { key: String },
    Keys,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tell {
    Done,
    Value(Option<i64>),
    Keys(Vec<String>),
}

impl Service for Store {
    const NAME: &'static str = "store";
    type Request = Ask;
    type Response = Tell;
}

#[coreloop::test]
async fn a_service_answers_the_requests_of_all_clients() {
    let values = Rc::new(RefCell::new(HashMap::new()));
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .service::<Store, _>(async move |ask, _| {
            let mut values = values.borrow_mut();
            match ask {
                Ask::Set { value, .. } if value < 0 => Err("no negative numbers"),
                Ask::Set { key, value } => {
                    values.insert(key, value);
                    Ok(Tell::Done)
                }
                Ask::Get { key } => Ok(Tell::Value(values.get(&key).copied())),
                Ask::Keys => {
                    let mut keys: Vec<_> = values.keys().cloned().collect();
                    keys.sort();
                    Ok(Tell::Keys(keys))
                }
            }
        })
        .start()
        .await
        .unwrap();
    let (first, second) = (client(&manager).await, client(&manager).await);
    let set = |key: &str, value| Ask::Set {
        key: key.to_owned(),
        value,
    };
    assert_eq!(first.call::<Store>(&set("a", 1)).await.unwrap(), Tell::Done);
    assert_eq!(
        second.call::<Store>(&set("b", 2)).await.unwrap(),
        Tell::Done
    );
    let get = Ask::Get {
        key: "b".to_owned(),
    };
    assert_eq!(
        first.call::<Store>(&get).await.unwrap(),
        Tell::Value(Some(2))
    );
    let keys = Tell::Keys(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(second.call::<Store>(&Ask::Keys).await.unwrap(), keys);
    let error = first.call::<Store>(&set("c", -1)).await.unwrap_err();
    assert!(error.is_service());
    assert_eq!(error.to_string(), "no negative numbers");
}

/// Its handler does what the request says.
struct Behave;

impl Service for Behave {
    const NAME: &'static str = "behave";
    type Request = String;
    type Response = String;
}

/// A manager whose handler does what the request says, and counts the requests that run.
async fn behaving() -> (Manager, Rc<Cell<usize>>, Rc<Notify>) {
    struct Count(Rc<Cell<usize>>, Rc<Notify>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
            self.1.notify_one();
        }
    }
    let (running, changed) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
    let (count, notify) = (Rc::clone(&running), Rc::clone(&changed));
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .max_message(100_000)
        .service::<Behave, _>(async move |what: String, _| {
            count.set(count.get() + 1);
            notify.notify_one();
            let _count = Count(Rc::clone(&count), Rc::clone(&notify));
            match what.as_str() {
                "panic" => panic!("as requested"),
                "hang" => pending().await,
                "long" => Ok("x".repeat(200_000)),
                "fail" => Err("it has failed"),
                _ => Ok(what),
            }
        })
        .start()
        .await
        .unwrap();
    (manager, running, changed)
}

async fn call(client: &Client, what: &str) -> Result<String, coreloop::jobs::Error> {
    soon(client.call::<Behave>(&what.to_owned()).into_future()).await
}

#[coreloop::test]
async fn the_panic_of_a_handler_is_an_error_for_one_request() {
    let (manager, ..) = behaving().await;
    let client = client(&manager).await;
    let error = call(&client, "panic").await.unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.to_string(), "the handler panicked: as requested");
    assert_eq!(call(&client, "hello").await.unwrap(), "hello");
}

#[coreloop::test]
async fn an_unknown_service_is_an_error_that_names_it() {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .start()
        .await
        .unwrap();
    let client = client(&manager).await;
    let error = call(&client, "hello").await.unwrap_err();
    assert!(error.is_closed());
    assert_eq!(
        error.to_string(),
        "the manager has no service of the name \"behave\""
    );
    let error = client.queue::<u8>("tasks").get().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manager has no queue of the name \"tasks\""
    );
}

#[coreloop::test]
async fn requests_and_answers_have_a_maximum_length() {
    let (manager, ..) = behaving().await;
    let client = client(&manager).await;
    let error = call(&client, &"x".repeat(100_001)).await.unwrap_err();
    assert!(error.is_codec(), "{error}");
    assert!(error.to_string().contains("100000 are allowed"), "{error}");
    let error = call(&client, "long").await.unwrap_err();
    assert!(error.is_codec(), "{error}");
    assert!(error.to_string().contains("100000 are allowed"), "{error}");
    let longest = "x".repeat(99_000);
    assert_eq!(call(&client, &longest).await.unwrap(), longest);
}

/// The text was longer than the client accepts, so that the connection ended, and the answer was
/// sent again on each new one.
#[coreloop::test]
async fn the_text_of_an_error_is_as_short_as_the_client_demands() {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .service::<Echo, _>(async |text: String, _| {
            if text.is_empty() {
                return Err("x".repeat(2000));
            }
            Ok(text)
        })
        .start()
        .await
        .unwrap();
    let client = Client::builder(manager.address(), &key()).max_message(256);
    let client = soon(client.connect()).await.unwrap();
    let (fails, works) = (String::new(), "hello".to_owned());
    let failing = soon(client.call::<Echo>(&fails).into_future());
    let error = failing.await.unwrap_err();
    assert!(error.is_service(), "{error}");
    let text = error.to_string();
    assert!(text.len() >= 256 && "x".repeat(2000).starts_with(&text));
    let working = soon(client.call::<Echo>(&works).into_future());
    assert_eq!(working.await.unwrap(), works);
}

#[coreloop::test]
async fn a_request_ends_at_its_deadline_and_its_handler_is_aborted() {
    let (manager, running, changed) = behaving().await;
    let client = client(&manager).await;
    let hang = "hang".to_owned();
    let request = client
        .call::<Behave>(&hang)
        .timeout(Duration::from_millis(20));
    let error = soon(request.into_future()).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "the answer did not come within 20ms");
    while running.get() > 0 {
        soon(changed.notified()).await;
    }
    assert_eq!(call(&client, "hello").await.unwrap(), "hello");
}

#[coreloop::test]
async fn a_dropped_request_aborts_its_handler() {
    let (manager, running, changed) = behaving().await;
    let client = client(&manager).await;
    let other = client.clone();
    let task = coreloop::spawn(async move { call(&other, "hang").await });
    soon(changed.notified()).await;
    assert_eq!(running.get(), 1);
    task.abort();
    while running.get() > 0 {
        soon(changed.notified()).await;
    }
}

/// A request that takes long does not hold up another one.
#[coreloop::test]
async fn requests_are_answered_in_any_order() {
    let (manager, running, changed) = behaving().await;
    let client = client(&manager).await;
    let other = client.clone();
    let hangs = coreloop::spawn(async move { call(&other, "hang").await });
    soon(changed.notified()).await;
    let mut calls = Vec::new();
    for number in 0..1000 {
        let client = client.clone();
        calls.push(coreloop::spawn(async move {
            call(&client, &number.to_string()).await.unwrap()
        }));
    }
    for (number, answer) in calls.into_iter().enumerate() {
        assert_eq!(soon(answer).await.unwrap(), number.to_string());
    }
    assert_eq!(running.get(), 1);
    drop(manager);
    // The manager is gone, so the request waits for another one until its deadline.
    hangs.abort();
}

struct Echo;

impl Service for Echo {
    const NAME: &'static str = "echo";
    type Request = String;
    type Response = String;
}

/// The manager stops reading requests while many bytes of answers wait.
#[coreloop::test]
async fn many_long_answers_at_once_arrive() {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .service::<Echo, &str>(async |text, _| Ok(text))
        .start()
        .await
        .unwrap();
    let client = client(&manager).await;
    let text = Rc::new("x".repeat(1 << 20));
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let (client, text) = (client.clone(), Rc::clone(&text));
            coreloop::spawn(async move { client.call::<Echo>(&text).await.unwrap() == *text })
        })
        .collect();
    for call in calls {
        assert!(soon(call).await.unwrap());
    }
}

/// The peer of a request: the same number for all requests of a client, another for each client.
struct WhoAmI;

impl Service for WhoAmI {
    const NAME: &'static str = "who am I";
    type Request = ();
    type Response = (u128, bool);
}

#[coreloop::test]
async fn a_handler_knows_its_client() {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .service::<WhoAmI, &str>(async |(), peer| {
            Ok((
                peer.id(),
                peer.address().is_some_and(|at| at.ip().is_loopback()),
            ))
        })
        .start()
        .await
        .unwrap();
    let (first, second) = (client(&manager).await, client(&manager).await);
    let one = first.call::<WhoAmI>(&()).await.unwrap();
    assert!(one.1);
    assert_eq!(first.clone().call::<WhoAmI>(&()).await.unwrap(), one);
    assert_ne!(second.call::<WhoAmI>(&()).await.unwrap().0, one.0);
    assert_eq!(manager.clients(), (2, 2));
}

/// A value that does not encode, or does not decode.
#[derive(Debug)]
struct Stubborn {
    encodes: bool,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.encodes {
            serializer.serialize_u8(1)
        } else {
            Err(serde::ser::Error::custom("stubborn"))
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            1 => Err(D::Error::custom("stubborn")),
            _ => panic!("an unexpected value"),
        }
    }
}

struct Codec;

impl Service for Codec {
    const NAME: &'static str = "codec";
    type Request = Stubborn;
    type Response = ();
}

#[coreloop::test]
async fn values_that_do_not_encode_or_decode_are_errors_for_one_request() {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .service::<Codec, &str>(async |_, _| Ok(()))
        .start()
        .await
        .unwrap();
    let client = client(&manager).await;
    for encodes in [false, true, false, true] {
        let request = Stubborn { encodes };
        let error = client.call::<Codec>(&request).await.unwrap_err();
        assert!(error.is_codec(), "{error}");
        assert!(error.to_string().contains("stubborn"), "{error}");
    }
}

/// The programs know different fields of a request.
#[coreloop::test]
async fn a_field_that_was_added_is_understood() {
    #[derive(Serialize, Deserialize)]
    struct Old {
        name: String,
    }
    #[derive(Serialize, Deserialize)]
    struct New {
        #[serde(default)]
        priority: u8,
        name: String,
    }
    struct OldService;
    struct NewService;
    impl Service for OldService {
        const NAME: &'static str = "names";
        type Request = Old;
        type Response = String;
    }
    impl Service for NewService {
        const NAME: &'static str = "names";
        type Request = New;
        type Response = String;
    }
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .service::<NewService, &str>(async |new: New, _| {
            Ok(format!("{} {}", new.name, new.priority))
        })
        .start()
        .await
        .unwrap();
    let client = client(&manager).await;
    let name = "mail".to_owned();
    let answer = client.call::<OldService>(&Old { name }).await.unwrap();
    assert_eq!(answer, "mail 0");
}

#[coreloop::test]
async fn mistakes_of_a_set_up_are_errors() {
    struct Reserved;
    impl Service for Reserved {
        const NAME: &'static str = "coreloop.mine";
        type Request = ();
        type Response = ();
    }
    let no_key = Manager::bind("127.0.0.1:0").start().await.unwrap_err();
    assert!(no_key.to_string().contains("no key"), "{no_key}");
    let builder = || Manager::bind("127.0.0.1:0").key(&key());
    let twice = builder().queue("tasks", 1).queue("tasks", 1).start();
    let error = twice.await.unwrap_err().to_string();
    assert!(error.contains("two services of the name"), "{error}");
    let reserved = builder().service::<Reserved, &str>(async |(), _| Ok(()));
    let error = reserved.start().await.unwrap_err().to_string();
    assert!(error.contains("cannot have the name"), "{error}");
    let open = Manager::bind("0.0.0.0:0").key(&key()).start();
    let error = open.await.unwrap_err().to_string();
    assert!(error.contains("plaintext_network"), "{error}");
    let allowed = Manager::bind("0.0.0.0:0")
        .key(&key())
        .plaintext_network(true);
    assert!(allowed.start().await.is_ok());
}
