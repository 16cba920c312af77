//! What an admin should look at. An alarm that is open is raised again by counting, so that trouble that goes on
//! fills no table; one that was acknowledged goes after some months.

use rusqlite::{Connection, OptionalExtension, params};

use super::wall::Wall;
use super::{Store, StoreError};

/// Acknowledged alarms are kept so long.
const KEPT_MS: i64 = 90 * 24 * 3_600_000;

/// Its names, as the API and the metrics have them.
pub const APP_WROTE_TO_OPTED_OUT: &str = "app-wrote-to-opted-out";
pub const APP_USED_UP_RATE: &str = "app-used-up-rate";
pub const QUALITY_LOW: &str = "quality-low";
pub const ACCOUNT_RESTRICTED: &str = "account-restricted";
pub const ACCOUNT_ALERT: &str = "account-alert";
pub const ACCOUNT_ALERT_CRITICAL: &str = "account-alert-critical";
pub const APP_SILENT: &str = "app-silent";
pub const APP_SILENT_URGENT: &str = "app-silent-urgent";
/// Also while no token is set.
pub const TOKEN_REFUSED: &str = "token-refused";
pub const NUMBER_OFFBOARDED: &str = "number-offboarded";
pub const NUMBER_DISCONNECTED: &str = "number-disconnected";
pub const CONTACTS_MISSING: &str = "contacts-missing";
pub const HISTORY_MISSING: &str = "history-missing";
/// The token sends, but may not read the account's templates.
pub const TEMPLATES_REFUSED: &str = "templates-refused";
/// A webhook spoke of a business that it may not speak of: an alarm of the business whose partner it was, or that has one.
pub const FOREIGN_WEBHOOK: &str = "foreign-webhook";
/// It faults on one event after another, and gets none for a while.
pub const PLUGIN_QUARANTINED: &str = "plugin-quarantined";

/// Whose an alarm is, by its own word, its number or its contact; NULL of one that is about the whole gateway.
pub(super) const BUSINESS: &str =
    "coalesce(alarms.business, (SELECT n.business FROM numbers n WHERE n.id = alarms.number),
     (SELECT k.business FROM contacts k WHERE k.id = alarms.contact))";

/// An alarm as it is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub name: &'static str,
    pub number: Option<String>,
    pub contact: Option<i64>,
    /// Whose it is, where neither of them tells.
    pub business: Option<String>,
    /// The instance's name, when it is about a plugin.
    pub plugin: Option<String>,
    /// The event that raises it; 0 when none does.
    pub seq: i64,
    /// Meta's time of the word that raises it, ms since 1970; 0 where no order matters.
    pub said_ms: i64,
    /// In words without anything personal.
    pub detail: String,
}

impl Alarm {
    /// About a number, or the whole gateway.
    pub(super) fn new(
        name: &'static str,
        number: Option<String>,
        detail: impl Into<String>,
    ) -> Alarm {
        Alarm {
            name,
            number,
            contact: None,
            business: None,
            plugin: None,
            seq: 0,
            said_ms: 0,
            detail: detail.into(),
        }
    }

    pub(super) fn because_of(self, seq: i64) -> Alarm {
        Alarm { seq, ..self }
    }

    pub(super) fn said(self, said_ms: i64) -> Alarm {
        Alarm { said_ms, ..self }
    }

    pub(super) fn of(self, business: String) -> Alarm {
        let business = Some(business);
        Alarm { business, ..self }
    }

    pub(super) fn about(self, contact: Option<i64>) -> Alarm {
        Alarm { contact, ..self }
    }
}

impl Store {
    /// A business's plugin is in quarantine: an alarm, unless it is open.
    pub async fn plugin_quarantined(
        &self,
        business: String,
        plugin: String,
        cause: &str,
        now_ms: i64,
    ) -> Result<Option<Alarm>, StoreError> {
        let detail = format!(
            "plugin {plugin} faults on one event after another; its events wait, one is tried now and then, and a changed plugin or limit is tried at once; the last fault: {cause}"
        );
        let alarm = Alarm {
            plugin: Some(plugin),
            ..Alarm::new(PLUGIN_QUARANTINED, None, detail).of(business)
        };
        self.write(move |connection| Ok(raise(connection, &alarm, now_ms)?.then_some(alarm)))
            .await
    }

