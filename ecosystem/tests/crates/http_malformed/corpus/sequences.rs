//! Requests that end too soon, several requests in a row, and other protocols.

use super::Entry;
use super::Outcome::{Refused, Served, ThenRefused};

pub(super) const SEQUENCES: &[Entry<&[u8]>] = &[
    // Requests that end too soon.
    (
        "half a head",
        b"GET /a HTTP/1.1\r\nhost: x\r\nname: ",
        Refused,
    ),
    (
        "a head without its empty line",
        b"GET /a HTTP/1.1\r\nhost: x\r\n",
        Refused,
    ),
    (
        "half a body",
        b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf",
        Refused,
    ),
    (
        "half a request after a whole one",
        b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled HTT",
        ThenRefused(&["/a"]),
    ),
    // Several in a row.
    (
        "two requests, of which the first closes",
        b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n\
          GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "two requests, one after the other's body",
        b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello\
          GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/read", "/b"]),
    ),
    (
        "a request inside a body is only a body",
        b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 35\r\n\r\n\
          GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n\
          GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/read", "/b"]),
    ),
    (
        "a request inside a chunk is only a chunk",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
          23\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n\r\n0\r\n\r\n\
          GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/read", "/b"]),
    ),
    (
        "a body of a GET that is not read",
        b"GET /a HTTP/1.1\r\nhost: x\r\ncontent-length: 35\r\n\r\n\
          GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n\
          GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/a", "/b"]),
    ),
    (
        "a good request and a bad one",
        b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled HTTP/9.9\r\nhost: x\r\n\r\n",
        ThenRefused(&["/a"]),
    ),
    (
        "a response instead of a request",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        Refused,
    ),
    // Other protocols.
    (
        "the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        Refused,
    ),
    (
        "half the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        Refused,
    ),
    (
        "a hello of TLS",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        Refused,
    ),
    ("a command of SMTP", b"EHLO example.org\r\n", Refused),
    ("zeros", &[0; 64], Refused),
    ("ones", &[0xff; 64], Refused),
];
