//! The options of sockets: one list for each concern, for all types that have it.
//!
//! `options!` writes each option as a method of every type that is named before
//! the list. Which systems have an option is as in socket2.

/// Methods that get or set an option, of each type named. The first argument is
/// what the body calls the socket.
macro_rules! options {
    (@of $type:ident {$(
        $(#[$attribute:meta])*
        fn $name:ident($socket:ident $(, $argument:ident: $given:ty)?) -> $value:ty $body:block
    )*}) => {
        impl $type {$(
            $(#[$attribute])*
            ///
            /// # Errors
            ///
            /// Those of the system call.
            pub fn $name(&self $(, $argument: $given)?) -> std::io::Result<$value> {
                let $socket = socket2::SockRef::from(self);
                $body
            }
        )*}
    };
    ($($type:ident),+ => $list:tt) => {
        $(options! { @of $type $list })+
    };
}

mod binding;
mod buffers;
mod liveness;
mod packets;
mod segments;

/// A size as the system counts it, in the type of tokio's methods.
fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
