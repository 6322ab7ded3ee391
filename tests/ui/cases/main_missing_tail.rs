use std::io;

#[coreloop::main]
async fn main() -> io::Result<()> {
    std::fs::read("Cargo.toml")?;
}
