//! The errors of channels print and compare like tokio's.

use std::error::Error;
use std::fmt::{Debug, Display};

use coreloop::sync::{broadcast, mpsc, oneshot, watch};
use tokio::sync as theirs;

/// Prints an error in all ways.
fn print(error: &(impl Debug + Display)) -> [String; 4] {
    [
        format!("{error}"),
        format!("{error:>40}|{error:5}|"),
        format!("{error:?}"),
        format!("{error:#?}"),
    ]
}

fn assert_same<O, T>(ours: &[O], theirs: &[T])
where
    O: Error + PartialEq,
    T: Error + PartialEq,
{
    assert_eq!(ours.len(), theirs.len());
    for (own, their) in ours.iter().zip(theirs) {
        assert_eq!(print(own), print(their));
        assert!(own.source().is_none());
    }
    for (one, other) in (0..ours.len()).flat_map(|it| (0..ours.len()).map(move |at| (it, at))) {
        assert_eq!(ours[one] == ours[other], theirs[one] == theirs[other]);
    }
}

#[test]
fn mpsc_errors_print_as_tokios() {
    use mpsc::error as own;
    use theirs::mpsc::error as their;

    assert_same(
        &[own::SendError(1), own::SendError(2)],
        &[their::SendError(1), their::SendError(2)],
    );
    assert_same(
        &[
            own::TrySendError::Full(1),
            own::TrySendError::Full(2),
            own::TrySendError::Closed(1),
            own::SendError(1).into(),
        ],
        &[
            their::TrySendError::Full(1),
            their::TrySendError::Full(2),
            their::TrySendError::Closed(1),
            their::SendError(1).into(),
        ],
    );
    assert_same(
        &[own::TryRecvError::Empty, own::TryRecvError::Disconnected],
        &[
            their::TryRecvError::Empty,
            their::TryRecvError::Disconnected,
        ],
    );
    assert_same(
        &[
            own::SendTimeoutError::Timeout(1),
            own::SendTimeoutError::Closed(1),
        ],
        &[
            their::SendTimeoutError::Timeout(1),
            their::SendTimeoutError::Closed(1),
        ],
    );
    assert_eq!(own::TrySendError::Full(1).into_inner(), 1);
    assert_eq!(own::SendTimeoutError::Closed(1).into_inner(), 1);
}

#[test]
fn oneshot_errors_print_as_tokios() {
    use oneshot::error as own;
    use theirs::oneshot::error as their;

    assert_same(
        &[own::TryRecvError::Empty, own::TryRecvError::Closed],
        &[their::TryRecvError::Empty, their::TryRecvError::Closed],
    );
    futures_lite::future::block_on(async {
        let (_, ours) = oneshot::channel::<u8>();
        let (_, theirs) = theirs::oneshot::channel::<u8>();
        assert_same(&[ours.await.unwrap_err()], &[theirs.await.unwrap_err()]);
    });
}

#[test]
fn broadcast_errors_print_as_tokios() {
    use broadcast::error as own;
    use theirs::broadcast::error as their;

    assert_eq!(print(&own::SendError("it")), print(&their::SendError("it")));
    assert_same(
        &[
            own::RecvError::Closed,
            own::RecvError::Lagged(1),
            own::RecvError::Lagged(2),
        ],
        &[
            their::RecvError::Closed,
            their::RecvError::Lagged(1),
            their::RecvError::Lagged(2),
        ],
    );
    assert_same(
        &[
            own::TryRecvError::Empty,
            own::TryRecvError::Closed,
            own::TryRecvError::Lagged(1),
        ],
        &[
            their::TryRecvError::Empty,
            their::TryRecvError::Closed,
            their::TryRecvError::Lagged(1),
        ],
    );
}

#[test]
fn watch_errors_print_as_tokios() {
    use theirs::watch::error as their;
    use watch::error as own;

    assert_same(
        &[own::SendError(1), own::SendError(2)],
        &[their::SendError(1), their::SendError(2)],
    );
    let (_, ours) = watch::channel(1);
    let (_, theirs) = theirs::watch::channel(1);
    let ours = ours.has_changed().unwrap_err();
    assert_eq!(print(&ours), print(&theirs.has_changed().unwrap_err()));
}
