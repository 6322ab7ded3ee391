//! `stream!`, `try_stream!` and `for_await!`.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;

use coreloop::task::yield_now;
use coreloop::{for_await, stream, try_stream};
use futures_core::Stream;
use futures_lite::StreamExt;

async fn collect<T>(stream: impl Stream<Item = T>) -> Vec<T> {
    let mut items = Vec::new();
    for_await!(item in stream {
        items.push(item);
    });
    items
}

macro_rules! twice {
    ($item:expr) => {{
        $item;
        $item
    }};
}

#[coreloop::test]
async fn a_yield_may_stand_wherever_an_expression_may() {
    let text = String::from("moved");
    let items = stream! {
        yield 1;
        let () = yield 2;
        yield_now().await;
        match text.as_str() {
            "moved" => yield 3,
            _ => unreachable!(),
        }
        if text.len() == 5 { yield 4 } else { yield 0 }
        for number in [5, 6] { yield number }
        (yield 7, yield 8).0;
        twice!(yield 9);
        let sum = |a: i32, b: i32| a + b;
        yield sum(4, 6);
        yield <i32 as From<u8>>::from(11);
        yield BTreeMap::<u8, i32>::from([(1, 12)])[&1];
        assert_eq!({ yield 13; text.len() }, 5);
        yield 14
    };
    assert_eq!(
        collect(items).await,
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11, 12, 13, 14]
    );
}

#[coreloop::test]
async fn a_yield_takes_the_whole_expression() {
    struct Pair<A, B>(A, B);
    let pair = Pair(1, 2);
    let small: u8 = 2;
    let mut last = 0;
    let items = stream! {
        yield if pair.0 == 2 { 9 } else if pair.0 == 1 { 0 } else { 9 } + 1;
        match yield pair.0 + pair.0 {
            () if pair.0 == 1 => yield match pair { Pair(one, two) => one + two },
            () => unreachable!(),
        }
        yield (small as i32) << 1;
        yield [3, 5, 4].into_iter().max_by_key(|&n: &i32| -> i32 { n }).map_or::<i32, _>(0, |n| n);
        yield 'found: { break 'found 6 };
        yield { last += 7; last };
        yield async move { last }.await + 1;
        yield last & !last | (1..=9).next_back().map_or(0, |n| n);
        yield <Pair<_, Vec<u8>> as Into<Pair<i32, Vec<u8>>>>::into(Pair(10, Vec::new())).0;
    };
    assert_eq!(collect(items).await, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[coreloop::test]
async fn an_item_may_be_the_value_of_a_yield_or_nothing() {
    let items = stream! {
        let first: () = yield;
        yield first;
        yield yield;
    };
    assert_eq!(collect(items).await.len(), 4);
}

#[coreloop::test]
async fn an_item_may_be_a_struct_literal() {
    #[derive(Debug, PartialEq)]
    struct Point {
        x: i32,
        y: i32,
    }
    let items = stream! {
        let (x, y) = (1, 2);
        yield Point { x, y };
        yield Point { x: 3, ..Point { x, y } };
    };
    let expected = [Point { x: 1, y: 2 }, Point { x: 3, y: 2 }];
    assert_eq!(collect(items).await, expected);
}

#[coreloop::test]
async fn an_item_may_be_an_argument_of_a_macro() {
    #[derive(Default)]
    struct Wrapper {
        number: i32,
    }
    macro_rules! items {
        ($expression:expr, $path:path, $type:ty, $block:block, $field:ident) => {
            stream! {
                yield $expression;
                yield $expression + 1;
                yield <$type>::default().$field + 3;
                yield if true $block else $block;
                yield $path { $field: 5 }.$field;
            }
        };
    }
    let items = items!(2 - 1, Wrapper, Wrapper, { 4 }, number);
    assert_eq!(collect(items).await, [1, 2, 3, 4, 5]);
}

#[coreloop::test]
async fn generators_nest() {
    let squares = stream! {
        let rows = stream! {
            for row in 1..=3 { yield row; }
        };
        for_await!(row in rows {
            let columns = coreloop::stream! { for column in 1..=row { yield column; } };
            for_await!(column in columns {
                yield row * column;
            });
        });
    };
    assert_eq!(collect(squares).await, [1, 2, 4, 3, 6, 9]);
}

#[coreloop::test]
async fn statements_after_a_yield_do_not_run_once_it_is_closed() {
    let mut went_on = false;
    {
        let went_on = &mut went_on;
        let mut numbers = pin!(stream! {
            yield 1;
            *went_on = true;
            yield 2;
        });
        assert_eq!(stream::Gen::next(&mut numbers).await, Some(1));
        numbers.close().await;
        assert_eq!(numbers.next().await, None);
    }
    assert!(!went_on);
}

#[coreloop::test]
async fn an_endless_generator_needs_no_annotation() {
    let numbers = stream! {
        let mut number = 0;
        loop {
            yield number;
            number += 1;
        }
    };
    let first: Vec<i32> = numbers.take(4).collect().await;
    assert_eq!(first, [0, 1, 2, 3]);
}

fn read(lines: &str) -> impl Stream<Item = io::Result<u32>> + '_ {
    try_stream! {
        for line in lines.lines() {
            let number: u32 = line.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            yield number;
        }
    }
}

#[coreloop::test]
async fn a_question_mark_ends_a_generator_with_its_error() {
    let items = collect(read("1\n2\nx\n3")).await;
    let seen: Vec<_> = items
        .iter()
        .map(|item| item.as_ref().map_err(io::Error::kind))
        .collect();
    assert_eq!(seen, [Ok(&1), Ok(&2), Err(io::ErrorKind::InvalidData)]);
}

#[coreloop::test]
async fn loops_over_streams_break_continue_and_return() {
    async fn first_even(stream: impl Stream<Item = u32>) -> Option<u32> {
        for_await!(number in stream {
            if number % 2 == 1 {
                continue;
            }
            return Some(number);
        });
        None
    }
    async fn sum(stream: impl Stream<Item = io::Result<u32>>) -> io::Result<u32> {
        let mut sum = 0;
        for_await!(number in stream {
            sum += number?;
        });
        Ok(sum)
    }
    assert_eq!(first_even(stream! { yield 1; yield 4; }).await, Some(4));
    assert_eq!(first_even(stream! { yield 1; }).await, None);
    assert_eq!(sum(read("1\n2")).await.ok(), Some(3));
    assert!(sum(read("1\nx")).await.is_err());

    let mut seen = Vec::new();
    for_await!('outer: (row, mut left) in stream! { yield (1, 5); yield (2, 5); yield (3, 5); } {
        for_await!(column in stream! { loop { yield 7; } } {
            left -= 1;
            if left == 3 {
                continue 'outer;
            }
            if row == 2 {
                break 'outer;
            }
            seen.push((row, column));
        });
    });
    assert_eq!(seen, [(1, 7)]);
}

#[coreloop::test]
async fn a_loop_may_leave_a_stream_that_it_borrowed() {
    let mut numbers = pin!(stream! { for number in 0..4 { yield number; } });
    for_await!(number in numbers.as_mut() {
        if number == 1 {
            break;
        }
    });
    let mut rest = Vec::new();
    for_await!(number in &mut numbers {
        rest.push(number);
    });
    assert_eq!(rest, [2, 3]);
}

#[coreloop::test]
async fn temporaries_of_the_stream_live_as_long_as_the_loop() {
    let mut seen = Vec::new();
    for_await!(number in read(&String::from("1\n2")) {
        seen.push(number.expect("a number"));
    });
    assert_eq!(seen, [1, 2]);
}
