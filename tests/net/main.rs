//! Sockets of every kind, and the lookup of names.
#![cfg(test)]

mod backpressure;
mod connection_limit;
mod empty_buffers;
mod errors;
mod names;
mod oob;
mod random_peers;
mod shared_stream;
mod tcp;
mod tcp_end_of_stream;
mod tcp_foreign_traits;
mod tcp_half_open;
mod tcp_incoming;
mod tcp_lifetime;
mod tcp_limit;
mod tcp_limit_features;
mod tcp_listener;
mod tcp_ports;
mod tcp_race;
mod tcp_ready;
mod tcp_reset;
mod tcp_resolver;
mod tcp_socket;
mod tcp_split;
mod tcp_stream;
mod to_socket_addrs;
mod udp_batch;
mod udp_options;
mod udp_socket;
mod unix_datagram;
mod unix_datagram_full;
mod unix_descriptors;
mod unix_foreign_traits;
mod unix_listener;
mod unix_stream;
