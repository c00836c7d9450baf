//! Values in filters and in names: what somebody typed stays one value.
//!
//! The two have different rules, and the original has only the first: a login
//! with a comma could leave its place in a name.

/// `value` as the assertion value of a search filter (RFC 4515 §3). Everything
/// but letters, digits and a few marks becomes `\xx`.
#[must_use]
pub fn filter_value(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-+=, ".contains(&byte);
    escaped(value, |_, byte| is_plain(byte))
}

/// `value` as an attribute value in a distinguished name (RFC 4514 §2.4).
#[must_use]
pub fn name_value(value: &str) -> String {
    let last = value.len().saturating_sub(1);
    escaped(value, |at, byte| match byte {
        b' ' => at != 0 && at != last,
        b'#' => at != 0,
        b'"' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\' => false,
        // Outside of ASCII it is UTF-8, which stands as it is.
        _ => byte >= 0x20 && byte != 0x7f,
    })
}

fn escaped(value: &str, is_plain: impl Fn(usize, u8) -> bool) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        if is_plain(at, byte) {
            bytes.push(byte);
        } else {
            bytes.extend_from_slice(format!("\\{byte:02x}").as_bytes());
        }
    }
    // Whole characters were kept or replaced: what is plain beyond ASCII is so byte by byte.
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_value_cannot_leave_its_place() {
        assert_eq!(filter_value("alice@ex.org"), "alice@ex.org");
        assert_eq!(filter_value("*)(uid=*"), "\\2a\\29\\28uid=\\2a");
        assert_eq!(filter_value("a\\2a"), "a\\5c2a");
        assert_eq!(filter_value("a\0b"), "a\\00b");
        assert_eq!(filter_value("\u{fc}"), "\\c3\\bc");
        for byte in 0..=127_u8 {
            let escaped = filter_value(&char::from(byte).to_string());
            assert!(!escaped.contains(['*', '(', ')', '\0', '&', '|', '!', '<', '>', '~', ':']));
        }
    }

    #[test]
    fn a_name_value_cannot_leave_its_place() {
        assert_eq!(name_value("alice@ex.org"), "alice@ex.org");
        assert_eq!(name_value("a,ou=x"), "a\\2cou\\3dx");
        assert_eq!(name_value(" a b "), "\\20a b\\20");
        assert_eq!(name_value("#a#"), "\\23a#");
        assert_eq!(name_value("a\\+\"<>;"), "a\\5c\\2b\\22\\3c\\3e\\3b");
        assert_eq!(name_value("m\u{fc}ller"), "m\u{fc}ller");
        assert_eq!(name_value(" "), "\\20");
        assert_eq!(name_value(""), "");
        for byte in 0..=127_u8 {
            let escaped = name_value(&char::from(byte).to_string());
            assert!(!escaped.contains([',', '+', ';', '=', '"', '<', '>', '\0', '\n']));
        }
    }
}
