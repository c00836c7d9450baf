//! What every service does between its start and its end: say that it is ready,
//! read its configuration again when told to, say that it stops.

use tokio_util::sync::CancellationToken;

use super::signals::{Signals, Wish};
use crate::config::Config;
use crate::ops::systemd;

/// Lives until a signal asks for the end, or until `stop` is cancelled, which
/// it is afterwards in any case; the caller drains.
///
/// `read` reads the configuration again, and gives its problems as text.
/// `reload` takes it over, and names what only a restart changes; where it
/// fails, nothing was changed. A bad file or a failure is said, and the old
/// configuration stays in force.
pub(super) async fn live(
    mut signals: Signals,
    stop: &CancellationToken,
    read: impl Fn() -> Result<Config, String>,
    reload: impl Fn(&Config) -> Result<Vec<&'static str>, String>,
) {
    tokio::spawn(systemd::feed_watchdog(stop.clone()));
    systemd::ready("serving");
    while stop.run_until_cancelled(signals.next()).await == Some(Wish::Reload) {
        systemd::reloading();
        tell(read().and_then(|config| reload(&config)));
        systemd::ready("serving");
    }
    tracing::info!("stopping: nothing new is taken, what is under way is finished");
    systemd::stopping();
    stop.cancel();
}

fn tell(reloaded: Result<Vec<&'static str>, String>) {
    match reloaded {
        Ok(kept) if kept.is_empty() => tracing::info!("reloaded"),
        Ok(kept) => tracing::warn!(
            "reloaded, but what changed here only comes with a restart: {}",
            kept.join(", ")
        ),
        Err(problems) => {
            tracing::error!("reload refused, the old configuration stays in force:");
            for line in problems.lines().filter(|line| !line.trim().is_empty()) {
                tracing::error!("{line}");
            }
        }
    }
}
