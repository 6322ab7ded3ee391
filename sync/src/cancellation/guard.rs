//! Guards that cancel.

use super::CancellationToken;

/// Cancels its token when dropped. Made by [`CancellationToken::drop_guard`].
#[derive(Debug)]
#[must_use = "a guard that is not kept cancels at once"]
pub struct DropGuard {
    /// None once disarmed.
    token: Option<CancellationToken>,
}

/// Cancels a token when dropped. Made by
/// [`CancellationToken::drop_guard_ref`].
#[derive(Debug)]
#[must_use = "a guard that is not kept cancels at once"]
pub struct DropGuardRef<'a> {
    /// None once disarmed.
    token: Option<&'a CancellationToken>,
}

impl DropGuard {
    pub(super) fn new(token: CancellationToken) -> Self {
        Self { token: Some(token) }
    }

    /// Gives the token back, without cancelling it.
    #[must_use]
    pub fn disarm(mut self) -> CancellationToken {
        match self.token.take() {
            Some(token) => token,
            None => unreachable!("only this takes it, and the guard with it"),
        }
    }
}

impl<'a> DropGuardRef<'a> {
    pub(super) fn new(token: &'a CancellationToken) -> Self {
        Self { token: Some(token) }
    }

    /// Gives the token back, without cancelling it.
    #[must_use]
    pub fn disarm(mut self) -> &'a CancellationToken {
        match self.token.take() {
            Some(token) => token,
            None => unreachable!("only this takes it, and the guard with it"),
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
