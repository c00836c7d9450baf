//! One PAM transaction, safely: start, items, authenticate, account, end.
//!
//! The order and the flags are saslauthd's (authenticate, then acct_mgmt, both
//! silent; no credentials, no session), with what it lacks: no null passwords,
//! the items that modules log or decide by, no delay after a failure (the
//! caller's floor does that without holding a process), and the user read
//! again after success, because modules may map it. Called by `worker`.

use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};

use super::dialogue::{Dialogue, converse};
use super::ipc::{Ask, Report};
use super::outcome::{Stage, code};
use super::sys;
use crate::base::Secret;

const FLAGS: c_int = sys::PAM_SILENT | sys::PAM_DISALLOW_NULL_AUTHTOK;

/// Asks libpam whether `password` proves `ask.user` to `service`.
///
/// Items: `PAM_RHOST` if the client's address is known (never empty: pam_access
/// would take that for an origin); `PAM_RUSER`; `PAM_TTY` is the service, so
/// that pam_access without an address sees the same origin as it did under
/// saslauthd 2.1.28. Service files are read from `directory` if given, else
/// from libpam's own places.
pub(super) fn judge(
    service: &str,
    ask: &Ask,
    password: &Secret,
    directory: Option<&CStr>,
) -> Report {
    let mut report = Report {
        id: ask.id,
        stage: Stage::Start,
        code: code::BUF_ERR,
        is_last: false,
        user: String::new(),
        text: String::new(),
        messages: Vec::new(),
    };
    let started = dialogue(ask, password)
        .and_then(|dialogue| Transaction::start(service, dialogue, directory));
    let mut transaction = match started {
        Ok(transaction) => transaction,
        Err(code) => {
            report.code = code;
            report.text = describe(code);
            return report;
        }
    };
    let result = transaction.run(service, ask, &mut report.stage);
    report.code = result.as_ref().map_or_else(|code| *code, |_| code::SUCCESS);
    report.text = describe(report.code);
    report.user = result.unwrap_or_default();
    report.messages = transaction.dialogue().take_heard();
    report
}

