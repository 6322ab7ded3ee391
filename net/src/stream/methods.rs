//! The methods of a stream that carry bytes.

/// Reading, writing, shutting down and taking apart, for a stream called `$path`.
macro_rules! byte_stream {
    ($stream:ident, $path:literal) => {
        impl $stream {
            /// Reads some bytes into `buffer`, and says how many.
            ///
            /// `Ok(0)` means that the peer will send no more, or that `buffer` is empty.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was read if the future did not complete.
            ///
            /// # Errors
            ///
            /// Those of the system call, such as
            /// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset).
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn serve(mut stream: ", $path, ") -> std::io::Result<()> {")]
            /// let mut buffer = [0; 1024];
            /// loop {
            ///     let count = stream.read(&mut buffer).await?;
            ///     if count == 0 {
            ///         return Ok(());
            ///     }
            ///     stream.write_all(&buffer[..count]).await?;
            /// }
            /// # }
            /// ```
            #[inline]
            pub fn read(
                &mut self,
                buffer: &mut [u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::read(self, buffer)
            }

            /// Reads some bytes into several buffers, one after another, and says how many.
            ///
            /// No more than the first 1024 buffers are looked at.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was read if the future did not complete.
            ///
            /// # Errors
            ///
            /// Those of [`read`](Self::read).
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn read(mut stream: ", $path, ") -> std::io::Result<()> {")]
            /// use std::io::IoSliceMut;
            ///
            /// let (mut header, mut body) = ([0; 8], [0; 1024]);
            /// let mut buffers = [IoSliceMut::new(&mut header), IoSliceMut::new(&mut body)];
            /// let count = stream.read_vectored(&mut buffers).await?;
            /// # let _ = count;
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::read_vectored(self, buffers)
            }

            /// Reads until `buffer` is full, and says how many bytes that is.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: bytes read so far are in `buffer`, but how many is lost.
            ///
            /// # Errors
            ///
            /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the peer sends no more
            /// before `buffer` is full; otherwise those of [`read`](Self::read).
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn header(mut stream: ", $path, ") -> std::io::Result<u32> {")]
            /// let mut length = [0; 4];
            /// stream.read_exact(&mut length).await?;
            /// # Ok(
            /// u32::from_be_bytes(length)
            /// # )
            /// # }
            /// ```
            #[inline]
            pub fn read_exact(
                &mut self,
                buffer: &mut [u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::read_exact(self, buffer)
            }

            /// Writes some of `bytes`, and says how many.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was written if the future did not complete.
            ///
            /// # Errors
            ///
            /// Those of the system call, such as
            /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe). No `SIGPIPE` is raised.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn greet(mut stream: ", $path, ") -> std::io::Result<()> {")]
            /// let count = stream.write(b"hello").await?;
            /// println!("{count} bytes are on their way");
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn write(
                &mut self,
                bytes: &[u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::write(self, bytes)
            }

            /// Writes some bytes from several buffers, one after another, and says how many.
            ///
            /// No more than the first 1024 buffers are looked at.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was written if the future did not complete.
            ///
            /// # Errors
            ///
            /// Those of [`write`](Self::write).
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn write(mut stream: ", $path, ") -> std::io::Result<()> {")]
            /// use std::io::IoSlice;
            ///
            /// let count = stream
            ///     .write_vectored(&[IoSlice::new(b"header"), IoSlice::new(b"body")])
            ///     .await?;
            /// # let _ = count;
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::write_vectored(self, buffers)
            }

            /// Writes all of `bytes`.
            ///
            /// While the peer does not read, this waits and holds nothing but `bytes`.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: some of `bytes` may be written, and how many is lost.
            ///
            /// # Errors
            ///
            /// Those of [`write`](Self::write), and
            /// [`WriteZero`](std::io::ErrorKind::WriteZero) if the system takes no more bytes.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn greet(mut stream: ", $path, ") -> std::io::Result<()> {")]
            /// stream.write_all(b"hello").await?;
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn write_all(
                &mut self,
                bytes: &[u8],
            ) -> impl Future<Output = std::io::Result<()>> + Unpin {
                $crate::stream::transfer::write_all(self, bytes)
            }

            /// Tells the peer that no more will be written. Reading goes on.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: it completes the first time it is polled.
            ///
            /// # Errors
            ///
            /// Those of the system call. A connection that is gone already counts as shut
            /// down.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn finish(mut stream: ", $path, ") -> std::io::Result<()> {")]
            /// stream.write_all(b"that is all").await?;
            /// stream.shutdown().await?;
            /// # Ok(())
            /// # }
            /// ```
            pub fn shutdown(&mut self) -> impl Future<Output = std::io::Result<()>> + Unpin {
                $crate::stream::transfer::shutdown(self)
            }

            /// Borrows the stream as a half that reads and a half that writes, for two
            /// futures of one task. It costs nothing.
            pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// Takes the stream apart into a half that reads and a half that writes, for
            /// two tasks. It costs one small allocation.
            ///
            /// Dropping the writing half shuts down the writing direction. The connection
            /// is closed when both halves are gone.
            #[must_use]
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                let stream = std::rc::Rc::new(self);
                let reader = OwnedReadHalf {
                    stream: std::rc::Rc::clone(&stream),
                };
                let writer = OwnedWriteHalf {
                    stream,
                    shutdown_on_drop: true,
                };
                (reader, writer)
            }

            /// Itself, as every type of this module lends its stream.
            #[inline]
            pub(crate) fn stream(&self) -> &Self {
                self
            }
        }

        /// For what takes a stream or a half of one.
        impl AsRef<$stream> for $stream {
            fn as_ref(&self) -> &$stream {
                self
            }
        }
    };
}

pub(crate) use byte_stream;
