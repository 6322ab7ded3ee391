//! Requests that are malformed, ambiguous or hostile, each with a name.

/// What a server may do with what it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// It answers with a status of 400 and more, or with nothing, and closes.
    Refused,
    /// It serves the requests with these paths, each once, and closes.
    Served(&'static [&'static str]),
    /// It serves these, and refuses what follows.
    ThenRefused(&'static [&'static str]),
}

use Outcome::{Refused, Served, ThenRefused};

/// The requests that are written out.
pub(crate) const CORPUS: &[(&str, &[u8], Outcome)] = &[
    // Two lengths, of which two servers may believe one each.
    (
        "content-length beside chunked: chunked counts",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\
          connection: close\r\n\r\n0\r\n\r\nG",
        Served(&["/a"]),
    ),
    (
        "chunked before content-length",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\
          connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "two lengths that differ",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: 44\r\n\r\n\
          GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "two lengths that differ, the larger first",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 44\r\ncontent-length: 0\r\n\r\n\
          GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "two lengths that agree",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 5\r\n\
          connection: close\r\n\r\nhello",
        Served(&["/a"]),
    ),
    (
        "a list of lengths that differ",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5, 6\r\n\r\nhello",
        Refused,
    ),
    (
        "a length with a sign",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\nhello",
        Refused,
    ),
    (
        "a negative length",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\nhello",
        Refused,
    ),
    (
        "a length in hexadecimal",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 0x5\r\n\r\nhello",
        Refused,
    ),
    (
        "a length with a fraction",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5.0\r\n\r\nhello",
        Refused,
    ),
    (
        "a length that is a word",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: five\r\n\r\nhello",
        Refused,
    ),
    (
        "a length of nothing",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: \r\n\r\nhello",
        Refused,
    ),
    (
        "a length with a space within",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1 0\r\n\r\nhellohello",
        Refused,
    ),
    (
        "a length beyond 64 bits",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551621\r\n\r\nhello",
        Refused,
    ),
    (
        "a length that a body was never that long",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551615\r\n\r\nhello",
        Refused,
    ),
    (
        "a space before the colon of the length",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length : 5\r\n\r\nhello",
        Refused,
    ),
    // The codings that a body is said to have.
    (
        "a coding that does not end in chunked",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding nobody knows",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "identity alone",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding with a space before the colon",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding with a tab before the colon",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding\t: chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding with a vertical tab",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding in quotes",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding in capitals is the same",
        b"POST /a HTTP/1.1\r\nhost: x\r\nTRANSFER-ENCODING: CHUNKED\r\nconnection: close\r\n\r\n\
          0\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "a coding after a tab is the same",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\tchunked\r\nconnection: close\r\n\r\n\
          0\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "chunked under HTTP/1.0",
        b"POST /a HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "codings in two lines, the last chunked",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\
          connection: close\r\n\r\n0\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "codings in two lines, the last not chunked",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n\
          0\r\n\r\n",
        Refused,
    ),
    (
        "a coding on a folded line",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    // Chunks.
    (
        "a chunk size that is no number",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size of nothing",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size with a sign",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a negative chunk size",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size with 0x",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size beyond 64 bits",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
          10000000000000005\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size just within 64 bits",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
          ffffffffffffffff\r\nhello",
        Refused,
    ),
    (
        "a chunk that is longer than it says",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk that is shorter than it says",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size that ends in a bare LF",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk that ends in a bare LF",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
        Refused,
    ),
    (
        "an extension of a chunk with a bare LF",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
          5;a\nb\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "an extension of a chunk",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
          5;name=value\r\nhello\r\n0\r\n\r\n",
        Served(&["/read"]),
    ),
    (
        "a trailer",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
          5\r\nhello\r\n0\r\nchecksum: 7\r\n\r\n",
        Served(&["/read"]),
    ),
    (
        "a trailer that is no header",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
          0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        Refused,
    ),
    (
        "chunks without an end",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        Refused,
    ),
    (
        "a last chunk without its empty line",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        Refused,
    ),
    (
        "a chunk of no chunked body",
        b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ThenRefused(&["/a"]),
    ),
    // Lines.
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
    // The first line.
    ("nothing", b"", Refused),
    ("an empty line", b"\r\n", Refused),
    ("half a method", b"GE", Refused),
    ("a method alone", b"GET\r\n\r\n", Refused),
    ("no path", b"GET  HTTP/1.1\r\nhost: x\r\n\r\n", Refused),
    (
        "no version",
        b"GET /a\r\nhost: x\r\n\r\n",
        Refused,
    ),
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
        "a path that is no path",
        b"GET a HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused,
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
        "version 2.0, which begins otherwise",
        b"GET /a HTTP/2.0\r\nhost: x\r\n\r\n",
        Refused,
    ),
    (
        "version 11",
        b"GET /a HTTP/11\r\nhost: x\r\n\r\n",
        Refused,
    ),
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
        "a method of one's own",
        b"BREW /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/a"]),
    ),
    // What ends too soon.
    ("half a head", b"GET /a HTTP/1.1\r\nhost: x\r\nname: ", Refused),
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
        "half a request behind a whole one",
        b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled HTT",
        ThenRefused(&["/a"]),
    ),
    // One behind the other.
    (
        "two, of which the first closes",
        b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n\
          GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
        Served(&["/a"]),
    ),
    (
        "two, one behind the other's body",
        b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello\
          GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/read", "/b"]),
    ),
    (
        "a request for a body stays a body",
        b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 35\r\n\r\n\
          GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n\
          GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        Served(&["/read", "/b"]),
    ),
    (
        "a request in a chunk stays a chunk",
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
        "a good one and a bad one",
        b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled HTTP/9.9\r\nhost: x\r\n\r\n",
        ThenRefused(&["/a"]),
    ),
    (
        "an answer for a request",
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
    (
        "a command of SMTP",
        b"EHLO example.org\r\n",
        Refused,
    ),
    ("zeros", &[0; 64], Refused),
    ("ones", &[0xff; 64], Refused),
];

/// Those that are too long to write out.
pub(crate) fn long() -> Vec<(&'static str, Vec<u8>, Outcome)> {
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
                b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
                &vec![b'0'; 1 << 20],
                b"5\r\nhello\r\n0\r\n\r\n",
            ]),
            Refused,
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
            "a thousand requests one behind the other",
            with(&[
                &b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n".repeat(999),
                b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            ]),
            Served(&["/a"; 1000]),
        ),
    ]
}
