//! Child processes: `sort` gets its input and returns its output in one call, `cat` answers line
//! by line, and a shell pipeline that takes too long is killed as a whole.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example subprocess
//! ```

use std::io;
use std::time::Duration;

use coreloop::io::{AsyncBufReadExt, BufReader};
use coreloop::process::{Command, Stdio};

fn main() -> io::Result<()> {
    coreloop::block_on(async {
        sorted("pear\napple\nfig\n").await?;
        conversation(&["hello", "goodbye"]).await?;
        impatience(Duration::from_secs(1)).await
    })
}

/// The input is written while the output is read, so neither side waits for ever.
async fn sorted(fruit: &str) -> io::Result<()> {
    let sort = Command::new("sort")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = sort.communicate(fruit).await?;
    let words = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    println!("sort: {words}({})", output.status);
    Ok(())
}

/// The pipes can be used like any other stream.
async fn conversation(lines: &[&str]) -> io::Result<()> {
    let mut cat = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let (Some(mut input), Some(output)) = (cat.stdin.take(), cat.stdout.take()) {
        let mut output = BufReader::new(output);
        for line in lines {
            input.write_all(format!("{line}\n").as_bytes()).await?;
            let mut echo = String::new();
            output.read_line(&mut echo).await?;
            print!("cat: {echo}");
        }
    }
    println!("cat: ({})", cat.wait().await?);
    Ok(())
}

/// The shell and all that it starts are a group, which is killed at the timeout.
async fn impatience(timeout: Duration) -> io::Result<()> {
    let pipeline = Command::new("sh")
        .args(["-c", "(echo first; sleep 1000; echo last) | cat"])
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    match pipeline.communicate("").timeout(timeout).await {
        Err(error) if error.is_timeout() => {
            let output = String::from_utf8_lossy(error.stdout());
            println!(
                "pipeline: {error}; its output until then: {}",
                output.trim()
            );
            Ok(())
        }
        result => Err(result
            .err()
            .map_or(io::ErrorKind::Other.into(), io::Error::from)),
    }
}
