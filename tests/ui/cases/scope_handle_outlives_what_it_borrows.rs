//! A `Scope` may outlive its scope, but not the variables that its children borrow.

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
