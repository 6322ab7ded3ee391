#[coreloop::test]
fn adds() {}

fn main() {}
