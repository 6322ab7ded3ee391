//! The channels of tokio.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local as spawn;

use crate::passing::Tokio as Library;
