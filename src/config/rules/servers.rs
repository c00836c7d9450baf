//! Rules about the servers that backends ask across a network.

use super::{is_local_host, without_effect};
use crate::backend::rimap::Security;
use crate::config::problem::Problem;
use crate::config::reading::Reading;

/// Passwords leave this host in clear only if somebody said so.
pub(super) fn passwords_stay_private(reading: &Reading) -> Vec<Problem> {
    let rimap = &reading.config.rimap;
    let keys = ["rimap.server", "rimap.tls", "rimap.allow_clear_text"];
    let is_good = rimap.security != Security::None
        || rimap.is_clear_allowed
        || rimap.host.is_empty()
        || is_local_host(&rimap.host);
    let Some(span) = reading.site("rimap.server", 0).filter(|_| !is_good) else {
        return Vec::new();
    };
    if reading.is_refused(&keys) {
        return Vec::new();
    }
    vec![
        Problem::error("passwords would leave this host in clear")
            .about("rimap.tls")
            .at(span, "not on this host")
            .help(
                "set `tls = \"starttls\"` or `\"implicit\"` in [rimap], or \
                 `allow_clear_text = true` if the network is yours alone",
            ),
    ]
}

/// A certificate is looked at only where there is one.
pub(super) fn certificates_need_tls(reading: &Reading) -> Vec<Problem> {
    let rimap = &reading.config.rimap;
    if rimap.security != Security::None || reading.is_refused(&["rimap.tls"]) {
        return Vec::new();
    }
    let set = [
        ("rimap.ca_file", rimap.ca_file.is_some()),
        ("rimap.server_name", rimap.server_name.is_some()),
    ];
    let help = "set `tls = \"starttls\"` or `\"implicit\"` in [rimap], or remove this";
    without_effect(reading, 0, set, help)
}

/// One place says where the form goes.
pub(super) fn one_source_of_the_form(reading: &Reading) -> Vec<Problem> {
    if reading.config.httpform.config.is_none() {
        return Vec::new();
    }
    let Some(config) = reading.site("httpform.config", 0) else { return Vec::new() };
    ["httpform.url", "httpform.form"]
        .into_iter()
        .filter_map(|path| {
            let span = reading.site(path, 0)?;
            Some(
                Problem::error(format!("`{path}` and `httpform.config` are both set"))
                    .about(path)
                    .at(span, "the file says this already")
                    .and(config.clone(), "this file")
                    .help("remove one of the two"),
            )
        })
        .collect()
}
