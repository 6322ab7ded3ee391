#[coreloop::test]
#[test]
async fn adds() {}

fn main() {}
