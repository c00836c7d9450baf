//! The escapes of `tests/dialog/*.txt`, for both of their runners: the program's
//! (`tests/gate_dialog.rs`) and the state machine's (`src/gate/session/tests.rs`,
//! which includes this file by its path).

/// `\xNN` as that byte, `\r` and `\n` as CR and LF, `{text*N}` as N times the text.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (bytes, length) = escape(rest)
            .unwrap_or_else(|| (rest.as_bytes()[..c.len_utf8()].to_vec(), c.len_utf8()));
        out.extend(bytes);
        rest = &rest[length..];
    }
    out
}

/// The escape at the start of `text`: what it stands for, and its length.
fn escape(text: &str) -> Option<(Vec<u8>, usize)> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return Some((vec![u8::from_str_radix(hex.get(..2)?, 16).ok()?], 4));
    }
    if let Some(inner) = text.strip_prefix('{') {
        let (inner, _) = inner.split_once('}')?;
        let (word, count) = inner.split_once('*')?;
        return Some((word.repeat(count.parse().ok()?).into_bytes(), inner.len() + 2));
    }
    let byte = match text.get(..2)? {
        "\\r" => b'\r',
        "\\n" => b'\n',
        _ => return None,
    };
    Some((vec![byte], 2))
}
