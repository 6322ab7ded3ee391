use std::io;

#[coreloop::main]
async fn main() -> io::Result<()> {
    let answer = 42;
    Ok(answer)
}
