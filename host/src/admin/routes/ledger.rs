use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use duet_rules::ledger::{Compared, Counts, Difference, differences, summary};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{MetaId, Params};
use crate::store::views::Days;

/// Ids that are listed.
const LISTED_MAX: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LedgerQuery {
    /// The first day, in UTC, by the time of arrival; from the beginning if absent.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day.
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// Also asks Meta for its own record of the number.
    meta: Option<bool>,
}

/// What came of a number's messages, and whether it adds up.
#[derive(Serialize, ToSchema)]
pub(super) struct Ledger {
    number: String,
    adds_up: bool,
    /// The whole of it in a sentence or two.
    summary: String,
    differences: Vec<Gap>,
    /// Of the whole gateway, and so not for a token of one business.
    receipts: Option<LedgerReceipts>,
    arrived: LedgerArrived,
    events: LedgerEvents,
    plugins: Vec<LedgerPlugin>,
    sends: LedgerSends,
    /// Absent unless Meta was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<LedgerMeta>,
}

/// Two sides of an account that should be one.
#[derive(Serialize, ToSchema)]
struct Gap {
    place: String,
    expected: i64,
    found: i64,
}

/// Webhooks of the whole gateway and of all days.
#[derive(Serialize, ToSchema)]
struct LedgerReceipts {
    accepted: i64,
    kept: i64,
    /// Gone with their time.
    aged: i64,
    waiting: i64,
    unreadable: i64,
}

#[derive(Serialize, ToSchema)]
struct LedgerArrived {
    /// Webhooks that held something of this number.
    receipts: i64,
    elements: i64,
    /// Elements that Meta had sent before, and late statuses of erased messages.
    repeated: i64,
    /// New events by their kind; of statuses by what they say.
    kinds: BTreeMap<String, i64>,
}

#[derive(Serialize, ToSchema)]
struct LedgerEvents {
    new: i64,
    /// Made here, when an admin or an agent acted.
    own: i64,
    kept: i64,
    erased: i64,
    aged: i64,
    /// Statuses, files, edits and revocations whose message has not come yet, of all days.
    early: i64,
}

/// What a plugin did with the events.
#[derive(Serialize, ToSchema)]
struct LedgerPlugin {
    name: String,
    done: i64,
    /// Not wanted by the plugin, or erased before it saw them.
    skipped: i64,
    waiting: i64,
    /// Attempts after which there was another one.
    retried: i64,
    dead: i64,
    /// Dead letters that somebody had handled again.
    redriven: i64,
    /// Dead letters that are there now.
    dead_letters: i64,
    /// Events from before the plugin was added.
    before: i64,
}

#[derive(Serialize, ToSchema)]
struct LedgerSends {
    made: i64,
    erased: i64,
    fates: Vec<LedgerFate>,
    /// Dead letters of sends that are there now.
    dead_letters: i64,
}

#[derive(Serialize, ToSchema)]
struct LedgerFate {
    /// As in the outbox.
    state: String,
    /// The gate's cause, else Meta's code.
    cause: Option<String>,
    count: i64,
}

/// Meta's own record of the number, as far as Meta gives it.
#[derive(Serialize, ToSchema)]
struct LedgerMeta {
    /// `read`, `not-offered` for this number, or `unknown`: Meta could not be asked.
    state: &'static str,
    reason: Option<String>,
    /// Messages that were looked at, and whether Meta has more.
    messages: i64,
    more: bool,
    /// Messages that Meta knows and Duet does not, and the ids of the first 100.
    missing: usize,
    missing_ids: Vec<String>,
    /// The first 100 messages of which Meta could not deliver a webhook.
    undelivered: Vec<LedgerUndelivered>,
}

#[derive(Serialize, ToSchema)]
struct LedgerUndelivered {
    id: String,
    /// `failed` or `retrying`.
    state: &'static str,
}

