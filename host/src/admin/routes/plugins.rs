use std::collections::HashMap;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::Params;
use crate::admin::operations::PluginReport;
use crate::admin::page::limit;
use crate::admin::shape::Time;
use crate::dispatch::Calls;
use crate::dispatch::status::{CanaryCounts, CanaryStanding, Shadow};
use crate::store::views::Troubles;
use crate::store::wall::Wall;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PluginQuery {
    /// Plugins whose names come later.
    after: Option<String>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// An instance of plugins.toml.
#[derive(Serialize, ToSchema)]
struct Plugin {
    name: String,
    /// Whose plugin it is; empty for the gateway's own business.
    business: String,
    /// `loading`, `ready`, `waiting` (a system that it calls is down, and events that need it wait), `quarantined` (it
    /// has faulted on many events and gets none for a while), `disabled` or `rejected`.
    state: String,
    version: Option<String>,
    /// SHA-256 of the component, hex.
    digest: Option<String>,
    /// Why it is not running, why its calls get no token, what it waits for, or why the last change was not taken.
    cause: Option<String>,
    /// In quarantine or waiting: when one event is tried.
    tried_at: Option<Time>,
    /// Under `promote = "shadow"`: what came of the last version that was to take over.
    shadow: Option<PluginShadow>,
    /// Where its outside systems may call now, on the public listener: `/hooks/crm/tickets`.
    hooks: Vec<String>,
    /// Another version for a share of the conversations; what it has done is counted in `events` and `calls`, too.
    canary: Option<PluginCanary>,
    /// Timers that it has set and that have not fired.
    timers: i64,
    events: PluginEvents,
    calls: PluginCalls,
}

/// A version that was run over kept runs before it took over, as numbers of runs.
#[derive(Serialize, ToSchema)]
struct PluginShadow {
    at: Time,
    version: String,
    /// SHA-256 of the component, hex.
    digest: String,
    same: usize,
    differs: usize,
    /// With one of these it did not take over.
    faults: usize,
    /// They could not be repeated.
    skipped: usize,
}

impl From<Shadow> for PluginShadow {
    fn from(shadow: Shadow) -> PluginShadow {
        PluginShadow {
            at: Time::new(shadow.at_ms),
            version: shadow.version,
            digest: shadow.digest,
            same: shadow.same,
            differs: shadow.differs,
            faults: shadow.faults,
            skipped: shadow.skipped,
        }
    }
}

/// Another version of a plugin beside the live one.
#[derive(Serialize, ToSchema)]
struct PluginCanary {
    /// `running`, `same` (its component is the live one), `withdrawn` (it could not do what the live version could, or was
    /// rolled back) or `refused` (it does not load).
    state: &'static str,
    /// Of the conversations, as plugins.toml has it.
    percent: u8,
    version: Option<String>,
    /// SHA-256 of the component, hex.
    digest: Option<String>,
    /// Why it has no conversations, or why the last change was not taken.
    cause: Option<String>,
    events: CanaryEvents,
    calls: PluginCalls,
}

#[derive(Serialize, ToSchema)]
struct CanaryEvents {
    /// Done since it has begun or the gateway was started.
    done: u64,
    /// Attempts since then that asked for another one.
    retried: u64,
    /// Attempts since then that trapped or broke a limit.
    faults: u64,
    /// Events since then that it could not do and that went to the live version.
    left: u64,
}

impl From<CanaryStanding> for PluginCanary {
    fn from(canary: CanaryStanding) -> PluginCanary {
        let CanaryCounts { counts, left } = &*canary.counts;
        PluginCanary {
            state: canary.state.word(),
            percent: canary.percent,
            version: canary.version,
            digest: canary.digest,
            cause: canary.cause,
            events: CanaryEvents {
                done: counts.done.load(Ordering::Relaxed),
                retried: counts.retried.load(Ordering::Relaxed),
                faults: counts.faults.load(Ordering::Relaxed),
                left: left.load(Ordering::Relaxed),
            },
            calls: counts.calls.calls().into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct PluginEvents {
    /// Done since the gateway started.
    done: u64,
    /// Attempts since then that asked for another one.
    retried: u64,
    /// Attempts since then that trapped or broke a limit.
    faults: u64,
    /// Among the dead letters now.
    dead: i64,
    /// Waiting for another attempt now.
    waiting: i64,
    /// Seen and not done.
    depth: u64,
}

/// What its calls took since the gateway started; one event may take several.
#[derive(Serialize, ToSchema)]
struct PluginCalls {
    count: u64,
    /// Time in which it computed, us.
    cpu_us: u64,
    /// From the start of each call to its end, us, taken together.
    wall_us: u64,
    /// Of the last 512 calls: half of them took no longer.
    wall_p50_us: Option<u64>,
    /// 99 of 100 took no longer.
    wall_p99_us: Option<u64>,
    /// The most memory that one call held.
    memory_peak_bytes: u64,
    /// Calls of the host's functions.
    host_calls: u64,
    /// Among them, those to outside systems.
    http_calls: u64,
}

impl From<Calls> for PluginCalls {
    fn from(calls: Calls) -> PluginCalls {
        PluginCalls {
            count: calls.count,
            cpu_us: calls.cpu_us,
            wall_us: calls.wall_us,
            wall_p50_us: calls.wall_p50_us,
            wall_p99_us: calls.wall_p99_us,
            memory_peak_bytes: calls.memory_peak_bytes,
            host_calls: calls.host_calls,
            http_calls: calls.http_calls,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct PluginList {
    plugins: Vec<Plugin>,
    next: String,
}

/// The plugins, in the order of their names.
#[utoipa::path(get, path = "/plugins", params(PluginQuery), responses((status = 200, body = PluginList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<PluginQuery>,
) -> Result<Json<PluginList>, ApiError> {
    let limit = limit(query.limit)?;
    let reports = app.operations.plugins().await?;
    let reports = reports
        .into_iter()
        .filter(|report| wall.shows(&report.business))
        .map(|report| before(&wall, report))
        .collect();
    shape(&app, reports, query.after.unwrap_or_default(), limit).await
}

/// Reads plugins.toml and all components again. What does not load keeps its old self and tells its cause.
#[utoipa::path(post, path = "/plugins/reload", responses((status = 200, body = PluginList)))]
pub(super) async fn reload(State(app): State<App>) -> Result<Json<PluginList>, ApiError> {
    let reports = app.operations.reload().await?;
    shape(&app, reports, String::new(), u32::MAX).await
}

/// The report without what a file that cannot be used says of others.
fn before(wall: &Wall, report: PluginReport) -> PluginReport {
    if wall.is_none() || !report.of_file {
        return report;
    }
    PluginReport {
        cause: Some(
            "plugins.toml cannot be used as it is now; the gateway's admin sees why".into(),
        ),
        ..report
    }
}

async fn shape(
    app: &App,
    mut reports: Vec<PluginReport>,
    after: String,
    limit: u32,
) -> Result<Json<PluginList>, ApiError> {
    let troubles = app.store.troubles().await?;
    reports.sort_by(|one, other| one.name.cmp(&other.name));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let plugins: Vec<_> = reports
        .into_iter()
        .filter(|report| report.name > after)
        .take(limit)
        .map(|report| plugin(report, &troubles))
        .collect();
    let next = plugins.last().map_or(after, |plugin| plugin.name.clone());
    Ok(Json(PluginList { plugins, next }))
}

fn plugin(report: PluginReport, troubles: &HashMap<String, Troubles>) -> Plugin {
    let Troubles {
        waiting,
        dead,
        timers,
    } = troubles.get(&report.name).copied().unwrap_or_default();
    Plugin {
        name: report.name,
        business: report.business,
        state: report.state,
        version: report.version,
        digest: report.digest,
        cause: report.cause,
        tried_at: Time::maybe(report.tried_ms),
        shadow: report.shadow.map(Into::into),
        hooks: report.hooks,
        canary: report.canary.map(Into::into),
        timers,
        events: PluginEvents {
            done: report.done,
            retried: report.retried,
            faults: report.faults,
            dead,
            waiting,
            depth: report.depth,
        },
        calls: report.calls.into(),
    }
}
