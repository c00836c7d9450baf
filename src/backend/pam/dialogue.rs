//! The conversation: what modules ask, and what they are told.
//!
//! A prompt without echo gets the password, one with echo the user name;
//! messages are kept, bounded, for the log and never fail a login. Anything
//! else is a conversation error. Called by libpam, on behalf of a module, while
//! `transaction` waits in `pam_authenticate` or `pam_acct_mgmt`.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};

use zeroize::{Zeroize, Zeroizing};

use super::outcome::code;
use super::{ipc, sys};
use crate::base::Secret;

/// Most messages in one call (`PAM_MAX_NUM_MSG`).
const MAX_PROMPTS: usize = 32;

/// What one conversation knows and has heard.
pub(super) struct Dialogue {
    user: CString,
    /// Ends with its only NUL.
    password: Zeroizing<Vec<u8>>,
    heard: RefCell<Vec<String>>,
}

impl Dialogue {
    /// A conversation for `user` with `password`.
    pub(super) fn new(user: CString, password: &Secret) -> Self {
        let secret = password.expose();
        // Room for all of it, so that no reallocation leaves a copy behind.
        let mut password = Zeroizing::new(Vec::with_capacity(secret.len() + 1));
        password.extend_from_slice(secret);
        password.push(0);
        Self { user, password, heard: RefCell::new(Vec::new()) }
    }

    /// Who it is for.
    pub(super) fn user(&self) -> &CStr {
        &self.user
    }

    /// Takes what modules had to say: at most [`ipc::MAX_MESSAGES`] texts.
    pub(super) fn take_heard(&self) -> Vec<String> {
        self.heard.take()
    }

    fn hear(&self, text: &CStr) {
        let Ok(mut heard) = self.heard.try_borrow_mut() else { return };
        if heard.len() == ipc::MAX_MESSAGES {
            return;
        }
        let password = self.password.strip_suffix(b"\0").unwrap_or_default();
        let gives_away =
            !password.is_empty() && memchr::memmem::find(text.to_bytes(), password).is_some();
        heard.push(if gives_away {
            "(a message that contains the password)".to_owned()
        } else {
            ipc::cut(&text.to_string_lossy()).to_owned()
        });
    }

    /// What to answer to one message: text, nothing, or an error.
    fn answer(&self, message: &sys::Message) -> Result<Option<&CStr>, c_int> {
        match message.style {
            sys::PAM_PROMPT_ECHO_OFF => {
                CStr::from_bytes_with_nul(&self.password).map(Some).map_err(|_| code::CONV_ERR)
            }
            sys::PAM_PROMPT_ECHO_ON => Ok(Some(&self.user)),
            sys::PAM_ERROR_MSG | sys::PAM_TEXT_INFO => {
                if !message.text.is_null() {
                    // SAFETY: the module passes a C string that lives for this call (pam_conv(3)).
                    self.hear(unsafe { CStr::from_ptr(message.text) });
                }
                Ok(None)
            }
            _ => Err(code::CONV_ERR),
        }
    }

    fn answer_all(
        &self,
        messages: &[*const sys::Message],
        replies: &mut [sys::Response],
    ) -> Result<(), c_int> {
        for (message, reply) in messages.iter().zip(replies) {
            // SAFETY: each is null or points to a message that lives for this call (pam_conv(3)).
            let message = unsafe { message.as_ref() }.ok_or(code::CONV_ERR)?;
            if let Some(text) = self.answer(message)? {
                reply.text = c_copy(text)?;
            }
        }
        Ok(())
    }
}

/// The conversation function for libpam. `appdata` is a [`Dialogue`].
///
/// # Safety
/// As pam_conv(3): `messages` points to `count` pointers to messages,
/// `responses` to where the answer goes, and `appdata` is what was given to
/// `pam_start`: a `Dialogue` that outlives the handle.
pub(super) unsafe extern "C" fn converse(
    count: c_int,
    messages: *mut *const sys::Message,
    responses: *mut *mut sys::Response,
    appdata: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    let is_whole = !messages.is_null() && !responses.is_null() && !appdata.is_null();
    if !is_whole || !(1..=MAX_PROMPTS).contains(&count) {
        return code::CONV_ERR;
    }
    // SAFETY: the caller's contract; a Dialogue is only ever borrowed shared.
    let dialogue = unsafe { &*appdata.cast::<Dialogue>() };
    // SAFETY: the caller's contract; null was excluded above.
    let messages = unsafe { std::slice::from_raw_parts(messages, count) };
    // SAFETY: calloc has no preconditions. libpam's side frees it with free(3).
    let array = unsafe { libc::calloc(count, size_of::<sys::Response>()) }.cast::<sys::Response>();
    if array.is_null() {
        return code::BUF_ERR;
    }
    // SAFETY: calloc gave room for `count`, and all-zero bytes are a Response without text.
    let replies = unsafe { std::slice::from_raw_parts_mut(array, count) };
    if let Err(error) = dialogue.answer_all(messages, replies) {
        replies.iter_mut().for_each(|reply| discard(reply.text));
        // SAFETY: `array` is from calloc above, and nobody else has seen it.
        unsafe { libc::free(array.cast()) };
        return error;
    }
    // SAFETY: not null, and the caller's contract says it may be written.
    unsafe { responses.write(array) };
    code::SUCCESS
}

