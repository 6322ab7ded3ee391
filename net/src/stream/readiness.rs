//! What a socket has ready: waiting for it, looking at it, and taking it without
//! waiting. All of it by a shared reference.

/// Waiting for readiness, for any socket called `$path`; `$try_read` and
/// `$try_write` are its methods for the examples.
macro_rules! readiness {
    ($socket:ty, $path:literal, $try_read:literal, $try_write:literal) => {
        impl $socket {
            /// Waits until one of the things of `interest` is ready, and says which are.
            ///
            /// Any number of tasks may wait. It may complete too early, so follow it with
            /// an operation that does not wait, in a loop.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing is transferred, and readiness stays.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn wait(socket: ", $path, ") -> std::io::Result<()> {")]
            /// use coreloop::io::Interest;
            ///
            /// let ready = socket.ready(Interest::READABLE | Interest::WRITABLE).await?;
            /// println!("to read: {}, to write: {}", ready.is_readable(), ready.is_writable());
            /// # Ok(())
            /// # }
            /// ```
            pub async fn ready(
                &self,
                interest: coreloop_runtime::io::Interest,
            ) -> std::io::Result<coreloop_runtime::io::Ready> {
                self.io.ready(interest).await
            }

            /// Waits until the socket probably has something to read.
            ///
            /// Any number of tasks may wait. It may complete too early, so follow it with
            /// an operation that does not wait, in a loop.
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
            #[doc = concat!("# async fn read(socket: ", $path, ") -> std::io::Result<usize> {")]
            /// let mut buffer = [0; 1024];
            /// loop {
            ///     socket.readable().await?;
            #[doc = concat!("    match socket.", $try_read, "(&mut buffer) {")]
            ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            ///         result => return result,
            ///     }
            /// }
            /// # }
            /// ```
            pub async fn readable(&self) -> std::io::Result<()> {
                self.io.readable().await
            }

            /// Waits until the socket probably takes something to send. The counterpart of
            /// [`readable`](Self::readable).
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
            #[doc = concat!("# async fn write(socket: ", $path, ") -> std::io::Result<usize> {")]
            /// loop {
            ///     socket.writable().await?;
            #[doc = concat!("    match socket.", $try_write, "(b\"hello\") {")]
            ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            ///         result => return result,
            ///     }
            /// }
            /// # }
            /// ```
            pub async fn writable(&self) -> std::io::Result<()> {
                self.io.writable().await
            }

            /// Does an operation on the descriptor, without waiting, if its readiness is
            /// not known to be wanting.
            ///
            /// `operation` does a system call on this socket, and returns
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) only if that did. The loop
            /// then takes it that nothing of `interest` is ready until the system says so.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock), without calling `operation`
            /// where the loop knows; else what `operation` returns.
            pub fn try_io<R>(
                &self,
                interest: coreloop_runtime::io::Interest,
                operation: impl FnOnce() -> std::io::Result<R>,
            ) -> std::io::Result<R> {
                self.io.try_io(interest, |_| operation())
            }

            /// Does an operation on the descriptor, when it can be done.
            ///
            /// `operation` is as for [`try_io`](Self::try_io). It is called again, whenever
            /// something of `interest` is ready, until it returns anything but
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock). Any number of tasks may wait.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing is lost, if `operation` loses nothing when it would
            /// block.
            ///
            /// # Errors
            ///
            /// What `operation` returns, or if the runtime is gone.
            pub async fn async_io<R>(
                &self,
                interest: coreloop_runtime::io::Interest,
                mut operation: impl FnMut() -> std::io::Result<R>,
            ) -> std::io::Result<R> {
                self.io.async_io(interest, |_| operation()).await
            }
        }
    };
}

/// Peeking, trying and polling, for a byte stream called `$path`.
macro_rules! stream_readiness {
    ($stream:ty, $path:literal) => {
        impl $stream {
            /// Reads some bytes without taking them: the next read gets them again.
            ///
            /// `Ok(0)` means that the peer will send no more, or that `buffer` is empty.
            /// Any number of tasks may peek, though the stream is shared.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: no bytes are taken.
            ///
            /// # Errors
            ///
            /// Those of [`read`](Self::read).
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn sniff(mut stream: ", $path, ") -> std::io::Result<()> {")]
            /// let mut first = [0; 1];
            /// let is_tls = stream.peek(&mut first).await? == 1 && first[0] == 0x16;
            /// # let _ = is_tls;
            /// # Ok(())
            /// # }
            /// ```
            pub async fn peek(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                $crate::stream::transfer::peek(self, buffer).await
            }

            /// Polls for bytes to [`peek`](Self::peek) at. Only the task that polled this
            /// or a read last is woken.
            ///
            /// # Errors
            ///
            /// Those of [`read`](Self::read).
            pub fn poll_peek(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::stream::transfer::poll_peek(self, cx, buffer)
            }

            /// Polls as [`readable`](Self::readable) awaits. Only the task that polled
            /// this or a read last is woken.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            pub fn poll_read_ready(
                &self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.io.poll_readable(cx)
            }

            /// Polls as [`writable`](Self::writable) awaits. Only the task that polled
            /// this or a write last is woken.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            pub fn poll_write_ready(
                &self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.io.poll_writable(cx)
            }

            /// Reads what is there now, without waiting.
            ///
            /// `Ok(0)` means that the peer will send no more, or that `buffer` is empty.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if nothing is there; otherwise
            /// those of [`read`](Self::read).
            pub fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                $crate::stream::transfer::try_read(self, buffer)
            }

            /// As [`try_read`](Self::try_read), into several buffers in turn.
            ///
            /// # Errors
            ///
            /// Those of [`try_read`](Self::try_read).
            pub fn try_read_vectored(
                &self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                $crate::stream::transfer::try_read_vectored(self, buffers)
            }

            /// Writes what the system takes now, without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if it takes nothing; otherwise
            /// those of [`write`](Self::write).
            pub fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                $crate::stream::transfer::try_write(self, bytes)
            }

            /// As [`try_write`](Self::try_write), from several buffers in turn.
            ///
            /// # Errors
            ///
            /// Those of [`try_write`](Self::try_write).
            pub fn try_write_vectored(
                &self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                $crate::stream::transfer::try_write_vectored(self, buffers)
            }
        }
    };
}

pub(crate) use {readiness, stream_readiness};
