//! Memory that processes share.
//!
//! | type | what is in it | what other processes can do |
//! |---|---|---|
//! | [`SharedSlice`] | values that were written before the memory was sealed | read |
//! | [`Shared`], [`SharedAtomics`] | atomic numbers | read, and write any value |
//! | [`SharedArray`] | values that a lock protects | nothing, except processes of the same family in turn |
//!
//! What was tried to break it, and where the test is:
//!
//! | attempt | why it fails | test |
//! |---|---|---|
//! | writing to a sealed slice, cutting it, making holes, mapping it for writing, opening it again | the kernel refuses it | `tests/sealed.rs`; by another process, `tests/ipc/shared/slice.rs` |
//! | sending memory with other seals, sizes or lengths, another file, or a garbled message | the receiver checks what the kernel says: the seals, then the size | `tests/refused.rs`, `tests/random.rs`, the fuzz target `shared` |
//! | sending memory whose reading allocates more, until a signal ends the reader | it has to be allocated, without a hole | `tests/refused.rs` |
//! | opening the file of a builder by `/proc`, to write to it or to map it | the kernel refuses it | `tests/sealed.rs` |
//! | keeping a mapping for writing while a builder seals | `EBUSY` | `tests/sealed.rs` |
//! | a panic of the iterator or of the holder; forgetting a builder or a guard | memory leaks, or the array stays locked; no second access | `tests/slice.rs`, `tests/array.rs` |
//! | using one array through several handles, mappings, threads or tasks at once | all of them have one lock, which is the broker's | `tests/array.rs`, `tests/ipc/shared/array.rs` |
//! | dropping the future of a lock that was just granted | the broker gets the lock back | `tests/array.rs` |
//! | killing the holder, or the process of the broker | the lock is granted after the end of the holder, or never | `tests/ipc/shared/array.rs` |
//! | closing the array, or ending its loop, while a guard exists | no other guard is granted | `tests/array.rs` |
//! | decoding a changed or forged handle, one of another program, or of values of another size | handles are signed; the size is checked | `tests/array.rs`, `tests/ipc/shared/array.rs` |
//! | asking a broker for the memory of a lock from outside | the request has to be signed with the key of the family | `tests/array.rs`, `tests/impostor.rs` |
//! | listening at the address of a broker that has ended, to give memory, to grant locks, or to learn the key | answers are signed, each for one request; requests contain no secret | `tests/impostor.rs`, `broker/proof.rs` |
//! | using a copy of the process, made by `fork`: reading, writing, sealing, unmapping, locking, releasing | mappings for writing are not in copies, and a page that the kernel wipes shows that a process is one, whatever its pid is | `tests/ipc_fork.rs` |
//! | driving the loop of a broker, or of a client, in a copy of the process | the copy accepts, reads, writes and grants nothing, and refuses a grant that had come before | `tests/ipc_fork.rs` |
//! | a hostile process that has atomic numbers | any value is valid; the size is sealed | `tests/sealed.rs` |
//!
//! # What is left
//!
//! A process of the family that breaks its own memory safety can write to an array which another
//! one has borrowed. So can another process of the same user that opens the file of the array by
//! `/proc/PID/fd`: the family itself has to map this file, so that nothing can be sealed. Processes
//! of the same user are trusted not to do that. A builder refuses them, except between the creation
//! of its file and the seal, some microseconds later, and on Linux before 5.1.
//!
//! Signatures do not keep a process of the same user from passing messages on between a process of
//! the family and a broker that still runs. It has to stand between them for that: with the same
//! abstract name in another network namespace, or in the folder of the socket on other systems than
//! Linux. The broker would then watch the end of that process, and not of the one that has the
//! array.
//!
//! A copy of the process must not use a reference to the values of a builder or an array that
//! existed when the copy was made. `fork` of this library is unsafe for that reason, but other
//! crates have safe functions that call `fork`, such as `daemon`.
//!
//! A process that has atomic numbers, or an array, can punch holes in their memory; where the system
//! then has none left, an access ends its process by `SIGBUS`.

mod array;
mod atomics;
mod check;
pub mod fuzz;
mod map;
mod protected;
mod slice;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri)))] // Miri has no files in memory.
mod tests;
mod wire;

pub use array::{SharedArray, SharedArrayGuard};
pub use atomics::{Atomic, Shared, SharedAtomics};
pub use slice::{SharedSlice, SharedSliceBuilder};

pub(crate) use map::{Cells, missing_in_copies};
