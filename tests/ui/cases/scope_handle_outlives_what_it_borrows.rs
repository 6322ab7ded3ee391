//! A handle to spawn with may leave the scope, but not what children borrow.

use coreloop::scope::scope;

#[coreloop::main]
async fn main() {
    let escaped = {
        let number = 1;
        let number = &number;
        scope(async |scope| {
            drop(scope.spawn(async move { println!("{number}") }));
            scope
        })
        .await
    };
    drop(escaped.spawn(async {}));
}
