//! The body's own variables are gone before the children are.

use coreloop::scope::scope;

#[coreloop::main]
async fn main() {
    scope(async |scope| {
        let number = 1;
        drop(scope.spawn(async { println!("{}", &number) }));
    })
    .await;
}
