//! The channels of coreloop.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use coreloop::spawn;
use coreloop::sync::{mpsc, oneshot, watch};

use crate::passing::Coreloop as Library;