/// Copies `text` to memory that C may free.
fn c_copy(text: &CStr) -> Result<*mut c_char, c_int> {
    let bytes = text.to_bytes_with_nul();
    // SAFETY: calloc has no preconditions.
    let copy = unsafe { libc::calloc(bytes.len(), 1) }.cast::<u8>();
    if copy.is_null() {
        return Err(code::BUF_ERR);
    }
    // SAFETY: calloc gave this many bytes, which nothing else refers to.
    unsafe { copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(copy.cast())
}

/// Wipes and frees an answer that was not handed over.
fn discard(text: *mut c_char) {
    if text.is_null() {
        return;
    }
    // SAFETY: `text` is from `c_copy`: a C string.
    let len = unsafe { libc::strlen(text) };
    // SAFETY: `len` bytes from `text` on are ours alone.
    unsafe { std::slice::from_raw_parts_mut(text.cast::<u8>(), len) }.zeroize();
    // SAFETY: `text` is from calloc, and this is its only owner.
    unsafe { libc::free(text.cast()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    fn dialogue() -> Dialogue {
        Dialogue::new(c"alice".to_owned(), &Secret::copied_from(b"s3cret").unwrap())
    }

    /// Calls `converse` as libpam does; gives the code and the answers.
    fn ask(dialogue: &Dialogue, prompts: &[(c_int, &CStr)]) -> (c_int, Vec<Option<String>>) {
        let messages: Vec<sys::Message> = prompts
            .iter()
            .map(|(style, text)| sys::Message { style: *style, text: text.as_ptr() })
            .collect();
        let mut pointers: Vec<*const sys::Message> = messages.iter().map(ptr::from_ref).collect();
        let mut array = ptr::null_mut();
        let count = c_int::try_from(pointers.len()).unwrap();
        let appdata = ptr::from_ref(dialogue).cast_mut().cast();
        // SAFETY: all as pam_conv(3) wants it.
        let result = unsafe { converse(count, pointers.as_mut_ptr(), &raw mut array, appdata) };
        if array.is_null() {
            return (result, Vec::new());
        }
        // SAFETY: an answer has one element a prompt.
        let replies = unsafe { std::slice::from_raw_parts_mut(array, prompts.len()) };
        let texts = replies.iter().map(|reply| {
            // SAFETY: null or a C string.
            (!reply.text.is_null())
                .then(|| unsafe { CStr::from_ptr(reply.text) }.to_str().unwrap().to_owned())
        });
        let texts = texts.collect();
        replies.iter().for_each(|reply| discard(reply.text));
        // SAFETY: from calloc.
        unsafe { libc::free(array.cast()) };
        (result, texts)
    }

    #[test]
    fn miri_answers_each_style_as_it_should() {
        let dialogue = dialogue();
        let (code, answers) = ask(
            &dialogue,
            &[
                (sys::PAM_TEXT_INFO, c"welcome"),
                (sys::PAM_PROMPT_ECHO_OFF, c"Password: "),
                (sys::PAM_PROMPT_ECHO_ON, c"Name: "),
                (sys::PAM_ERROR_MSG, c"beware"),
            ],
        );
        assert_eq!(code, code::SUCCESS);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(answers, [None, some("s3cret"), some("alice"), None]);
        assert_eq!(dialogue.take_heard(), ["welcome", "beware"]);
    }

    #[test]
    fn miri_refuses_an_unknown_style_and_leaves_no_array_behind() {
        let prompts = [(sys::PAM_PROMPT_ECHO_OFF, c"Password: "), (7, c"binary")];
        assert_eq!(ask(&dialogue(), &prompts), (code::CONV_ERR, Vec::new()));
    }

    #[test]
    fn miri_refuses_none_and_too_many_prompts() {
        let prompt = (sys::PAM_PROMPT_ECHO_OFF, c"Password: ");
        assert_eq!(ask(&dialogue(), &[]).0, code::CONV_ERR);
        assert_eq!(ask(&dialogue(), &[prompt; MAX_PROMPTS + 1]).0, code::CONV_ERR);
        assert_eq!(ask(&dialogue(), &[prompt; MAX_PROMPTS]).0, code::SUCCESS);
    }

    #[test]
    fn keeps_few_messages_and_none_with_the_password() {
        let dialogue = dialogue();
        let (code, _) = ask(&dialogue, &[(sys::PAM_TEXT_INFO, c"you typed s3cret!"); 20]);
        assert_eq!(code, code::SUCCESS);
        let heard = dialogue.take_heard();
        assert_eq!(heard.len(), ipc::MAX_MESSAGES);
        assert!(heard.iter().all(|text| !text.contains("s3cret")));
    }
}