    /// It is over, or the plugin no longer runs.
    pub async fn plugin_released(&self, plugin: String, now_ms: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE alarms SET acknowledged_ms = ?3, settled = 1, next_ms = ?3 WHERE name = ?1 AND plugin = ?2 AND acknowledged_ms IS NULL",
                )?
                .execute(params![PLUGIN_QUARANTINED, plugin, now_ms])?;
            Ok(())
        })
        .await
    }

    /// An admin has seen it. False when there is no such alarm that is open.
    pub async fn acknowledge(&self, wall: Wall, id: i64, now_ms: i64) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let changed = connection
                .prepare_cached(&format!(
                    "UPDATE alarms SET acknowledged_ms = ?2, next_ms = NULL WHERE id = ?1 AND acknowledged_ms IS NULL
                     AND (?3 IS NULL OR {BUSINESS} = ?3)",
                ))?
                .execute(params![id, now_ms, wall])?;
            if changed > 0 {
                super::notices::forget_waiting(connection, id)?;
            }
            Ok(changed > 0)
        })
        .await
    }
}

/// What was acknowledged long ago goes.
pub(super) fn forget(connection: &Connection, now_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM alarms WHERE acknowledged_ms < ?1")?
        .execute([now_ms.saturating_sub(KEPT_MS)])?;
    Ok(())
}

/// The alarms of a number with these names have lost their reason: nobody need acknowledge them, and whoever was told
/// hears that too.
pub(super) fn settle(
    connection: &Connection,
    names: &[&str],
    number: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    settle_said(connection, names, number, i64::MAX, now_ms)
}

/// As [`settle`], but for what Meta has raised since it said so.
pub(super) fn settle_said(
    connection: &Connection,
    names: &[&str],
    number: &str,
    said_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    for name in names {
        connection
            .prepare_cached(
                "UPDATE alarms SET acknowledged_ms = ?3, settled = 1, next_ms = ?3
                 WHERE name = ?1 AND number = ?2 AND acknowledged_ms IS NULL AND said_ms <= ?4",
            )?
            .execute(params![name, number, now_ms, said_ms])?;
    }
    Ok(())
}

/// Whether a number's alarm of this name was raised since then, be it open or acknowledged.
pub(super) fn was_raised(
    connection: &Connection,
    name: &str,
    number: &str,
    since_ms: i64,
) -> Result<bool, StoreError> {
    let raised = connection
        .prepare_cached(
            "SELECT 1 FROM alarms WHERE name = ?1 AND number = ?2 AND at_ms >= ?3 LIMIT 1",
        )?
        .query_row(params![name, number, since_ms], |_| Ok(()))
        .optional()?;
    Ok(raised.is_some())
}

/// Raises an alarm; true when it was not open already.
pub(super) fn raise(
    connection: &Connection,
    alarm: &Alarm,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let open: Option<i64> = connection
        .prepare_cached(
            "UPDATE alarms SET times = times + 1, seq = ?4, last_ms = ?5, detail = ?6, said_ms = max(said_ms, ?9)
             WHERE name = ?1 AND coalesce(number, '') = coalesce(?2, '') AND coalesce(contact, 0) = coalesce(?3, 0)
             AND coalesce(business, '') = coalesce(?7, '') AND coalesce(plugin, '') = coalesce(?8, '')
             AND acknowledged_ms IS NULL RETURNING id",
        )?
        .query_row(
            params![
                alarm.name,
                alarm.number,
                alarm.contact,
                alarm.seq,
                now_ms,
                alarm.detail,
                alarm.business,
                alarm.plugin,
                alarm.said_ms
            ],
            |row| row.get(0),
        )
        .optional()?;
    if open.is_some() {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "INSERT INTO alarms (name, number, contact, seq, at_ms, last_ms, detail, next_ms, business, plugin, said_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?5, ?7, ?8, ?9)",
        )?
        .execute(params![
            alarm.name,
            alarm.number,
            alarm.contact,
            alarm.seq,
            now_ms,
            alarm.detail,
            alarm.business,
            alarm.plugin,
            alarm.said_ms
        ])?;
    Ok(true)
}
