//! `CancellationToken`: children with their parents, and trees of any shape.

use std::cell::RefCell;
use std::future::{pending, ready as at_once};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use coreloop::sync::CancellationToken;
use coreloop::task::yield_now;

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::{Waiter, ready};

#[test]
fn a_child_is_cancelled_with_its_parent_but_not_the_parent_with_it() {
    let parent = CancellationToken::new();
    let (child, sibling) = (parent.child_token(), parent.child_token());
    let grandchild = child.child_token();
    child.cancel();
    assert!(child.is_cancelled() && grandchild.is_cancelled());
    assert!(!parent.is_cancelled() && !sibling.is_cancelled());
    parent.cancel();
    assert!(parent.is_cancelled() && sibling.is_cancelled());
    assert!(parent.child_token().is_cancelled());
    parent.cancel();
}

#[test]
fn waiting_ends_with_the_cancellation() {
    let token = CancellationToken::new();
    let child = token.child_token();
    let mut waiters = [
        Waiter::new(token.cancelled()),
        Waiter::new(child.cancelled()),
        Waiter::new(child.clone().cancelled_owned()),
    ];
    assert!(waiters.iter_mut().all(|it| !it.is_ready()));
    let mut gone = Waiter::new(child.cancelled());
    assert!(!gone.is_ready());
    gone.cancel();
    token.cancel();
    for waiter in &mut waiters {
        assert_eq!(waiter.woken(), 1);
        ready(waiter.poll());
        ready(waiter.poll());
    }
    assert!(Waiter::new(child.cancelled()).is_ready());
}

#[test]
fn a_child_outlives_the_handles_between_it_and_its_ancestor() {
    let root = CancellationToken::new();
    let middle = root.child_token();
    let (one, other) = (middle.child_token(), middle.child_token());
    drop(middle);
    drop(one);
    assert!(!other.is_cancelled());
    root.cancel();
    assert!(other.is_cancelled());

    let root = CancellationToken::new();
    let orphan = root.child_token().child_token();
    drop(root);
    assert!(!orphan.is_cancelled());
    orphan.cancel();
    assert!(orphan.is_cancelled());
}

#[test]
fn clones_are_the_same_token() {
    let token = CancellationToken::new();
    let same = token.clone();
    assert_eq!(token, same);
    assert_ne!(token, CancellationToken::default());
    drop(token);
    let child = same.child_token();
    same.cancel();
    assert!(child.is_cancelled());
    assert_eq!(
        format!("{same:?}"),
        "CancellationToken { is_cancelled: true }"
    );
}

#[test]
fn guards_cancel_unless_disarmed() {
    let token = CancellationToken::new();
    assert_eq!(token.clone().drop_guard().disarm(), token);
    assert_eq!(token.drop_guard_ref().disarm(), &token);
    assert!(!token.is_cancelled());
    let child = token.child_token();
    drop(child.drop_guard_ref());
    assert!(child.is_cancelled() && !token.is_cancelled());
    drop(token.clone().drop_guard());
    assert!(token.is_cancelled());
}

#[test]
fn run_until_cancelled_returns_the_output_or_none() {
    let token = CancellationToken::new();
    let mut over = Waiter::new(token.run_until_cancelled(at_once(1)));
    assert_eq!(ready(over.poll()), Some(1));
    let mut cut = Waiter::new(token.run_until_cancelled(pending::<()>()));
    let mut owned = Waiter::new(token.clone().run_until_cancelled_owned(pending::<()>()));
    assert!(!cut.is_ready() && !owned.is_ready());
    token.cancel();
    assert_eq!((cut.woken(), owned.woken()), (1, 1));
    assert_eq!((ready(cut.poll()), ready(owned.poll())), (None, None));
    // The token is cancelled already, so the future is not polled.
    let never = async { unreachable!("it is not polled") };
    assert_eq!(
        ready(Waiter::new(token.run_until_cancelled(never)).poll()),
        None::<()>
    );
}

/// A tree that is dropped or cancelled by recursion would overflow the stack.
#[test]
fn long_chains_are_dropped_and_cancelled_without_recursion() {
    const LENGTH: usize = if cfg!(miri) { 300 } else { 100_000 };
    let chain = || {
        let mut tokens = vec![CancellationToken::new()];
        for _ in 1..LENGTH {
            tokens.push(tokens.last().unwrap().child_token());
        }
        tokens
    };
    // From the root; from the leaf; every other token first; and so that only the leaf is
    // left.
    drop(chain());
    chain().into_iter().rev().for_each(drop);
    let (even, odd): (Vec<_>, Vec<_>) = chain()
        .into_iter()
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);
    drop(even);
    odd[0].1.cancel();
    assert!(odd.iter().all(|(_, token)| token.is_cancelled()));
    drop(odd);
    let root = CancellationToken::new();
    let mut leaf = root.child_token();
    for _ in 0..LENGTH {
        leaf = leaf.child_token();
    }
    root.cancel();
    assert!(leaf.is_cancelled());

    let tokens = chain();
    let mut last = Waiter::new(tokens.last().unwrap().cancelled());
    assert!(!last.is_ready());
    tokens[0].cancel();
    assert!(tokens.iter().all(CancellationToken::is_cancelled));
    assert!(last.is_ready());
}

