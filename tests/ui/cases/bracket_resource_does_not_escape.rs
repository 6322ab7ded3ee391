//! A bracket closes its resource at its end, so the resource cannot leave it.

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
