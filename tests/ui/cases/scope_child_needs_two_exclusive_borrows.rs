//! Two children cannot both change the same variable.

use coreloop::scope::scope;

#[coreloop::main]
async fn main() {
    let mut number = 1;
    scope(async |scope| {
        let first = scope.spawn(async { number += 1 });
        let second = scope.spawn(async { number += 1 });
        first.await;
        second.await;
    })
    .await;
}
