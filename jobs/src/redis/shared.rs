//! [`Shared`], what all parts of one connection to a queue use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::link::{Link, Lost};
use super::names::{self, Names, Place};
use super::script::Scripts;
use super::socket::Address;
use super::warnings::Warnings;
use crate::engine::{Fence, Function, JobId};
use crate::error::{Error, Kind};

/// How long results and keys are kept, in seconds.
pub(super) const A_DAY: u32 = 24 * 60 * 60;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) names: Names,
    pub(super) address: Rc<Address>,
    pub(super) scripts: Scripts,
    /// The connection for everything that does not block.
    pub(super) link: Link,
    pub(super) warnings: Rc<Warnings>,
    /// What the names of all consumers of this connection begin with.
    pub(super) worker: String,
    /// The first part of the ids of the jobs that are stored here.
    producer: String,
    next_id: Cell<u64>,
    places: RefCell<Vec<Rc<Place>>>,
}

impl Shared {
    pub(super) async fn connect(url: &str, queue: &str, durable: bool) -> Result<Self, Error> {
        let names = Names::new(queue)?;
        let address = Rc::new(Address::parse(url)?);
        let warnings = Rc::new(Warnings::new(durable, names.marker()));
        let link = Link::connect(Rc::clone(&address), Rc::clone(&warnings)).await?;
        Ok(Self {
            names,
            address,
            scripts: Scripts::new(),
            link,
            warnings,
            worker: names::worker()?,
            producer: names::random()?,
            next_id: Cell::new(0),
            places: RefCell::default(),
        })
    }

    /// Returns an id that no other job has.
    pub(super) fn new_id(&self) -> JobId {
        let number = self.next_id.get();
        self.next_id.set(number + 1);
        JobId(format!("{}-{number:x}", self.producer))
    }

    /// Returns the keys of a function.
    pub(super) fn place(&self, function: &Function) -> Rc<Place> {
        let mut places = self.places.borrow_mut();
        if let Some(place) = places.iter().find(|place| place.function == *function) {
            return Rc::clone(place);
        }
        let place = Rc::new(self.names.place(function));
        places.push(Rc::clone(&place));
        place
    }

    /// Puts entries back that this worker has not started.
    pub(super) async fn give_back(
        &self,
        place: &Place,
        lease: Duration,
        entries: impl Iterator<Item = super::entry::Entry>,
    ) -> Result<(), Error> {
        let mut call = place.call().of_lease(lease).text(&self.worker);
        for entry in entries {
            // It has no result: it was not started.
            call.add_key(&self.names.none());
            call.add_number(entry);
        }
        let script = &self.scripts.give_back;
        self.link.run(script, &call, Lost::Repeat).await?;
        Ok(())
    }
}

/// Reads the letter that a script has returned for a job.
pub(super) fn fence(letter: u8) -> Result<Fence, Error> {
    match letter {
        b'h' => Ok(Fence::Held),
        b't' => Ok(Fence::Taken),
        b'g' => Ok(Fence::Gone),
        _ => Err(Error::new(
            Kind::Engine,
            "Redis: a script has returned an unknown letter",
        )),
    }
}
