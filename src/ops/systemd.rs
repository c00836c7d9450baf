//! Talks to the service manager: readiness, reload, watchdog, inherited sockets.
