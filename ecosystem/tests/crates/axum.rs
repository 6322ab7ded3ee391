//! An axum `Router`, served on the loop.
//!
//! axum requires handlers and their futures to be `Send`, although they stay on one
//! thread here. A handler that needs the loop's sockets, timers or locks spawns a task
//! with a `Handle`, and awaits it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use bytes::Bytes;
use coreloop::hyper::serve;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::runtime::Handle;
use coreloop::time::{self, Instant};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::service::TowerToHyperService;

#[derive(Clone, Default)]
struct Visits {
    count: Arc<AtomicU32>,
}

#[coreloop::test]
async fn routes_extracts_and_keeps_state() {
    let router = Router::new()
        .route("/hello/{name}", get(hello))
        .route("/visits", get(visits))
        .route("/reversed", post(reversed))
        .with_state(Visits::default());
    let mut client = connect(listen(router).await).await;

    let hello = ask(&mut client, "GET", "/hello/world?loud=true", "").await;
    assert_eq!(hello, (StatusCode::OK, "HELLO WORLD".to_owned()));
    for number in ["1", "2"] {
        let visits = ask(&mut client, "GET", "/visits", "").await;
        assert_eq!(visits, (StatusCode::OK, number.to_owned()));
    }
    let list = ask(&mut client, "POST", "/reversed", "[1,2,3]").await;
    assert_eq!(list, (StatusCode::OK, "[3,2,1]".to_owned()));
    let broken = ask(&mut client, "POST", "/reversed", "[1,2").await;
    assert_eq!(broken.0, StatusCode::BAD_REQUEST);
    let missing = ask(&mut client, "GET", "/nowhere", "").await;
    assert_eq!(missing, (StatusCode::NOT_FOUND, String::new()));
    let wrong = ask(&mut client, "DELETE", "/visits", "").await;
    assert_eq!(wrong.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[coreloop::test]
async fn a_handler_uses_types_that_are_not_send_in_a_task_of_the_loop() {
    let here = thread::current().id();
    let router = Router::new().route(
        "/",
        get(async move || {
            let task = Handle::current().spawn(move || async move {
                assert_eq!(thread::current().id(), here);
                let shared = Rc::new(Cell::new(0));
                let other = Rc::clone(&shared);
                coreloop::spawn(async move { other.set(42) }).await.unwrap();
                time::sleep(Duration::from_micros(10)).await;
                shared.get().to_string()
            });
            task.await.unwrap()
        }),
    );
    let mut client = connect(listen(router).await).await;
    let answer = ask(&mut client, "GET", "/", "").await;
    assert_eq!(answer, (StatusCode::OK, "42".to_owned()));
}

#[coreloop::test]
async fn a_tower_middleware_wraps_the_router() {
    let router =
        Router::new()
            .route("/", get(async || "within"))
            .layer(axum::middleware::map_response(
                async |mut response: axum::response::Response| {
                    *response.status_mut() = StatusCode::IM_A_TEAPOT;
                    response
                },
            ));
    let mut client = connect(listen(router).await).await;
    let answer = ask(&mut client, "GET", "/", "").await;
    assert_eq!(answer, (StatusCode::IM_A_TEAPOT, "within".to_owned()));
}

#[coreloop::test]
async fn a_request_that_waits_does_not_delay_another() {
    let router = Router::new()
        .route("/slow", get(wait))
        .route("/fast", get(async || "fast"));
    let address = listen(router).await;
    let mut slow = connect(address).await;
    let slow = coreloop::spawn(async move { ask(&mut slow, "GET", "/slow", "").await });
    let mut fast = connect(address).await;
    for _ in 0..10 {
        assert_eq!(ask(&mut fast, "GET", "/fast", "").await.1, "fast");
    }
    time::pause();
    let start = Instant::now();
    assert_eq!(slow.await.unwrap().1, "slow");
    assert!(start.elapsed() <= Duration::from_secs(10));
}

async fn hello(Path(name): Path<String>, Query(options): Query<Options>) -> String {
    let hello = format!("hello {name}");
    if options.contains(&("loud".to_owned(), "true".to_owned())) {
        return hello.to_uppercase();
    }
    hello
}

type Options = Vec<(String, String)>;

async fn visits(State(visits): State<Visits>) -> String {
    let before = visits.count.fetch_add(1, Ordering::Relaxed);
    (before + 1).to_string()
}

async fn reversed(Json(mut list): Json<Vec<u32>>) -> Json<Vec<u32>> {
    list.reverse();
    Json(list)
}

async fn wait() -> &'static str {
    // The timer belongs to the loop and is not `Send`, so a task of the loop awaits it.
    let slept = Handle::current().spawn(|| time::sleep(Duration::from_secs(10)));
    slept.await.unwrap();
    "slow"
}

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    coreloop::spawn(serve(listener, TowerToHyperService::new(router)).into_future());
    address
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http1::handshake(stream).await.unwrap();
    coreloop::spawn(connection);
    client
}

async fn ask(
    client: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    body: &str,
) -> (StatusCode, String) {
    client.ready().await.unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let mut text = String::from_utf8(body.to_vec()).unwrap();
    if !status.is_success() && status != StatusCode::IM_A_TEAPOT {
        // The tests do not depend on axum's error messages.
        text.clear();
    }
    (status, text)
}
