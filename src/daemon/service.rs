//! What every service does between its start and its end: say that it is ready,
//! read its configuration again when told to, say that it stops.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::files_watch::FilesWatch;
use super::signals::{Signals, Wish};
use crate::config::Config;
use crate::ops::systemd;

/// The configuration file is read when nothing has happened to it for this long.
const QUIET: Duration = Duration::from_millis(100);

/// Lives until a signal asks for the end, or until `stop` is cancelled, which
/// it is afterwards in any case; the caller drains.
///
/// `read` reads the configuration again, and gives its problems as text; a
/// change of the `watched` file asks for that as a signal does.
/// `reload` takes it over, and names what only a restart changes; where it
/// fails, nothing was changed. A bad file or a failure is said, and the old
/// configuration stays in force.
pub(super) async fn live(
    mut signals: Signals,
    stop: &CancellationToken,
    watched: Option<&Path>,
    read: impl Fn() -> Result<Config, String>,
    reload: impl Fn(&Config) -> Result<Vec<&'static str>, String>,
) {
    tokio::spawn(systemd::feed_watchdog(stop.clone()));
    let mut file = watched.map(|file| FilesWatch::new(vec![file.to_owned()], QUIET));
    systemd::ready("serving");
    while stop.run_until_cancelled(wish(&mut signals, file.as_mut())).await == Some(Wish::Reload) {
        systemd::reloading();
        tell(read().and_then(|config| reload(&config)));
        systemd::ready("serving");
    }
    tracing::info!("stopping: nothing new is taken, what is under way is finished");
    systemd::stopping();
    stop.cancel();
}

/// The next wish, of a signal or of a file that changed.
async fn wish(signals: &mut Signals, file: Option<&mut FilesWatch>) -> Wish {
    let Some(file) = file else { return signals.next().await };
    tokio::select! {
        wish = signals.next() => wish,
        () = file.changed() => {
            tracing::info!("the configuration file has changed");
            Wish::Reload
        }
    }
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
