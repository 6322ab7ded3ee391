//! Requests that are too long to be written out, and so are generated.

use super::Entry;
use super::Outcome::{Refused, Served};

pub(super) fn long() -> Vec<Entry<Vec<u8>>> {
    let head = b"GET /a HTTP/1.1\r\nhost: x\r\n";
    let with = |parts: &[&[u8]]| parts.concat();
    let many = |count| -> Vec<u8> {
        (0..count)
            .flat_map(|number| format!("name-{number}: x\r\n").into_bytes())
            .collect()
    };
    vec![
        (
            "a path of a megabyte",
            with(&[
                b"GET /",
                &vec![b'a'; 1 << 20],
                b" HTTP/1.1\r\nhost: x\r\n\r\n",
            ]),
            Refused,
        ),
        (
            "a path of 70,000 bytes",
            with(&[
                b"GET /",
                &vec![b'a'; 70_000],
                b" HTTP/1.1\r\nhost: x\r\n\r\n",
            ]),
            Refused,
        ),
        (
            "a method of a megabyte",
            with(&[&vec![b'A'; 1 << 20], b" /a HTTP/1.1\r\nhost: x\r\n\r\n"]),
            Refused,
        ),
        (
            "a header's value of a megabyte",
            with(&[head, b"name: ", &vec![b'a'; 1 << 20], b"\r\n\r\n"]),
            Refused,
        ),
        (
            "a header's name of a megabyte",
            with(&[head, &vec![b'a'; 1 << 20], b": x\r\n\r\n"]),
            Refused,
        ),
        (
            "a line that never ends",
            with(&[head, b"name: ", &vec![b'a'; 1 << 20]]),
            Refused,
        ),
        (
            "a hundred headers, which is one too many beside the host",
            with(&[head, &many(100), b"\r\n"]),
            Refused,
        ),
        (
            "fifty headers",
            with(&[head, b"connection: close\r\n", &many(50), b"\r\n"]),
            Served(&["/a"]),
        ),
        (
            "a hundred thousand headers",
            with(&[head, &many(100_000), b"\r\n"]),
            Refused,
        ),
        ("empty lines without end", b"\r\n".repeat(1 << 20), Refused),
        ("spaces without end", vec![b' '; 1 << 20], Refused),
        (
            "an extension of a chunk of a megabyte",
            with(&[
                b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;",
                &vec![b'a'; 1 << 20],
                b"\r\nhello\r\n0\r\n\r\n",
            ]),
            Refused,
        ),
        (
            "a chunk size of a megabyte of zeros",
            with(&[
                b"POST /read HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                  transfer-encoding: chunked\r\n\r\n",
                &vec![b'0'; 1 << 20],
                b"5\r\nhello\r\n0\r\n\r\n",
            ]),
            Served(&["/read"]),
        ),
        (
            "trailers of a megabyte",
            with(&[
                b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
                &many(80_000),
                b"\r\n",
            ]),
            Refused,
        ),
        (
            "a thousand requests one after another",
            with(&[
                &b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n".repeat(999),
                b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            ]),
            Served(&["/a"; 1000]),
        ),
    ]
}