/// What came of a number's messages: webhooks, events, plugins, sends, and whether it adds up.
#[utoipa::path(get, path = "/numbers/{id}/ledger", params(("id" = String, Path), LedgerQuery), responses(
    (status = 200, body = Ledger),
    (status = 404, description = "There is no such number"),
))]
pub(super) async fn ledger(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(id): MetaId,
    Params(query): Params<LedgerQuery>,
) -> Result<Json<Ledger>, ApiError> {
    let (from, to) = (
        day("from", query.from.as_deref())?,
        day("to", query.to.as_deref())?,
    );
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(ApiError::parameter("to: is a day before from"));
    }
    let days = Days::between(from, to);
    if !app.store.number_is_known(&wall, &id).await? {
        return Err(ApiError::not_found("there is no such number"));
    }
    // Meta first: what is counted after its answer may be more, never less.
    let meta = match query.meta {
        Some(true) => Some(app.operations.message_history(id.clone()).await?),
        _ => None,
    };
    let whole = wall.is_none();
    let page = app.store.ledger(wall, id.clone(), days).await?;
    let page = page.ok_or_else(|| ApiError::not_found("there is no such number"))?;
    let shaped = shape(id, &page.counts, page.rest, meta.as_ref());
    Ok(Json(Ledger {
        receipts: shaped.receipts.filter(|_| whole),
        ..shaped
    }))
}

/// The start of a day that is given as a date, or as any time of it.
fn day(name: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let date = text.parse::<Date>().ok();
    let start = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let time = start.map(|start| start.timestamp());
    let time = time.or_else(|| text.parse::<Timestamp>().ok());
    time.map(|time| Some(time.as_millisecond()))
        .ok_or_else(|| ApiError::parameter(format!("{name}: must be a day such as 2026-11-23")))
}

fn shape(
    number: String,
    counts: &Counts,
    rest: Vec<Difference>,
    meta: Option<&Compared>,
) -> Ledger {
    let summary = summary(counts, &rest, meta);
    let gaps = differences(counts);
    let lost = meta.map_or(0, Compared::lost);
    Ledger {
        number,
        adds_up: gaps.is_empty() && rest.is_empty() && lost == 0,
        summary,
        differences: gaps.into_iter().chain(rest).map(gap).collect(),
        receipts: Some(LedgerReceipts {
            accepted: counts.receipts.accepted,
            kept: counts.receipts.kept,
            aged: counts.receipts.aged,
            waiting: counts.receipts.waiting,
            unreadable: counts.receipts.unreadable,
        }),
        arrived: LedgerArrived {
            receipts: counts.arrived.receipts,
            elements: counts.arrived.elements,
            repeated: counts.arrived.repeated,
            kinds: counts.arrived.kinds.clone(),
        },
        events: LedgerEvents {
            new: counts.events.new,
            own: counts.events.own,
            kept: counts.events.kept,
            erased: counts.events.erased,
            aged: counts.events.aged,
            early: counts.events.early,
        },
        plugins: plugins(counts),
        sends: sends(counts),
        meta: meta.map(asked),
    }
}

fn gap(gap: Difference) -> Gap {
    Gap {
        place: gap.place,
        expected: gap.expected,
        found: gap.found,
    }
}

fn plugins(counts: &Counts) -> Vec<LedgerPlugin> {
    let plugins = counts.plugins.iter().map(|plugin| LedgerPlugin {
        name: plugin.name.clone(),
        done: plugin.done,
        skipped: plugin.skipped(&counts.events),
        waiting: plugin.waiting,
        retried: plugin.retried,
        dead: plugin.dead,
        redriven: plugin.redriven,
        dead_letters: plugin.letters,
        before: plugin.before,
    });
    plugins.collect()
}

fn sends(counts: &Counts) -> LedgerSends {
    let fates = counts.sends.fates.iter();
    let fates = fates.map(|((state, cause), count)| LedgerFate {
        state: state.clone(),
        cause: (!cause.is_empty()).then(|| cause.clone()),
        count: *count,
    });
    LedgerSends {
        made: counts.sends.made,
        erased: counts.sends.erased,
        fates: fates.collect(),
        dead_letters: counts.sends.letters,
    }
}

fn asked(meta: &Compared) -> LedgerMeta {
    let without = |state, reason: &str| LedgerMeta {
        state,
        reason: Some(reason.to_owned()),
        messages: 0,
        more: false,
        missing: 0,
        missing_ids: Vec::new(),
        undelivered: Vec::new(),
    };
    match meta {
        Compared::NotOffered(reason) => without("not-offered", reason),
        Compared::Unknown(reason) => without("unknown", reason),
        Compared::Read {
            messages,
            more,
            missing,
            undelivered,
        } => LedgerMeta {
            state: "read",
            reason: None,
            messages: *messages,
            more: *more,
            missing: missing.len(),
            missing_ids: missing.iter().take(LISTED_MAX).cloned().collect(),
            undelivered: undelivered
                .iter()
                .take(LISTED_MAX)
                .map(|(id, state)| LedgerUndelivered {
                    id: id.clone(),
                    state,
                })
                .collect(),
        },
    }
}
