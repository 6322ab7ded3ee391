use std::io;

#[coreloop::job]
fn read(path: String) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

#[coreloop::job]
fn name() -> &'static str {
    "a borrowed result"
}

fn main() {}
