//! [`unblock_signals`], which is the same on every Unix.
#![expect(
    unsafe_code,
    reason = "neither std nor rustix can set the signal mask of a thread"
)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Unblocks all signals in this thread. A new thread and a new process inherit that.
pub(crate) fn unblock_signals() -> io::Result<()> {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer leads to memory for a set, which may be written.
    if unsafe { libc::sigemptyset(none.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the set was just initialized. The old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
