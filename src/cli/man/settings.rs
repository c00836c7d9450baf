//! saslgate.toml(5), made from the table of keys.

use super::roff::Page;
use crate::config::keys::{self, Form};

/// The page.
pub(super) fn page() -> String {
    let mut page = Page::new("saslgate.toml", "5", "configuration of saslgate");
    page.heading("SYNOPSIS");
    page.verbatim("/etc/saslgate/saslgate.toml");
    page.heading("DESCRIPTION");
    page.paragraph(
        "A TOML file. Every key has a default, an empty file is a working one, and a file with a \
         mistake is refused as a whole: saslgate check shows every mistake with its place, \
         saslgate config KEY explains one key and says what is in force.",
    );
    page.paragraph(
        "A duration is a whole number and a unit (\"500ms\", \"30s\", \"5m\", \"1h\"); a size is \
         one with B, KiB, MiB or GiB, or a plain number of bytes.",
    );
    for section in keys::SECTIONS {
        page.heading(&section.header());
        page.paragraph(section.text);
        for key in section.keys {
            let default = match (key.default, &section.form) {
                (Some(default), _) => format!("default {default}"),
                (None, Form::Once | Form::Repeated(_)) => "must be given".to_owned(),
            };
            let name = format!("{}.{}", section.name, key.name);
            page.item(&name, &format!("{} ({}; {default})", key.text, key.kind.expected()));
        }
    }
    page.heading("FILES");
    page.item("/etc/saslgate/saslgate.toml", "the file that is read unless another is named");
    page.heading("SEE ALSO");
    page.paragraph("saslgate(8), saslauthd(8)");
    page.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_it() {
        let page = page();
        for (section, key) in keys::all() {
            let name = format!("\\fB{}.{}\\fR", section.name, key.name);
            assert!(page.contains(&name), "{name}");
        }
    }
}
