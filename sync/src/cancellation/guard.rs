//! Guards that cancel a token when they are dropped.

use super::CancellationToken;

/// A guard that cancels its token when it is dropped.
///
/// [`CancellationToken::drop_guard`] creates it.
#[derive(Debug)]
#[must_use = "a guard that is not kept cancels at once"]
pub struct DropGuard {
    /// `None` once the guard was disarmed.
    token: Option<CancellationToken>,
}

/// A guard that borrows a token, and cancels it when it is dropped.
///
/// [`CancellationToken::drop_guard_ref`] creates it.
#[derive(Debug)]
#[must_use = "a guard that is not kept cancels at once"]
pub struct DropGuardRef<'a> {
    /// `None` once the guard was disarmed.
    token: Option<&'a CancellationToken>,
}

impl DropGuard {
    pub(super) fn new(token: CancellationToken) -> Self {
        Self { token: Some(token) }
    }

    /// Returns the token without cancelling it.
    #[must_use]
    pub fn disarm(mut self) -> CancellationToken {
        match self.token.take() {
            Some(token) => token,
            None => unreachable!("only `disarm` takes it, which consumes the guard"),
        }
    }
}

impl<'a> DropGuardRef<'a> {
    pub(super) fn new(token: &'a CancellationToken) -> Self {
        Self { token: Some(token) }
    }

    /// Returns the token without cancelling it.
    #[must_use]
    pub fn disarm(mut self) -> &'a CancellationToken {
        match self.token.take() {
            Some(token) => token,
            None => unreachable!("only `disarm` takes it, which consumes the guard"),
        }
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}

impl Drop for DropGuardRef<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            token.cancel();
        }
    }
}
