//! A crawler with a bounded fan-out: it fetches pages as it finds them, with a limit
//! on concurrent fetches.
//!
//! ```sh
//! cargo run -p coreloop-examples --example crawler
//! ```
//!
//! Each page is a child of one scope, and spawns the pages that it links to as further
//! children: the crawl ends when the scope returns. All children borrow the state of the
//! crawl, and a semaphore limits how many of them fetch.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use coreloop::scope::{Scope, scope};
use coreloop::sync::Semaphore;
use coreloop::time::sleep;

const PAGES: u32 = 500;
const AT_ONCE: usize = 8;

struct Crawl {
    seen: RefCell<BTreeSet<u32>>,
    permits: Semaphore,
    fetching: Cell<usize>,
    most: Cell<usize>,
}

impl Crawl {
    fn visit<'env>(&'env self, scope: &Scope<'env>, page: u32) {
        if !self.seen.borrow_mut().insert(page) {
            return;
        }
        let children = scope.clone();
        drop(scope.spawn(async move {
            let Ok(_permit) = self.permits.acquire().await else {
                return;
            };
            self.fetching.set(self.fetching.get() + 1);
            self.most.set(self.most.get().max(self.fetching.get()));
            for link in fetch(page).await {
                self.visit(&children, link);
            }
            self.fetching.set(self.fetching.get() - 1);
        }));
    }
}

/// Returns the links of a page of a made-up site.
async fn fetch(page: u32) -> [u32; 3] {
    sleep(Duration::from_millis(1)).await;
    [2 * page, 3 * page + 1, page / 2].map(|link| link % PAGES)
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let crawl = Crawl {
        seen: RefCell::default(),
        permits: Semaphore::new(AT_ONCE),
        fetching: Cell::new(0),
        most: Cell::new(0),
    };
    scope(async |scope| crawl.visit(&scope, 1)).await;
    let pages = crawl.seen.borrow().len();
    println!("{pages} pages, at most {} at a time", crawl.most.get());
    Ok(())
}
