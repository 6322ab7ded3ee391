//! How halves hold a stream: borrowed, for two futures of one task, or owned
//! together, for two tasks.
//!
//! The types, `ReadHalf`, `WriteHalf`, `OwnedReadHalf` and `OwnedWriteHalf`, are
//! where they are documented, in the module of each socket.

/// What `ReadHalf` and `WriteHalf` are to the stream that they borrow.
macro_rules! borrowed_halves {
    ($stream:ident, $address:ty, $path:literal) => {
        $crate::stream::reading_half!(ReadHalf<'_>, $stream, $address, $path);
        $crate::stream::writing_half!(WriteHalf<'_>, $stream, $address, $path);

        impl ReadHalf<'_> {
            #[inline]
            pub(crate) fn stream(&self) -> &$stream {
                self.0
            }
        }

        impl WriteHalf<'_> {
            #[inline]
            pub(crate) fn stream(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for ReadHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for WriteHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }
    };
}

/// What `OwnedReadHalf` and `OwnedWriteHalf` are to the stream that they share.
macro_rules! owned_halves {
    ($stream:ident, $address:ty, $path:literal) => {
        $crate::stream::reading_half!(OwnedReadHalf, $stream, $address, $path);
        $crate::stream::writing_half!(OwnedWriteHalf, $stream, $address, $path);

        fn reunite(reader: OwnedReadHalf, writer: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
            if !Rc::ptr_eq(&reader.stream, &writer.stream) {
                return Err(ReuniteError(reader, writer));
            }
            writer.forget();
            let stream = Rc::into_inner(reader.stream);
            Ok(stream.expect("a stream in halves has no owner but the two"))
        }

        impl OwnedReadHalf {
            /// Puts the two halves of one stream together again.
            ///
            /// # Errors
            ///
            /// Gives both halves back if they are not of the same stream.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                reunite(self, other)
            }

            #[inline]
            pub(crate) fn stream(&self) -> &$stream {
                &self.stream
            }
        }

        impl OwnedWriteHalf {
            /// Puts the two halves of one stream together again.
            ///
            /// # Errors
            ///
            /// Gives both halves back if they are not of the same stream.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                reunite(other, self)
            }

            /// Drops this half without shutting down the writing direction.
            ///
            /// The stream stays open as long as the other half.
            pub fn forget(mut self) {
                self.shutdown_on_drop = false;
            }

            #[inline]
            pub(crate) fn stream(&self) -> &$stream {
                &self.stream
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.shutdown_on_drop {
                    // Nobody is left to hear of a failure, and a connection that
                    // cannot be shut down is gone already.
                    drop($crate::stream::transfer::shutdown_write(&*self.stream));
                }
            }
        }

        impl AsRef<$stream> for OwnedReadHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        impl AsRef<$stream> for OwnedWriteHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        /// The halves given to `reunite` are not of the same stream. Here they are.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tried to reunite halves that are not from the same stream")
            }
        }

        impl std::error::Error for ReuniteError {}
    };
}

pub(crate) use {borrowed_halves, owned_halves};
