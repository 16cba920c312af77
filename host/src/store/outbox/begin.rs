//! The last gate before a send: the rule of `rules::sending` on what the tables say now.

use duet_rules::sending::{
    Addressee, ConversationState, Handling, Row, Speaker, Verdict, gate, kind,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::{Gate, Outgoing, StoreError, head_of};

/// A pending row with all that the gate looks at.
struct Candidate {
    instance: String,
    seq: i64,
    conversation: i64,
    speaker: Speaker,
    message: String,
    next_ms: i64,
    attempt: u32,
    place: Option<Place>,
}

/// The conversation of a row, with its contact and number.
struct Place {
    number: String,
    handling: Handling,
    handling_until_ms: Option<i64>,
    handling_seq: i64,
    handling_by: Option<String>,
    window_until_ms: Option<i64>,
    wa_id: Option<String>,
    user_id: Option<String>,
    marketing_stopped: bool,
    number_state: Option<String>,
}

impl Place {
    fn state(&self) -> ConversationState<'_> {
        ConversationState {
            handling: self.handling,
            handling_until_ms: self.handling_until_ms,
            handling_seq: self.handling_seq,
            handling_by: self.handling_by.as_deref(),
            window_until_ms: self.window_until_ms,
            marketing_stopped: self.marketing_stopped,
            number_state: self.number_state.as_deref(),
        }
    }
}

pub(super) fn begin(connection: &Connection, id: i64, now_ms: i64) -> Result<Gate, StoreError> {
    let Some(row) = candidate(connection, id)? else {
        return Ok(Gate::Gone);
    };
    if head_of(connection, row.conversation)?.is_some_and(|head| head.id != id) {
        return Ok(Gate::Behind);
    }
    if row.next_ms > now_ms {
        return Ok(Gate::Held {
            until_ms: row.next_ms,
            cause: "not-due".into(),
        });
    }
    let Some(place) = &row.place else {
        return close(connection, id, "cancelled", None, "conversation-gone");
    };
    let Ok(message) = serde_json::from_str::<Value>(&row.message) else {
        return close(connection, id, "refused", None, "message-unreadable");
    };
    let Some(to) = Addressee::of(place.wa_id.as_deref(), place.user_id.as_deref()) else {
        return close(connection, id, "refused", None, "no-addressee");
    };
    let kind = kind(&message);
    let asked = Row {
        seq: row.seq,
        instance: &row.instance,
        speaker: row.speaker,
        kind,
        template_category: None,
    };
    match gate(&asked, &place.state(), now_ms) {
        Verdict::Cancel { cause } => close(connection, id, "cancelled", None, cause.as_str()),
        Verdict::Refuse { code, cause } => {
            close(connection, id, "refused", Some(code), cause.as_str())
        }
        Verdict::Hold { until_ms, cause } => hold(connection, id, until_ms, cause.as_str()),
        Verdict::Go => {
            connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'sending', attempt = attempt + 1, sending_ms = ?2, unknown_ms = NULL
                     WHERE id = ?1",
                )?
                .execute(params![id, now_ms])?;
            Ok(Gate::Go(Box::new(Outgoing {
                id,
                instance: row.instance,
                conversation: row.conversation,
                attempt: row.attempt.saturating_add(1),
                number: place.number.clone(),
                to,
                kind,
                message,
            })))
        }
    }
}

fn candidate(connection: &Connection, id: i64) -> Result<Option<Candidate>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT o.instance, o.seq, o.conversation, o.speaker, o.message, o.next_ms, o.attempt,
             c.number, c.handling, c.handling_until_ms, c.handling_seq, c.handling_by, c.window_until_ms,
             k.wa_id, k.user_id, k.marketing_stopped, n.state
             FROM outbox o
             LEFT JOIN conversations c ON c.id = o.conversation
             LEFT JOIN contacts k ON k.id = c.contact
             LEFT JOIN numbers n ON n.id = c.number
             WHERE o.id = ?1 AND o.state = 'pending'",
        )?
        .query_row([id], |row| {
            let speaker: String = row.get(3)?;
            Ok(Candidate {
                instance: row.get(0)?,
                seq: row.get(1)?,
                conversation: row.get(2)?,
                speaker: if speaker == "person" { Speaker::Person } else { Speaker::Automation },
                message: row.get(4)?,
                next_ms: row.get(5)?,
                attempt: row.get(6)?,
                place: place(row)?,
            })
        })
        .optional()?)
}

fn place(row: &rusqlite::Row<'_>) -> Result<Option<Place>, rusqlite::Error> {
    let Some(number) = row.get(7)? else {
        return Ok(None);
    };
    let handling: String = row.get(8)?;
    Ok(Some(Place {
        number,
        handling: Handling::from_word(&handling),
        handling_until_ms: row.get(9)?,
        handling_seq: row.get(10)?,
        handling_by: row.get(11)?,
        window_until_ms: row.get(12)?,
        wa_id: row.get(13)?,
        user_id: row.get(14)?,
        marketing_stopped: row.get::<_, Option<bool>>(15)?.unwrap_or(false),
        number_state: row.get(16)?,
    }))
}

/// The gate's no.
fn close(
    connection: &Connection,
    id: i64,
    state: &str,
    code: Option<i64>,
    cause: &str,
) -> Result<Gate, StoreError> {
    connection
        .prepare_cached("UPDATE outbox SET state = ?2, code = ?3, cause = ?4 WHERE id = ?1")?
        .execute(params![id, state, code, cause])?;
    let cause = cause.to_owned();
    Ok(if state == "cancelled" {
        Gate::Cancelled { cause }
    } else {
        Gate::Refused { code, cause }
    })
}

/// The gate's not yet.
fn hold(connection: &Connection, id: i64, until_ms: i64, cause: &str) -> Result<Gate, StoreError> {
    connection
        .prepare_cached("UPDATE outbox SET next_ms = ?2, cause = ?3 WHERE id = ?1")?
        .execute(params![id, until_ms, cause])?;
    Ok(Gate::Held {
        until_ms,
        cause: cause.to_owned(),
    })
}
