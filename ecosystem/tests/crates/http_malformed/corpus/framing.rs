//! Requests about the length of a body: lengths, codings and chunks.

use super::Entry;
use super::Outcome::{Refused, Served, ThenRefused};

pub(super) const FRAMING: &[Entry<&[u8]>] = &[
    // Two lengths. Two servers on the way may each believe a different one.
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
        "an empty length",
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
        "a length that is larger than any body",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551615\r\n\r\nhello",
        Refused,
    ),
    (
        "a space before the colon of the length",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length : 5\r\n\r\nhello",
        Refused,
    ),
    // The codings that the head declares for a body.
    (
        "a coding that does not end in chunked",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "an unknown coding",
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
        "an empty chunk size",
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
        "a chunk in a body that is not chunked",
        b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ThenRefused(&["/a"]),
    ),
];
