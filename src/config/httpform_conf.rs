//! What the original's httpform takes from `/etc/saslauthd.conf`.
//!
//! `httpform_uri` and `httpform_data` must be there; host and port are
//! localhost and 80 by default. Of several lines with a key the first counts.

use std::path::Path;

use super::file;
use super::problem::{Problem, Problems};
use super::saslauthd_conf::SaslauthdConf;
use crate::backend::httpform::{Target, Template};

/// Reads the file at `path`: where the form goes, and the form.
///
/// # Errors
/// Every problem of the file, each with its place.
pub fn read(path: &Path) -> Result<(Target, Template), Problems> {
    let source = file::read(path)?;
    understand(&source).map_err(|problems| Problems::new(path, &source, problems))
}

fn understand(source: &str) -> Result<(Target, Template), Vec<Problem>> {
    let conf = SaslauthdConf::parse(source)?;
    let mut problems = Vec::new();
    let target = target(&conf).map_err(|problem| problems.push(*problem)).ok();
    let form = form(&conf).map_err(|problem| problems.push(*problem)).ok();
    target.zip(form).ok_or(problems)
}

fn target(conf: &SaslauthdConf<'_>) -> Result<Target, Box<Problem>> {
    let value = |key: &str, usual| conf.first(key).map_or(usual, |entry| entry.value.trim_end());
    let port = match conf.first("httpform_port") {
        None => 80,
        // A name of /etc/services, for what it can only be.
        Some(entry) if entry.value.trim_end() == "http" => 80,
        Some(entry) => entry.number(1..=65_535)?,
    };
    let uri = conf.first("httpform_uri").ok_or_else(|| missing("httpform_uri", "/login"))?;
    let host = value("httpform_host", "localhost");
    let brackets = if host.contains(':') { ["[", "]"] } else { ["", ""] };
    let path = uri.value.trim_end();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("http://{}{host}{}:{port}{slash}{path}", brackets[0], brackets[1]);
    let entry = conf.first("httpform_host").unwrap_or(uri);
    Target::parse(&url).map_err(|reason| Box::new(entry.refused(&format!("{url}: {reason}"))))
}

fn form(conf: &SaslauthdConf<'_>) -> Result<Template, Box<Problem>> {
    let data = conf.first("httpform_data");
    let data = data.ok_or_else(|| missing("httpform_data", "user=%u&pass=%p"))?;
    Template::parse(data.value).map_err(|reason| Box::new(data.refused(reason)))
}

fn missing(key: &str, example: &str) -> Box<Problem> {
    let problem = Problem::error(format!("`{key}` is missing")).about(key);
    Box::new(problem.help(format!("add a line such as {key}: {example}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_original_reads() {
        let source = "ldap_servers: ldap://x/\nhttpform_host: 127.0.0.1\nhttpform_port: 8080\n\
                      httpform_uri: /cgi-bin/login\nhttpform_data: u=%u&p=%p&r=%r\nhttpform_port: 1\n";
        let (target, form) = understand(source).unwrap();
        assert_eq!(target.to_string(), "http://127.0.0.1:8080/cgi-bin/login");
        assert_eq!(form, Template::parse("u=%u&p=%p&r=%r").unwrap());
        let (target, _) =
            understand("httpform_host: ::1\nhttpform_uri: x\nhttpform_data: %u%p").unwrap();
        assert_eq!(target.to_string(), "http://[::1]/x");
        let (target, _) = understand("httpform_uri: /x\nhttpform_data: %u%p").unwrap();
        assert_eq!(target.to_string(), "http://localhost/x");
    }

    #[test]
    fn names_every_problem() {
        let problems = |source| understand(source).unwrap_err().len();
        assert_eq!(problems(""), 2);
        assert_eq!(problems("httpform_uri: /x\n"), 1);
        assert_eq!(problems("httpform_uri: /x\nhttpform_data: u=%u\n"), 1);
        assert_eq!(problems("httpform_port: x\nhttpform_uri: /x\nhttpform_data: %u%p\n"), 1);
        assert_eq!(problems("httpform_host: a b\nhttpform_uri: /x\nhttpform_data: %u%p\n"), 1);
    }
}
