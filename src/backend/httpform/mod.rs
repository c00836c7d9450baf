//! The backend `httpform`: a password is right if a web application says so.
//!
//! As saslauthd's: a POST with a form that is made of a template, 200 or 204 for
//! yes, 403 for no. Unlike there, with TLS, over kept connections, with forms of
//! any length, 401 for no as well, and with everything else an outage. A web
//! application does not say whether a user exists: put it last in a chain.
//!
//! | file | what |
//! |---|---|
//! | `template` | the form, with its placeholders filled in and encoded |
//! | `target` | the URL |
//! | `connections` | kept connections and one exchange over them |
//! | `verify` | the backend: what a status means |

mod connections;
mod settings;
mod target;
mod template;
#[cfg(test)]
mod tests;
mod verify;

pub use settings::Settings;
pub use target::Target;
pub use template::{Template, Values};
pub use verify::{HttpForm, HttpFormError};
