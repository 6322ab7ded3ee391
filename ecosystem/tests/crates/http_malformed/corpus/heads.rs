//! Requests with unusual heads: header lines and request lines.

use super::Entry;
use super::Outcome::{Refused, Served};

pub(super) const HEADS: &[Entry<&[u8]>] = &[
    // Header lines.
    (
        "a folded header",
        b"GET /a HTTP/1.1\r\nhost: x\r\nfolded: one\r\n two\r\n\r\n",
        Refused,
    ),
    (
        "a header that begins with a space",
        b"GET /a HTTP/1.1\r\n host: x\r\n\r\n",
        Refused,
    ),
    (
        "a header without a colon",
        b"GET /a HTTP/1.1\r\nhost\r\n\r\n",
        Refused,
    ),
    (
        "a header without a name",
        b"GET /a HTTP/1.1\r\n: x\r\n\r\n",
        Refused,
    ),
    (
        "a NUL in a header's name",
        b"GET /a HTTP/1.1\r\nho\0st: x\r\n\r\n",
        Refused,
    ),
    (
        "a NUL in a header's value",
        b"GET /a HTTP/1.1\r\nhost: x\r\nname: a\0b\r\n\r\n",
        Refused,
    ),
    (
        "a bare CR in a header's value",
        b"GET /a HTTP/1.1\r\nhost: x\r\nname: a\rb\r\n\r\n",
        Refused,
    ),
    (
        "a DEL in a header's value",
        b"GET /a HTTP/1.1\r\nhost: x\r\nname: a\x7fb\r\n\r\n",
        Refused,
    ),
    (
        "an escape in a header's value",
        b"GET /a HTTP/1.1\r\nhost: x\r\nname: \x1b[31m\r\n\r\n",
        Refused,
    ),
    (
        "a delimiter in a header's name",
        b"GET /a HTTP/1.1\r\nhost: x\r\nna(me: x\r\n\r\n",
        Refused,
    ),
    (
        "a header's name that is not ASCII",
        b"GET /a HTTP/1.1\r\nhost: x\r\nn\xc3\xa4me: x\r\n\r\n",
        Refused,
    ),
    (
        "lines that end in LF alone are allowed to",
        b"GET /a HTTP/1.1\nhost: x\nconnection: close\n\n",
        Served(&["/a"]),
    ),
    (
        "lines that end in CR alone",
        b"GET /a HTTP/1.1\rhost: x\r\r",
        Refused,
    ),
    (
        "lines that end in CR CR LF",
        b"GET /a HTTP/1.1\r\r\nhost: x\r\r\n\r\r\n",
        Refused,
    ),
    (
        "empty lines before a request are allowed",
        b"\r\n\r\nGET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/a"]),
    ),
    // The request line.
    ("nothing", b"", Refused),
    ("an empty line", b"\r\n", Refused),
    ("half a method", b"GE", Refused),
    ("a method alone", b"GET\r\n\r\n", Refused),
    ("no path", b"GET  HTTP/1.1\r\nhost: x\r\n\r\n", Refused),
    ("no version", b"GET /a\r\nhost: x\r\n\r\n", Refused),
    (
        "a space before the method",
        b" GET /a HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "a space in the path",
        b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "tabs for spaces",
        b"GET\t/a\tHTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "a NUL in the path",
        b"GET /a\0b HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "a NUL in the method",
        b"G\0T /a HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "a method with a delimiter",
        b"GE(T /a HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        // Such a URI is allowed: it is a host alone.
        "a path that is no path",
        b"GET a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&[""]),
    ),
    (
        "a version in small letters",
        b"GET /a http/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "version 0.9",
        b"GET /a HTTP/0.9\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "version 1.2",
        b"GET /a HTTP/1.2\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "version 2.0, which has a different preface",
        b"GET /a HTTP/2.0\r\nhost: x\r\n\r\n",
        Refused,
    ),
    ("version 11", b"GET /a HTTP/11\r\nhost: x\r\n\r\n", Refused),
    (
        "version 1.10",
        b"GET /a HTTP/1.10\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "something after the version",
        b"GET /a HTTP/1.1 x\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "version 1.0 closes by itself",
        b"GET /a HTTP/1.0\r\nhost: x\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "the absolute form",
        b"GET http://x/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "an absolute form without a host",
        b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "the asterisk of OPTIONS",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["*"]),
    ),
    (
        "a non-standard method",
        b"BREW /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/a"]),
    ),
];
