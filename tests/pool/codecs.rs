//! Arguments and results that do not encode or decode.

use coreloop::pool::{Executor, Pool, job};
use futures_lite::StreamExt;
use serde::{Deserialize, Serialize};

use coreloop_test_support::codecs::Does;
use coreloop_test_support::panics::recorded;

#[coreloop::job]
fn take(text: String, does: Does) -> bool {
    text == "x" && does == Does::Nothing
}

#[coreloop::job]
fn give(index: usize) -> (String, Does) {
    ("x".to_owned(), Does::ALL[index])
}

#[coreloop::job]
fn progress(index: usize) -> String {
    match std::panic::catch_unwind(|| job::progress(&Does::ALL[index])) {
        Ok(Ok(())) => "sent".to_owned(),
        Ok(Err(error)) => format!("{:?}", error.kind()),
        Err(_) => "panicked".to_owned(),
    }
}

/// A value that panics when the master drops it.
#[derive(Serialize, Deserialize)]
struct PanicsOnDrop(bool);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        assert!(!self.0 || job::id().is_some(), "dropping");
    }
}

#[coreloop::job]
fn take_and_drop(value: PanicsOnDrop) -> bool {
    value.0
}

#[coreloop::job]
fn pid() -> u32 {
    std::process::id()
}

/// Runs a test whose panics are expected.
fn quietly(test: impl AsyncFnOnce(&Pool)) {
    let ((), _) = recorded(|| {
        coreloop::block_on(async {
            let pool = Pool::builder().workers(1).build().unwrap();
            let worker = pool.run(pid, ()).await.unwrap();
            test(&pool).await;
            assert_eq!(pool.run(pid, ()).await.unwrap(), worker, "the worker stays");
        });
    });
}

#[test]
fn arguments_that_do_not_pass_are_errors() {
    quietly(async |pool| {
        for does in Does::ALL {
            let outcome = pool.run(take, ("x".to_owned(), does)).await;
            let Err(error) = outcome else {
                assert_eq!(does, Does::Nothing);
                continue;
            };
            let text = error.to_string();
            match does {
                Does::Nothing => panic!("{text}"),
                Does::FailsToEncode => {
                    assert!(error.is_codec() && !error.has_started());
                    assert!(text.contains("the arguments do not encode"), "{text}");
                }
                Does::PanicsToEncode => {
                    assert!(error.is_codec() && !error.has_started());
                    assert!(text.contains("encoding the arguments panicked"), "{text}");
                }
                Does::FailsToDecode => {
                    assert!(error.is_codec() && error.has_started());
                    assert!(text.contains("the arguments do not decode"), "{text}");
                }
                Does::PanicsToDecode => {
                    assert!(error.is_panic() && error.has_started());
                    assert!(text.contains("panicked: decoding"), "{text}");
                }
            }
        }
    });
}

#[test]
fn arguments_whose_destructor_panics_are_errors() {
    quietly(async |pool| {
        let error = pool.run(take_and_drop, PanicsOnDrop(true)).await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("dropping the encoded arguments"), "{text}");
        for executor in [Executor::from(pool.clone()), Executor::inline().unwrap()] {
            for chunk in [1, 2, 8] {
                let inputs = (0..6).map(|number| PanicsOnDrop(number % 3 == 1));
                let results: Vec<_> = executor
                    .map(take_and_drop, inputs)
                    .chunks(chunk)
                    .collect()
                    .await;
                assert_eq!(results.len(), 6);
                for (number, result) in results.into_iter().enumerate() {
                    if number % 3 == 1 {
                        assert!(result.unwrap_err().is_codec());
                    } else {
                        assert!(!result.unwrap());
                    }
                }
            }
        }
    });
}

#[test]
fn results_that_do_not_pass_are_errors() {
    quietly(async |pool| {
        for (index, does) in Does::ALL.into_iter().enumerate() {
            let outcome = pool.run(give, index).await;
            let Err(error) = outcome else {
                assert_eq!(does, Does::Nothing);
                continue;
            };
            let text = error.to_string();
            assert!(error.has_started());
            match does {
                Does::Nothing => panic!("{text}"),
                Does::FailsToEncode => {
                    assert!(error.is_codec());
                    assert!(text.contains("the result does not encode"), "{text}");
                }
                Does::PanicsToEncode => {
                    assert!(error.is_panic());
                    assert!(text.contains("panicked: encoding"), "{text}");
                }
                Does::FailsToDecode => {
                    assert!(error.is_codec());
                    assert!(text.contains("the result does not decode"), "{text}");
                }
                Does::PanicsToDecode => {
                    assert!(error.is_codec());
                    assert!(text.contains("decoding the result panicked"), "{text}");
                }
            }
        }
    });
}

#[test]
fn values_that_do_not_pass_harm_no_others_of_their_chunk() {
    quietly(async |pool| {
        for chunk in [1, 2, 3, 100] {
            let inputs = Does::ALL.map(|does| ("x".to_owned(), does));
            let inputs = inputs.iter().cloned().chain(inputs.clone());
            let taken: Vec<_> = pool.map(take, inputs).chunks(chunk).collect().await;
            let given: Vec<_> = pool
                .map(give, (0..5).chain(0..5))
                .chunks(chunk)
                .collect()
                .await;
            assert_eq!((taken.len(), given.len()), (10, 10));
            for (index, (taken, given)) in taken.into_iter().zip(given).enumerate() {
                if index % 5 == 0 {
                    assert!(taken.unwrap());
                    assert_eq!(given.unwrap().1, Does::Nothing);
                } else {
                    let (taken, given) = (taken.unwrap_err(), given.unwrap_err());
                    assert!(taken.is_codec() || taken.is_panic(), "{taken}");
                    assert!(given.is_codec() || given.is_panic(), "{given}");
                }
            }
        }
    });
}

#[test]
fn progress_that_does_not_pass_is_an_error() {
    quietly(async |pool| {
        for (index, expected) in ["sent", "InvalidInput", "panicked", "sent", "sent"]
            .into_iter()
            .enumerate()
        {
            let handle = pool.submit(progress, index).await.unwrap();
            let mut values = handle.progress::<Does>();
            assert_eq!(handle.await.unwrap(), expected);
            match (Does::ALL[index], values.changed().await) {
                (Does::Nothing, Some(value)) => assert_eq!(value.unwrap(), Does::Nothing),
                (Does::FailsToDecode, Some(value)) => assert!(value.unwrap_err().is_codec()),
                (Does::PanicsToDecode, Some(value)) => assert!(value.unwrap_err().is_codec()),
                (_, None) => assert_ne!(expected, "sent"),
                (_, Some(value)) => panic!("{value:?}"),
            }
        }
    });
}
