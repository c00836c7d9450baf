//! `[policy]`: what the rules about clients and users have in common.

use super::{Form, Section};

pub(super) const SECTION: Section = Section {
    name: "policy",
    form: Form::Once,
    text: "Who may send what through the gate. Without any of it, every user who has logged in \
           may send as whom and as much as he likes.",
    keys: &[],
};