#[test]
fn tasks_stop_when_their_token_is_cancelled() {
    coreloop::block_on(async {
        let token = CancellationToken::new();
        let rounds = Rc::new(RefCell::new(0));
        let task = coreloop::spawn({
            let (token, rounds) = (token.child_token(), Rc::clone(&rounds));
            async move {
                while !token.is_cancelled() {
                    *rounds.borrow_mut() += 1;
                    assert!(*rounds.borrow() < 100_000, "the task does not stop");
                    yield_now().await;
                }
                "stopped"
            }
        });
        yield_now().await;
        token.cancel();
        assert_eq!(task.await.unwrap(), "stopped");
        assert!(*rounds.borrow() > 0);
    });
}

#[test]
fn a_waker_may_drop_and_create_tokens() {
    thread_local! {
        static TOKENS: RefCell<Vec<CancellationToken>> = const { RefCell::new(Vec::new()) };
    }
    struct Drops;
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            let tokens = TOKENS.take();
            assert!(tokens.iter().all(CancellationToken::is_cancelled));
            assert!(tokens[0].child_token().is_cancelled());
            tokens[0].cancel();
        }
    }
    let root = CancellationToken::new();
    TOKENS.set((0..3).map(|_| root.child_token()).collect());
    let child = root.child_token();
    let waker = Waker::from(Arc::new(Drops));
    let mut cancelled = std::pin::pin!(child.cancelled());
    let cx = &mut Context::from_waker(&waker);
    assert!(cancelled.as_mut().poll(cx).is_pending());
    root.cancel();
    assert!(TOKENS.take().is_empty());
}

/// Compares the tokens with a list of every token with its parent, from which none is
/// removed.
#[test]
fn tokens_agree_with_their_model() {
    struct Node {
        parent: Option<usize>,
        cancelled: bool,
    }
    sequence::each(500, |numbers: &[u16]| {
        let mut nodes: Vec<Node> = Vec::new();
        let mut handles: Vec<(CancellationToken, usize)> = Vec::new();
        let mut waiters: Vec<(Waiter<'_, ()>, usize, bool)> = Vec::new();
        for &number in numbers {
            let other = usize::from(number / 32);
            let at = other.checked_rem(handles.len());
            let waiting = other.checked_rem(waiters.len());
            match (number % 32, at) {
                (0, _) | (_, None) => {
                    handles.push((CancellationToken::new(), nodes.len()));
                    nodes.push(Node {
                        parent: None,
                        cancelled: false,
                    });
                }
                (1..8, Some(at)) if handles.len() < 16 => {
                    let (token, parent) = &handles[at];
                    let (child, cancelled) = (token.child_token(), nodes[*parent].cancelled);
                    let node = Node {
                        parent: Some(*parent),
                        cancelled,
                    };
                    handles.push((child, nodes.len()));
                    nodes.push(node);
                }
                (8..10, Some(at)) if handles.len() < 16 => {
                    let (token, node) = &handles[at];
                    handles.push((token.clone(), *node));
                }
                (10..16, Some(at)) => drop(handles.swap_remove(at)),
                (16, Some(at)) => {
                    let cancelled = handles[at].1;
                    handles[at].0.cancel();
                    nodes[cancelled].cancelled = true;
                    // A parent comes before its children.
                    for node in cancelled + 1..nodes.len() {
                        let parent = nodes[node].parent;
                        nodes[node].cancelled |= parent.is_some_and(|it| nodes[it].cancelled);
                    }
                }
                (17..22, Some(at)) if waiters.len() < 10 => {
                    let (token, node) = &handles[at];
                    let waiter = Waiter::new(token.clone().cancelled_owned());
                    waiters.push((waiter, *node, false));
                }
                (kind @ 22..29, _) => {
                    let Some(at) = waiting else { continue };
                    let (waiter, node, polled) = &mut waiters[at];
                    let poll = if kind < 26 {
                        waiter.poll()
                    } else {
                        waiter.poll_afresh()
                    };
                    assert_eq!(poll.is_ready(), nodes[*node].cancelled);
                    *polled = true;
                    if poll.is_ready() {
                        waiters.swap_remove(at).0.cancel();
                    }
                }
                (29..32, _) => {
                    if let Some(at) = waiting {
                        waiters.swap_remove(at).0.cancel();
                    }
                }
                _ => {}
            }
            for (token, node) in &handles {
                assert_eq!(token.is_cancelled(), nodes[*node].cancelled);
            }
            for (waiter, node, polled) in &waiters {
                let cancelled = nodes[*node].cancelled;
                assert_eq!(waiter.woken(), usize::from(*polled && cancelled));
                assert_eq!(waiter.is_registered(), *polled && !cancelled);
            }
        }
    });
}
