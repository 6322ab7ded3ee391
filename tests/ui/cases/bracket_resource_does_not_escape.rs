//! What a bracket lends is closed when it is over.

use coreloop::cleanup::bracket;

#[coreloop::main]
async fn main() {
    let escaped: &mut String = bracket(
        async || String::from("open"),
        async |text| text,
        async |_text| {},
    )
    .await;
    println!("{escaped}");
}
