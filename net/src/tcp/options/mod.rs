//! The options of TCP sockets, one file for each topic.
//!
//! `options!` writes each option as a method of every type that is named before the list. An
//! option exists on the systems on which socket2 has it.

/// Defines methods that get or set an option, for each type named. The first argument is the
/// name of the socket in the body.
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
            /// Returns an error if the system call fails.
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

/// Converts a size to the type of tokio's methods.
fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
