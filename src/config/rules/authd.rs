//! Rules about `[[authd.route]]` and `[[authd.listener]]`.

use std::path::Path;

use super::{Problem, Reading};
use crate::auth::DEFAULT_SOCKET;

/// A route for everybody would hide all behind it.
pub(super) fn routes_choose(reading: &Reading) -> Vec<Problem> {
    if reading.is_refused(&["authd.route.realm", "authd.route.service"]) {
        return Vec::new();
    }
    let routes = reading.config.auth.routes.iter().enumerate();
    let open = routes.filter(|(_, route)| route.realms.is_empty() && route.services.is_empty());
    open.filter_map(|(index, _)| {
        let span = reading.site("authd.route.backends", index)?;
        Some(
            Problem::error("a route takes every login")
                .about("authd.route.realm")
                .at(span, "neither `realm` nor `service` stands beside this")
                .help("name a realm or a service, or set `backends` in [authd] instead"),
        )
    })
    .collect()
}

/// Each listener has a name and a socket file of its own.
pub(super) fn listeners_apart(reading: &Reading) -> Vec<Problem> {
    let (name, socket) = ("authd.listener.name", "authd.listener.socket");
    let listeners = &reading.config.saslauthd.listeners;
    let mut problems = Vec::new();
    for (later, listener) in listeners.iter().enumerate() {
        let earlier = |is_same: &dyn Fn(usize) -> bool| (0..later).find(|index| is_same(*index));
        if let Some(span) = reading.site(name, later) {
            let same = earlier(&|index| listeners[index].name == listener.name);
            if let Some(other) = same.and_then(|index| reading.site(name, index)) {
                problems.push(
                    Problem::error("two listeners have the same name")
                        .about(name)
                        .at(span, "the second one")
                        .and(other, "the first one")
                        .help("give each its own name"),
                );
            }
        }
        let Some(span) = reading.site(socket, later) else { continue };
        let same = earlier(&|index| listeners[index].socket == listener.socket);
        let is_default = is_taken(reading, &listener.socket);
        if same.is_none() && !is_default {
            continue;
        }
        let problem = Problem::error("two listeners want the same socket file")
            .about(socket)
            .at(span, "this one is taken")
            .help("give each its own path; the default one is `socket` in [authd]");
        problems.push(match same.and_then(|index| reading.site(socket, index)) {
            Some(other) => problem.and(other, "here"),
            None => problem,
        });
    }
    problems
}

/// Tokens are redeemed at sockets that there are.
pub(super) fn handover_sockets_exist(reading: &Reading) -> Vec<Problem> {
    let (path, config) = ("authd.handover.sockets", &reading.config);
    let is_there = |name: &String| {
        let mut listeners = config.saslauthd.listeners.iter();
        name == DEFAULT_SOCKET || listeners.any(|listener| listener.name == *name)
    };
    let Some(missing) = config.auth.handover.sockets.iter().find(|name| !is_there(name)) else {
        return Vec::new();
    };
    let Some(span) = reading.site(path, 0) else { return Vec::new() };
    if reading.is_refused(&["authd.listener.name"]) {
        return Vec::new();
    }
    vec![
        Problem::error(format!("there is no socket \"{missing}\""))
            .about(path)
            .at(span, "no [[authd.listener]] has this name")
            .help("name a listener, or \"default\" for `socket` in [authd]"),
    ]
}

fn is_taken(reading: &Reading, socket: &Path) -> bool {
    !reading.is_refused(&["authd.socket"]) && reading.config.saslauthd.socket == socket
}
