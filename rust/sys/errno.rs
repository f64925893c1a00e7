// SPDX-License-Identifier: GPL-2.0

//! Error codes that the `kernel` crate has no constants for.

use crate::bindings;
use kernel::error::Error;

macro_rules! errno {
    ($($(#[$doc:meta])* $name:ident = $code:ident,)*) => {
        $(
            $(#[$doc])*
            pub fn $name() -> Error {
                Error::from_errno(-(bindings::$code as i32))
            }
        )*
    };
}

errno! {
    /// Operation not supported.
    eopnotsupp = EOPNOTSUPP,
    /// Not connected.
    enotconn = ENOTCONN,
    /// No buffer space.
    enobufs = ENOBUFS,
    /// Connected already.
    eisconn = EISCONN,
    /// In use.
    eaddrinuse = EADDRINUSE,
    /// Protocol not available.
    enoprotoopt = ENOPROTOOPT,
    /// No room in the message.
    emsgsize = EMSGSIZE,
}
