// SPDX-License-Identifier: GPL-2.0

//! What a KUnit suite in Rust needs: a table of its tests where the kernel looks for it, and expectations.
//!
//! A test is a function of a [`Test`]. An expectation that fails is reported and the test goes on, so that
//! destructors run; [`require!`](crate::require) leaves the test.

use core::fmt;
use kernel::bindings::kunit;
use kernel::ffi::{c_char, c_int};
use kernel::str::CString;

extern "C" {
    fn mptcp_kunit_fail(test: *mut kunit, file: *const c_char, line: c_int, what: *const c_char);
}

/// The test that is running.
pub struct Test(*mut kunit);

impl Test {
    /// The test that KUnit has called us with.
    ///
    /// # Safety
    ///
    /// `test` is the running test.
    pub unsafe fn from_raw(test: *mut kunit) -> Test {
        Test(test)
    }

    /// Reports a failure. The test goes on.
    pub fn fail(&self, file: &'static kernel::str::CStr, line: u32, what: fmt::Arguments<'_>) {
        let text = CString::try_from_fmt(what).ok();
        let text = text.as_deref().unwrap_or(kernel::c_str!("failed"));
        // SAFETY: the test is running, and the texts are strings.
        unsafe {
            mptcp_kunit_fail(
                self.0,
                file.as_char_ptr(),
                line as c_int,
                text.as_char_ptr(),
            )
        }
    }
}

/// Expects a condition to hold.
#[macro_export]
macro_rules! expect {
    ($test:expr, $condition:expr) => {
        if !$condition {
            $test.fail(
                kernel::c_str!(::core::file!()),
                ::core::line!(),
                format_args!("    expected {}\n", stringify!($condition)),
            );
        }
    };
}

/// Expects two values to be equal.
#[macro_export]
macro_rules! expect_eq {
    ($test:expr, $left:expr, $right:expr) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            $test.fail(
                kernel::c_str!(::core::file!()),
                ::core::line!(),
                format_args!(
                    "    expected {} == {}, but\n    {left:?} != {right:?}\n",
                    stringify!($left),
                    stringify!($right)
                ),
            );
        }
    }};
}

/// The value in an `Ok` or `Some`; without one, the test has failed and is left.
#[macro_export]
macro_rules! require {
    ($test:expr, $value:expr) => {
        match $value.into_iter().next() {
            Some(value) => value,
            None => {
                $test.fail(
                    kernel::c_str!(::core::file!()),
                    ::core::line!(),
                    format_args!("    no value: {}\n", stringify!($value)),
                );
                return;
            }
        }
    };
}

/// A suite's name as the kernel wants it.
pub const fn suite_name(name: &str) -> [c_char; 256] {
    let bytes = name.as_bytes();
    let mut array = [0; 256];
    let mut i = 0;
    while i < bytes.len() && i < 255 {
        array[i] = bytes[i];
        i += 1;
    }
    array
}

/// Makes a suite of the functions named in it.
#[macro_export]
macro_rules! suite {
    ($name:literal: $($test:ident),+ $(,)?) => {
        const _: () = {
            use kernel::bindings::{kunit, kunit_case, kunit_suite};

            $(mod $test {
                /// # Safety
                ///
                /// Called by KUnit with the running test.
                pub(super) unsafe extern "C" fn run(test: *mut kernel::bindings::kunit) {
                    // SAFETY: KUnit calls with the running test.
                    super::$test(unsafe { &$crate::framework::Test::from_raw(test) });
                }
            })+

            // SAFETY: all zero is what C leaves in the fields that are not named.
            const NONE: kunit_case = unsafe { ::core::mem::zeroed() };
            static mut CASES: [kunit_case; [$(stringify!($test)),+].len() + 1] = [
                $(kunit_case {
                    run_case: Some($test::run),
                    name: ::core::concat!(stringify!($test), "\0").as_ptr(),
                    ..NONE
                },)+
                NONE,
            ];
            static mut SUITE: kunit_suite = kunit_suite {
                name: $crate::framework::suite_name($name),
                test_cases: ::core::ptr::addr_of_mut!(CASES).cast(),
                // SAFETY: as above.
                ..unsafe { ::core::mem::zeroed() }
            };

            #[repr(transparent)]
            struct Entry(*mut kunit_suite);
            // SAFETY: the kernel alone uses it, one suite at a time.
            unsafe impl Sync for Entry {}

            #[used]
            #[link_section = ".kunit_test_suites"]
            static ENTRY: Entry = Entry(::core::ptr::addr_of_mut!(SUITE));

            // The type is named for its layout alone.
            const _: Option<*mut kunit> = None;
        };
    };
}
