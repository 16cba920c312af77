use anyhow::{Context, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::Ended;
use crate::admin::RootToken;
use crate::config::{Flags, Problem, Secrets, Settings, Sources, admin_token, environment};
use crate::gateway;
use crate::outbound::{Reach, client};
use crate::store::make_folder;
use crate::telemetry::{Traces, start_logs};

const DATA_REMEDY: &str = "name a folder that this user can write with --data or DUET_DATA";

/// Runs the gateway until SIGINT or SIGTERM.
pub(super) async fn serve(flags: Flags) -> anyhow::Result<Ended> {
    let (sources, mut problems) = Sources::read(&flags, &environment);
    let settings = Settings::resolve(&sources)
        .map_err(|refused| problems.extend(refused))
        .ok();
    let secrets = Secrets::resolve(&sources)
        .map_err(|refused| problems.extend(refused))
        .ok();
    refuse(problems)?;
    let (Some(settings), Some(secrets)) = (settings, secrets) else {
        bail!("the settings are not whole")
    };
    let traces = match settings.otlp_url.as_str() {
        "" => None,
        url => Some(Traces::new(url, client(Reach::Anywhere)?)?),
    };
    start_logs(settings.log, &settings.log_level, traces.as_ref())?;

    make_folder(&settings.data).with_context(|| {
        let data = settings.data.display();
        format!("cannot make the data folder {data}; {DATA_REMEDY}")
    })?;
    let root = root_token(&settings, &secrets)?;
    let ended = gateway::run(&settings, &secrets, root, stopped()?).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    ended.map(|()| Ended::Done)
}

fn root_token(settings: &Settings, secrets: &Secrets) -> anyhow::Result<RootToken> {
    let (token, path) =
        admin_token(secrets.admin_token.clone(), &settings.data).with_context(|| {
            let data = settings.data.display();
            format!("cannot use {data}/admin-token; {DATA_REMEDY}")
        })?;
    if let Some(path) = path {
        tracing::info!(path = %path.display(), "DUET_ADMIN_TOKEN is not set; the admin token is in this file");
    }
    RootToken::new(&token).ok_or_else(|| anyhow!("the system gives no random bytes"))
}

/// Ends when somebody asks the process to stop.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Fails with all problems, one on a line.
pub(super) fn refuse(problems: Vec<Problem>) -> anyhow::Result<()> {
    match problems.is_empty() {
        true => Ok(()),
        false => {
            let lines: Vec<_> = problems
                .iter()
                .map(|problem| format!("\n  {problem}"))
                .collect();
            Err(anyhow!("the settings cannot be used:{}", lines.concat()))
        }
    }
}

pub(super) fn given<T>(resolved: Result<T, Vec<Problem>>) -> anyhow::Result<T> {
    match resolved {
        Ok(value) => Ok(value),
        Err(problems) => {
            refuse(problems)?;
            bail!("the settings are not whole")
        }
    }
}
