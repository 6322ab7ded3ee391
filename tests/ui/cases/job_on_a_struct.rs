#[coreloop::job]
struct Thumbnail;

fn main() {}
