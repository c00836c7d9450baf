//! The binding to libpam: what we call, and no more.
//!
//! Linux-PAM's stable ABI (`security/pam_appl.h`). Linked by the name of the
//! library file, so that building needs no development package. Only
//! `saslgate-pam` calls these, so only `saslgate-pam` has libpam in its NEEDED
//! list. `pam_start_confdir` came with Linux-PAM 1.4 (2020). Used by
//! `transaction` alone, which makes them safe.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// `pam_handle_t`: libpam's own.
#[repr(C)]
pub(super) struct Handle {
    opaque: [u8; 0],
    not_ours: PhantomData<(*mut u8, PhantomPinned)>,
}

/// `struct pam_message`.
#[repr(C)]
pub(super) struct Message {
    pub(super) style: c_int,
    pub(super) text: *const c_char,
}

/// `struct pam_response`; `text` is from `malloc` and becomes the module's.
#[repr(C)]
pub(super) struct Response {
    pub(super) text: *mut c_char,
    pub(super) unused: c_int,
}

/// The conversation function. Linux-PAM gives `messages` as an array of `count` pointers.
pub(super) type Converse = unsafe extern "C" fn(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    appdata: *mut c_void,
) -> c_int;

/// `struct pam_conv`; libpam copies it.
#[repr(C)]
pub(super) struct Conversation {
    pub(super) converse: Option<Converse>,
    pub(super) appdata: *mut c_void,
}

/// What `PAM_FAIL_DELAY` points to.
pub(super) type FailDelay = extern "C" fn(result: c_int, micros: c_uint, appdata: *mut c_void);

pub(super) const PAM_USER: c_int = 2;
pub(super) const PAM_TTY: c_int = 3;
pub(super) const PAM_RHOST: c_int = 4;
pub(super) const PAM_RUSER: c_int = 8;
pub(super) const PAM_FAIL_DELAY: c_int = 10;

pub(super) const PAM_PROMPT_ECHO_OFF: c_int = 1;
pub(super) const PAM_PROMPT_ECHO_ON: c_int = 2;
pub(super) const PAM_ERROR_MSG: c_int = 3;
pub(super) const PAM_TEXT_INFO: c_int = 4;

/// Modules shall not print; accounts without a password shall not pass.
pub(super) const PAM_SILENT: c_int = 0x8000;
/// See [`PAM_SILENT`].
pub(super) const PAM_DISALLOW_NULL_AUTHTOK: c_int = 0x0001;

#[link(name = "libpam.so.0", kind = "dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    pub(super) fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        handle: *mut *mut Handle,
    ) -> c_int;
    pub(super) fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        directory: *const c_char,
        handle: *mut *mut Handle,
    ) -> c_int;
    pub(super) fn pam_set_item(handle: *mut Handle, item: c_int, value: *const c_void) -> c_int;
    pub(super) fn pam_get_item(
        handle: *const Handle,
        item: c_int,
        value: *mut *const c_void,
    ) -> c_int;
    pub(super) fn pam_authenticate(handle: *mut Handle, flags: c_int) -> c_int;
    pub(super) fn pam_acct_mgmt(handle: *mut Handle, flags: c_int) -> c_int;
    pub(super) fn pam_strerror(handle: *mut Handle, code: c_int) -> *const c_char;
    pub(super) fn pam_end(handle: *mut Handle, status: c_int) -> c_int;
}
