//! The pipes of a child with tokio's I/O utilities, on this loop.

use coreloop::process::{Command, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

#[test]
fn pipes_have_the_traits_of_tokio() {
    coreloop::block_on(async {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        AsyncWriteExt::write_all(&mut stdin, b"one\ntwo\n")
            .await
            .unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "one");
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "two");
        AsyncWriteExt::write_all(&mut stdin, &[b'x'; 100_000])
            .await
            .unwrap();
        // Unlike tokio's own pipe, this one is closed by `shutdown`.
        AsyncWriteExt::shutdown(&mut stdin).await.unwrap();
        let mut rest = String::new();
        lines.into_inner().read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 100_000);
        assert!(child.wait().await.unwrap().success());
    });
}
