//! Tests of well-known crates on coreloop, with a module for each subject.
#![cfg(test)]

mod axum;
mod certificates;
mod codec;
mod echo_examples;
mod foreign_channels;
mod foreign_locks;
mod http_examples;
mod http_malformed;
mod hyper_http1;
mod hyper_http2;
mod hyper_shutdown;
mod hyper_timer;
mod hyper_util_client;
mod manager_tls;
mod supervised_http;
mod tls;
mod tokio_io;
mod websocket;
