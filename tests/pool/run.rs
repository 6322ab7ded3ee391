//! Running jobs.

use coreloop::pool::Pool;

#[coreloop::job]
fn square(number: u64) -> u64 {
    number * number
}

#[coreloop::job]
fn join(left: String, right: String) -> String {
    left + &right
}

#[coreloop::job]
async fn later(number: u64) -> u64 {
    coreloop::time::sleep(std::time::Duration::from_millis(1)).await;
    number + 1
}

#[coreloop::job]
fn fails(text: String) -> Result<u8, String> {
    Err(text)
}

#[coreloop::job]
fn panics() {
    panic!("as the caller wanted");
}

#[coreloop::test]
async fn a_pool_calls_functions_in_other_processes() {
    let pool = Pool::builder().workers(2).build().unwrap();
    assert_eq!(pool.run(square, 12).await.unwrap(), 144);
    assert_eq!(pool.run(square, (12,)).await.unwrap(), 144);
    let joined = pool.run(join, ("a".to_owned(), "b".to_owned())).await;
    assert_eq!(joined.unwrap(), "ab");
    assert_eq!(pool.run(later, 1).await.unwrap(), 2);
    assert_eq!(
        pool.run(fails, "no".to_owned()).await.unwrap(),
        Err("no".to_owned())
    );
    let error = pool.run(panics, ()).await.unwrap_err();
    assert!(error.is_panic(), "{error}");
    assert!(
        error
            .panic_message()
            .unwrap()
            .starts_with("as the caller wanted, at "),
        "{error}"
    );
}