/// Keeps the modules of a service loaded while it lives: libpam unloads them
/// with the last handle, and loading costs more than most verifications.
pub(super) struct Warm(#[expect(dead_code, reason = "held for its Drop")] Transaction);

impl Warm {
    /// Loads the modules of `service`; `None` if libpam cannot.
    pub(super) fn up(service: &str, directory: Option<&CStr>) -> Option<Self> {
        let nothing = Secret::new(Vec::new()).ok()?;
        let nobody = Dialogue::new(c"nobody".to_owned(), &nothing);
        Transaction::start(service, nobody, directory).ok().map(Self)
    }
}

fn dialogue(ask: &Ask, password: &Secret) -> Result<Dialogue, c_int> {
    Ok(Dialogue::new(c_string(&ask.user)?, password))
}

fn c_string(text: &str) -> Result<CString, c_int> {
    CString::new(text).map_err(|_| code::BAD_ITEM)
}

/// An open handle.
struct Transaction {
    handle: NonNull<sys::Handle>,
    /// From `Box::into_raw`; libpam holds the same pointer as its appdata.
    dialogue: NonNull<Dialogue>,
    /// Result of the last step, for the clean-up functions of modules.
    last: c_int,
}

impl Transaction {
    fn start(service: &str, dialogue: Dialogue, directory: Option<&CStr>) -> Result<Self, c_int> {
        let service = c_string(service)?;
        let user = dialogue.user().to_owned();
        let dialogue = NonNull::from(Box::leak(Box::new(dialogue)));
        let conversation =
            sys::Conversation { converse: Some(converse), appdata: dialogue.as_ptr().cast() };
        let (service, user) = (service.as_ptr(), user.as_ptr());
        let mut handle = ptr::null_mut();
        let result = match directory {
            Some(directory) => {
                // SAFETY: C strings and a conversation that live for the call, which copies them.
                unsafe {
                    sys::pam_start_confdir(
                        service,
                        user,
                        &raw const conversation,
                        directory.as_ptr(),
                        &raw mut handle,
                    )
                }
            }
            None => {
                // SAFETY: as above.
                unsafe { sys::pam_start(service, user, &raw const conversation, &raw mut handle) }
            }
        };
        match NonNull::new(handle) {
            Some(handle) if result == code::SUCCESS => Ok(Self { handle, dialogue, last: result }),
            _ => {
                // SAFETY: from Box::leak above; libpam has failed and keeps no copy.
                drop(unsafe { Box::from_raw(dialogue.as_ptr()) });
                Err(if result == code::SUCCESS { code::BUF_ERR } else { result })
            }
        }
    }

    /// Runs all steps; `stage` tells how far it came. Gives the user as PAM has it at the end.
    fn run(&mut self, service: &str, ask: &Ask, stage: &mut Stage) -> Result<String, c_int> {
        self.set_items(service, ask)?;
        *stage = Stage::Authenticate;
        // SAFETY: an open handle.
        self.step(|handle| unsafe { sys::pam_authenticate(handle, FLAGS) })?;
        *stage = Stage::Account;
        // SAFETY: an open handle.
        self.step(|handle| unsafe { sys::pam_acct_mgmt(handle, FLAGS) })?;
        self.user()
    }

    fn set_items(&mut self, service: &str, ask: &Ask) -> Result<(), c_int> {
        let no_delay: sys::FailDelay = no_delay;
        let no_delay = no_delay as *const c_void;
        // SAFETY: an open handle, and for this item libpam takes the function pointer itself.
        self.step(|handle| unsafe { sys::pam_set_item(handle, sys::PAM_FAIL_DELAY, no_delay) })?;
        self.set(sys::PAM_TTY, service)?;
        if let Some(address) = ask.rhost {
            self.set(sys::PAM_RHOST, &address.to_canonical().to_string())?;
        }
        if !ask.ruser.is_empty() {
            self.set(sys::PAM_RUSER, &ask.ruser)?;
        }
        Ok(())
    }

    fn set(&mut self, item: c_int, text: &str) -> Result<(), c_int> {
        let text = c_string(text)?;
        let text = text.as_ptr().cast();
        // SAFETY: an open handle, and a C string, which libpam copies.
        self.step(|handle| unsafe { sys::pam_set_item(handle, item, text) })
    }

    fn step(&mut self, call: impl FnOnce(*mut sys::Handle) -> c_int) -> Result<(), c_int> {
        self.last = call(self.handle.as_ptr());
        if self.last == code::SUCCESS { Ok(()) } else { Err(self.last) }
    }

    /// The user as PAM has it now. No name, or one that is not UTF-8, fails closed.
    fn user(&mut self) -> Result<String, c_int> {
        let mut item: *const c_void = ptr::null();
        // SAFETY: an open handle and room for a pointer.
        self.step(|handle| unsafe { sys::pam_get_item(handle, sys::PAM_USER, &raw mut item) })?;
        if item.is_null() {
            return Err(code::BAD_ITEM);
        }
        // SAFETY: libpam's copy of the name; lives until the item is set again, which we do not.
        let name = unsafe { CStr::from_ptr(item.cast()) };
        let name = name.to_str().map_err(|_| code::BAD_ITEM)?;
        if name.is_empty() { Err(code::BAD_ITEM) } else { Ok(name.to_owned()) }
    }

    fn dialogue(&self) -> &Dialogue {
        // SAFETY: lives until Drop, and nobody borrows it mutably.
        unsafe { self.dialogue.as_ref() }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: an open handle, which nobody uses after this.
        unsafe { sys::pam_end(self.handle.as_ptr(), self.last) };
        // SAFETY: from Box::leak in `start`; the handle that pointed to it is gone.
        drop(unsafe { Box::from_raw(self.dialogue.as_ptr()) });
    }
}

/// Takes the place of the sleep after a failure (pam_fail_delay(3)).
extern "C" fn no_delay(_result: c_int, _micros: c_uint, _appdata: *mut c_void) {}

/// What libpam calls `code`.
fn describe(code: c_int) -> String {
    // SAFETY: Linux-PAM does not look at the handle.
    let text = unsafe { sys::pam_strerror(ptr::null_mut(), code) };
    if text.is_null() {
        return format!("code {code}");
    }
    // SAFETY: a static C string of libpam.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
