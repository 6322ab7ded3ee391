//! What the borrowed and the owned halves have in common, of all streams.
//!
//! All kinds lend their stream by a private `stream()`. A half is the only owner
//! of its direction, so its reads or writes may use that direction's one waker.

/// The methods of a half that reads.
macro_rules! reading_half {
    ($half:ty, $stream:ident, $address:ty, $path:literal) => {
        impl $half {
            /// Reads some bytes into `buffer`, and says how many.
            ///
            /// `Ok(0)` means that the peer will send no more, or that `buffer` is
            /// empty.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was read if the future did not complete.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::read`].")]
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn read(mut half: ", $path, "::OwnedReadHalf) -> std::io::Result<()> {")]
            /// let mut buffer = [0; 1024];
            /// let count = half.read(&mut buffer).await?;
            /// println!("{}", buffer[..count].escape_ascii());
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn read(
                &mut self,
                buffer: &mut [u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::read(self.stream(), buffer)
            }

            /// Reads some bytes into several buffers, one after another, and says how many.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was read if the future did not complete.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::read`].")]
            #[inline]
            pub fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::read_vectored(self.stream(), buffers)
            }

            /// Reads until `buffer` is full, and says how many bytes that is.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: bytes read so far are in `buffer`, but how many is
            /// lost.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::read_exact`].")]
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn read(mut half: ", $path, "::OwnedReadHalf) -> std::io::Result<()> {")]
            /// let mut header = [0; 4];
            /// half.read_exact(&mut header).await?;
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn read_exact(
                &mut self,
                buffer: &mut [u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::read_exact(self.stream(), buffer)
            }

            /// Reads some bytes without taking them: the next read gets them again.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: no bytes are taken.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::read`].")]
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn sniff(half: ", $path, "::OwnedReadHalf) -> std::io::Result<()> {")]
            /// let mut first = [0; 1];
            /// half.peek(&mut first).await?;
            /// # Ok(())
            /// # }
            /// ```
            pub async fn peek(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.stream().peek(buffer).await
            }

            /// Polls for bytes to [`peek`](Self::peek) at. Only the task that polled this
            /// or a read last is woken.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::read`].")]
            pub fn poll_peek(
                &mut self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.stream().poll_peek(cx, buffer)
            }

            /// Waits until one of the things of `interest` is ready, and says which are.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing is transferred, and readiness stays.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            pub async fn ready(
                &self,
                interest: coreloop_runtime::io::Interest,
            ) -> std::io::Result<coreloop_runtime::io::Ready> {
                self.stream().ready(interest).await
            }

            /// Waits until a read would probably not wait.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing is read, and readiness stays.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn read(half: ", $path, "::OwnedReadHalf) -> std::io::Result<()> {")]
            /// half.readable().await?;
            /// let count = half.try_read(&mut [0; 1024]);
            /// # let _ = count;
            /// # Ok(())
            /// # }
            /// ```
            pub async fn readable(&self) -> std::io::Result<()> {
                self.stream().readable().await
            }

            /// Reads what is there now, without waiting.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::try_read`].")]
            pub fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.stream().try_read(buffer)
            }

            /// As [`try_read`](Self::try_read), into several buffers in turn.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::try_read`].")]
            pub fn try_read_vectored(&self, buffers: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                self.stream().try_read_vectored(buffers)
            }

            /// The address of this end.
            ///
            /// # Errors
            ///
            /// Those of the system call.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                self.stream().local_addr()
            }

            /// The address of the other end.
            ///
            /// # Errors
            ///
            /// Those of the system call.
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                self.stream().peer_addr()
            }
        }
    };
}

/// The methods of a half that writes.
macro_rules! writing_half {
    ($half:ty, $stream:ident, $address:ty, $path:literal) => {
        impl $half {
            /// Writes some of `bytes`, and says how many.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was written if the future did not complete.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::write`].")]
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn greet(mut half: ", $path, "::OwnedWriteHalf) -> std::io::Result<()> {")]
            /// let count = half.write(b"hello").await?;
            /// println!("{count} bytes are on their way");
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn write(
                &mut self,
                bytes: &[u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::write(self.stream(), bytes)
            }

            /// Writes some bytes from several buffers, one after another, and says how many.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was written if the future did not complete.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::write`].")]
            #[inline]
            pub fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> impl Future<Output = std::io::Result<usize>> + Unpin {
                $crate::stream::transfer::write_vectored(self.stream(), buffers)
            }

            /// Writes all of `bytes`.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: some of `bytes` may be written, and how many is lost.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::write_all`].")]
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn greet(mut half: ", $path, "::OwnedWriteHalf) -> std::io::Result<()> {")]
            /// half.write_all(b"hello").await?;
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn write_all(
                &mut self,
                bytes: &[u8],
            ) -> impl Future<Output = std::io::Result<()>> + Unpin {
                $crate::stream::transfer::write_all(self.stream(), bytes)
            }

            /// Tells the peer that no more will be written. Reading goes on.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: it completes the first time it is polled.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::shutdown`].")]
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn finish(mut half: ", $path, "::OwnedWriteHalf) -> std::io::Result<()> {")]
            /// half.write_all(b"that is all").await?;
            /// half.shutdown().await?;
            /// # Ok(())
            /// # }
            /// ```
            pub fn shutdown(&mut self) -> impl Future<Output = std::io::Result<()>> + Unpin {
                $crate::stream::transfer::shutdown(self.stream())
            }

            /// Waits until one of the things of `interest` is ready, and says which are.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing is transferred, and readiness stays.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            pub async fn ready(
                &self,
                interest: coreloop_runtime::io::Interest,
            ) -> std::io::Result<coreloop_runtime::io::Ready> {
                self.stream().ready(interest).await
            }

            /// Waits until a write would probably not wait.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing is written, and readiness stays.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn greet(half: ", $path, "::OwnedWriteHalf) -> std::io::Result<()> {")]
            /// half.writable().await?;
            /// let count = half.try_write(b"hello");
            /// # let _ = count;
            /// # Ok(())
            /// # }
            /// ```
            pub async fn writable(&self) -> std::io::Result<()> {
                self.stream().writable().await
            }

            /// Writes what the system takes now, without waiting.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::try_write`].")]
            pub fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                self.stream().try_write(bytes)
            }

            /// As [`try_write`](Self::try_write), from several buffers in turn.
            ///
            /// # Errors
            ///
            #[doc = concat!("Those of [`", stringify!($stream), "::try_write`].")]
            pub fn try_write_vectored(&self, buffers: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.stream().try_write_vectored(buffers)
            }

            /// The address of this end.
            ///
            /// # Errors
            ///
            /// Those of the system call.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                self.stream().local_addr()
            }

            /// The address of the other end.
            ///
            /// # Errors
            ///
            /// Those of the system call.
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                self.stream().peer_addr()
            }
        }
    };
}

pub(crate) use {reading_half, writing_half};
