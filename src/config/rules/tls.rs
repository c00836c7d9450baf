//! What the keys of `[tls]` mean together.

use std::path::Path;

use crate::config::problem::Problem;
use crate::config::reading::Reading;
use crate::tls::Demand;

/// A certificate has a key, and the other way round; a response of OCSP belongs to a certificate.
pub(super) fn certificate_and_key(reading: &Reading) -> Vec<Problem> {
    let (certificate, key, staple) = ("tls.certificate", "tls.key", "tls.staple");
    let Some(tls) = &reading.config.tls else { return Vec::new() };
    let Some(pair) = tls.certificates.first().filter(|_| !has_entries(reading)) else {
        return Vec::new();
    };
    if reading.is_refused(&[certificate, key, staple]) {
        return Vec::new();
    }
    let has = [&pair.certificate, &pair.key].map(|path| *path != Path::new(""));
    let (set, unset) = match has {
        [true, false] => (certificate, key),
        [false, true] => (key, certificate),
        [false, false] if pair.staple.is_some() => (staple, certificate),
        _ => return Vec::new(),
    };
    let Some(span) = reading.site(set, 0) else { return Vec::new() };
    vec![
        Problem::error(format!("`{set}` is set without `{unset}`"))
            .about(set)
            .at(span, "one is of no use without the other")
            .help(format!("add `{}` to [tls]", unset.trim_start_matches("tls."))),
    ]
}

/// One certificate in `[tls]`, or several in sections of their own.
pub(super) fn one_form_of_certificates(reading: &Reading) -> Vec<Problem> {
    if !has_entries(reading) {
        return Vec::new();
    }
    let stray = ["tls.key", "tls.staple"].into_iter();
    let stray = stray.filter_map(|path| Some((path, reading.site(path, 0)?)));
    stray
        .map(|(path, span)| {
            Problem::error(format!("`{path}` belongs to no certificate"))
                .about(path)
                .at(span, "the certificates stand in [[tls.certificate]]")
                .help("move it into the section of its certificate")
        })
        .collect()
}

/// Certificates of clients need an authority, and what judges them needs certificates of clients.
pub(super) fn clients_have_authorities(reading: &Reading) -> Vec<Problem> {
    let (demand, file, directory, list) = (
        "tls.client_certificates",
        "tls.client_ca_file",
        "tls.client_ca_directory",
        "tls.client_crl_file",
    );
    let Some(tls) = &reading.config.tls else { return Vec::new() };
    if reading.is_refused(&[demand, file, directory, list]) {
        return Vec::new();
    }
    let clients = &tls.clients;
    if clients.demand != Demand::None {
        let has_authority = clients.ca_file.is_some() || clients.ca_dir.is_some();
        let Some(span) = reading.site(demand, 0).filter(|_| !has_authority) else {
            return Vec::new();
        };
        return vec![
            Problem::error("certificates of clients are asked for, and none could pass")
                .about(demand)
                .at(span, "no authority is named that could have issued one")
                .help("add `client_ca_file` to [tls]"),
        ];
    }
    let idle = [
        (file, clients.ca_file.is_some()),
        (directory, clients.ca_dir.is_some()),
        (list, clients.crl_file.is_some()),
    ];
    let idle = idle.into_iter().filter(|(_, is_set)| *is_set);
    idle.filter_map(|(path, _)| {
        Some(
            Problem::error(format!("`{path}` has no effect"))
                .about(path)
                .at(reading.site(path, 0)?, "clients are not asked for certificates")
                .help("set `client_certificates = \"request\"` in [tls], or remove this"),
        )
    })
    .collect()
}

fn has_entries(reading: &Reading) -> bool {
    reading.sites.iter().any(|site| site.path.starts_with("tls.certificate."))
}
