use std::pin::pin;

use coreloop::stream;

// async-stream #107: this compiled, and was a use after free.
fn main() {
    coreloop::block_on(async {
        let mut outer = Vec::new();
        {
            let values = vec![0; 10];
            let values = &values;
            let mut items = pin!(stream! {
                for value in values {
                    yield value;
                }
            });
            while let Some(value) = items.next().await {
                outer.push(value);
            }
        }
        println!("{outer:?}");
    });
}
