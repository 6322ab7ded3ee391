//! [`Key`], the secret that a manager and its clients share.

use std::fmt;
use std::path::Path;
use std::{env, fs};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::error::{Error, Kind};

/// The minimum length of a key, in bytes.
const MIN_LENGTH: usize = 16;

/// The maximum length of a key, in bytes. A longer one is the wrong file.
const MAX_LENGTH: usize = 1024;

/// The secret that a manager and its clients share: Python's `authkey`.
///
/// A client that has another key, or none, cannot connect. Keep the key in a file or a variable
/// that other users cannot read, and make it with [`random`](Self::random), not of words:
/// an attacker who has recorded a handshake can try any number of keys without connecting again.
///
/// Its `Debug` output does not contain the key.
///
/// # Examples
///
/// ```
/// use coreloop::jobs::Key;
///
/// # fn main() -> Result<(), coreloop::jobs::Error> {
/// let key = Key::random()?;
/// // Written to a file for the other machines.
/// let text = key.to_hex();
/// assert_eq!(text.len(), 64);
/// let same = Key::from_hex(&text)?;
/// # let _ = same;
///
/// let error = Key::new("abc").unwrap_err();
/// assert!(error.to_string().contains("at least 16 bytes"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// Creates a key of bytes that the manager and its clients both have.
    ///
    /// # Errors
    ///
    /// Returns an error if the key is shorter than 16 bytes, or longer than 1,024.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, Error> {
        let bytes = bytes.as_ref();
        if bytes.len() < MIN_LENGTH {
            return Err(invalid(format!(
                "the key has {} bytes, and needs at least {MIN_LENGTH} bytes: a short key can be \
                 found by trying; make one with Key::random, or with `openssl rand -hex 32`",
                bytes.len()
            )));
        }
        if bytes.len() > MAX_LENGTH {
            return Err(invalid(format!(
                "the key has {} bytes, and may have at most {MAX_LENGTH} bytes",
                bytes.len()
            )));
        }
        Ok(Self(bytes.to_vec()))
    }

    /// Creates a key of 32 random bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no random bytes.
    pub fn random() -> Result<Self, Error> {
        Ok(Self(random::<32>()?.to_vec()))
    }

    /// Creates a key of hexadecimal digits, two for each byte. White space around them is
    /// ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if there is another character, an odd number of digits, or if the key
    /// has a length that [`new`](Self::new) refuses.
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        Self::new(decode_hex(text.trim()).ok_or_else(|| {
            // The text is not shown, because it may be a secret.
            invalid("the key is no text of hexadecimal digits, two for each byte")
        })?)
    }

    /// Reads a key as hexadecimal digits from a file.
    ///
    /// This blocks the thread for as long as the read of a small file takes.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, if it cannot be read or if
    /// [`from_hex`](Self::from_hex) refuses its content.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| {
            let text = format!("cannot read the key file {}: {error}", path.display());
            Error::new(Kind::Io(error.kind()), text)
        })?;
        Self::from_hex(&text).map_err(|error| invalid(format!("{}: {error}", path.display())))
    }

    /// Reads a key as hexadecimal digits from an environment variable.
    ///
    /// # Errors
    ///
    /// Returns an error that names the variable, if it is not set or if
    /// [`from_hex`](Self::from_hex) refuses its content.
    pub fn from_env(variable: &str) -> Result<Self, Error> {
        let text = env::var(variable).map_err(|_| {
            invalid(format!(
                "the environment variable {variable} is not set to a key of hexadecimal digits"
            ))
        })?;
        Self::from_hex(&text).map_err(|error| invalid(format!("{variable}: {error}")))
    }

    /// Returns the key as hexadecimal digits, which [`from_hex`](Self::from_hex) reads.
    ///
    /// The text is as secret as the key.
    #[must_use]
    pub fn to_hex(&self) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(digit).collect()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| value.try_into().ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// Returns random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = format!("the system gives no random bytes: {error}");
        Error::new(Kind::Io(std::io::ErrorKind::Other), text)
    })?;
    Ok(bytes)
}

/// Returns an HMAC under `key`.
pub(super) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // A key of any length is accepted.
    let Ok(mac) = Hmac::new_from_slice(key) else {
        unreachable!("an HMAC has a key of any length");
    };
    mac
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, text)
}
