//! The variables of the body are dropped before the children.

use coreloop::scope::scope;

#[coreloop::main]
async fn main() {
    scope(async |scope| {
        let number = 1;
        drop(scope.spawn(async { println!("{}", &number) }));
    })
    .await;
}
