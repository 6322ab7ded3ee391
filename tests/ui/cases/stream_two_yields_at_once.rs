use coreloop::{join, stream::stream};

fn main() {
    let _ = stream(async |mut co| {
        join!(co.yield_(1), co.yield_(2)).0
    });
}
