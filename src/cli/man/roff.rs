//! A manual page in the making: man(7) macros, text escaped.
//!
//! For pages that no command line describes; those of commands are clap_mangen's.

use super::SOURCE;

/// A page as text.
pub(super) struct Page(String);

impl Page {
    /// The page `name`(`section`), which is about `purpose`.
    pub(super) fn new(name: &str, section: &str, purpose: &str) -> Self {
        let title = name.to_uppercase();
        let mut page = Self(format!(".TH \"{title}\" \"{section}\" \"\" \"{SOURCE}\"\n"));
        page.heading("NAME");
        page.0.push_str(&format!("{} \\- {}\n", escaped(name), escaped(purpose)));
        page
    }

    /// Begins a section.
    pub(super) fn heading(&mut self, text: &str) {
        self.0.push_str(&format!(".SH \"{}\"\n", escaped(text)));
    }

    /// A paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.0.push_str(&format!(".PP\n{}\n", escaped(text)));
    }

    /// A term and what it means.
    pub(super) fn item(&mut self, term: &str, text: &str) {
        self.0.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escaped(term), escaped(text)));
    }

    /// Lines that stay as they are.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.0.push_str(&format!(".PP\n.nf\n{}\n.fi\n", escaped(text.trim_end())));
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Text as roff takes it: no line of it is a request, no backslash an escape.
fn escaped(text: &str) -> String {
    let plain = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    let lines: Vec<String> = plain
        .lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.into() })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_a_request_or_an_escape() {
        assert_eq!(escaped(".so /etc/shadow\n'x\na\\fB -c \"q\""), {
            "\\&.so /etc/shadow\n\\&'x\na\\efB \\-c \\(dqq\\(dq"
        });
    }
}
