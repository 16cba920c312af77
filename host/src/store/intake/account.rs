//! What Meta says of an account and its numbers: the life of each, and what keeps campaigns from leaving.

use duet_rules::coexistence::{Sign, State};
use duet_rules::sending::{AccountWord, AlertWord, Cause};
use duet_rules::webhook::{Account, AccountAlert, NumberQuality};
use rusqlite::Connection;

use super::super::alarms::{self, Alarm};
use super::super::outbox::{Whose, free};
use super::super::{numbers, openings, standing};
use super::project::Change;
use super::{Recorded, StoreError};

/// Disconnected, suspended, back: by WABA, or by phone in the shape that names no account.
pub(super) fn state(
    connection: &Connection,
    change: &Change<'_>,
    account: &Account,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    standing_of(connection, change, account, recorded)?;
    let named = account.waba.as_ref().or(change.event.waba.as_ref());
    if let (Some(waba), Some(owner)) = (named, &account.owner) {
        openings::belongs(connection, waba, owner)?;
    }
    let reason = account.reason.as_deref();
    let Some(sign) = Sign::of_account(&account.event, reason, account.initiated_by.as_deref())
    else {
        return Ok(());
    };
    let waba = account.waba.as_ref().or(change.event.waba.as_ref());
    for number in numbers::meant(
        connection,
        waba.map(String::as_str),
        account.phone.as_deref(),
        change.within,
    )? {
        let (at_ms, now_ms) = (change.at_ms(), change.event.received_ms);
        let moved = numbers::live_on(connection, &number, sign, at_ms, now_ms)?;
        recorded.movable.extend(moved.freed);
        if let Some((name, detail)) = moved.to.and_then(|state| lost(state, account)) {
            let alarm = Alarm::new(name, Some(number), detail).because_of(change.event.seq);
            recorded.alarm(connection, alarm, now_ms)?;
        }
    }
    Ok(())
}

/// The alarm for a state in which a number cannot send.
fn lost(state: State, account: &Account) -> Option<(&'static str, String)> {
    match state {
        State::Offboarded => Some((
            alarms::NUMBER_OFFBOARDED,
            "the number moves to another phone; its sends wait until Meta confirms that it is back"
                .into(),
        )),
        State::Disconnected => {
            let reason = account.reason.as_deref().unwrap_or("no reason told");
            let by = account.initiated_by.as_deref().unwrap_or("nobody named");
            Some((
                alarms::NUMBER_DISCONNECTED,
                format!("the number is off the Cloud API ({reason}, by {by}); connect it anew"),
            ))
        }
        State::Live | State::Reconnecting => None,
    }
}

/// Restricted, disabled, reinstated: what keeps campaigns from leaving, and an alarm about it.
fn standing_of(
    connection: &Connection,
    change: &Change<'_>,
    account: &Account,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let waba = account.waba.as_ref().or(change.event.waba.as_ref());
    let (Some(word), Some(waba)) = (AccountWord::of(account), waba) else {
        return Ok(());
    };
    let now_ms = change.event.received_ms;
    if !standing::account(connection, waba, word, change.past_ms())? {
        return Ok(());
    }
    let lifted = [
        AccountWord::Reinstated,
        AccountWord::Restricted { until_ms: 0 },
    ]
    .contains(&word);
    for number in numbers::meant(
        connection,
        Some(waba),
        account.phone.as_deref(),
        change.within,
    )? {
        if lifted {
            if !standing::is_barred(connection, waba, now_ms)? {
                alarms::settle(connection, &[alarms::ACCOUNT_RESTRICTED], &number, now_ms)?;
            }
            continue;
        }
        let event = &account.event;
        let detail = format!("Meta has said {event} of the account; see the event");
        let alarm = Alarm::new(alarms::ACCOUNT_RESTRICTED, Some(number), detail)
            .because_of(change.event.seq);
        recorded.alarm(connection, alarm, now_ms)?;
    }
    Ok(())
}

/// What Meta wants somebody to look at, of one number or of all numbers of the account.
pub(super) fn alert(
    connection: &Connection,
    change: &Change<'_>,
    told: &AccountAlert,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let event = change.event;
    let of_number = told
        .entity_id
        .as_ref()
        .filter(|_| told.entity == "phone_number");
    let mut numbers = numbers::meant(connection, event.waba.as_deref(), None, change.within)?;
    numbers.retain(|number| of_number.is_none_or(|meant| meant == number));
    let name = match AlertWord::of(told) {
        AlertWord::Over => None,
        AlertWord::News => return Ok(()),
        AlertWord::Look => Some(alarms::ACCOUNT_ALERT),
        AlertWord::Stop => Some(alarms::ACCOUNT_ALERT_CRITICAL),
    };
    let at_ms = change.past_ms();
    for number in numbers {
        let Some(name) = name else {
            standing::alerts_over(connection, &number, at_ms)?;
            let names = [alarms::ACCOUNT_ALERT, alarms::ACCOUNT_ALERT_CRITICAL];
            alarms::settle_said(connection, &names, &number, at_ms, event.received_ms)?;
            let held = [Cause::AccountAlert];
            let freed = free(connection, Whose::Number(&number), &held, event.received_ms)?;
            recorded.movable.extend(freed);
            continue;
        };
        if !standing::alert_counts(connection, &number, at_ms)? {
            continue;
        }
        let kind = &told.kind;
        let detail = format!("Meta has raised {kind}; the event says what to do about it");
        let alarm = Alarm::new(name, Some(number), detail).because_of(event.seq);
        let alarm = alarm.said(at_ms);
        recorded.alarm(connection, alarm, event.received_ms)?;
    }
    Ok(())
}

/// A number whose quality is low sends no campaigns until Meta says that it is well.
pub(super) fn quality(
    connection: &Connection,
    change: &Change<'_>,
    told: &NumberQuality,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let flagged = match told.event.as_str() {
        "flagged" => true,
        "unflagged" => false,
        _ => return Ok(()),
    };
    let event = change.event;
    for number in numbers::meant(
        connection,
        event.waba.as_deref(),
        Some(&told.phone),
        change.within,
    )? {
        let (at_ms, now_ms) = (change.past_ms(), event.received_ms);
        let Some(freed) = standing::quality(connection, &number, flagged, at_ms, now_ms)? else {
            continue;
        };
        recorded.movable.extend(freed);
        if flagged {
            let detail = "Meta has flagged the number for its low quality; campaigns wait";
            let alarm = Alarm::new(alarms::QUALITY_LOW, Some(number), detail).because_of(event.seq);
            recorded.alarm(connection, alarm, now_ms)?;
        } else {
            alarms::settle(connection, &[alarms::QUALITY_LOW], &number, now_ms)?;
        }
    }
    Ok(())
}
