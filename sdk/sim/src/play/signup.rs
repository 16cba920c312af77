//! Embedded Signup ends: a business has connected its number, and the page has a code.

use rand::distr::{Alphanumeric, SampleString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::PlayError;
use crate::config::Number;
use crate::state::{State, lock};
use crate::world::{CODES_MAX, Code, NumberState};

/// A business that connects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signup {
    /// Phone number id; a new one if absent. A known one connects again, and may ask for its syncs again.
    pub id: Option<String>,
    /// Digits of the number.
    pub digits: Option<String>,
    /// Verified name.
    pub name: Option<String>,
    /// WhatsApp Business Account; a new one if absent.
    pub waba: Option<String>,
}

/// Numbers of one sim at most.
const NUMBERS_MAX: usize = 1000;
/// A code lives 30 seconds.
const CODE_MS: u64 = 30_000;

/// What the page is told: the session's event with only the WABA in it, and the code.
pub(crate) fn finish(state: &State, signup: &Signup) -> Result<Value, PlayError> {
    let now_ms = state.clock.now_ms();
    let code = Alphanumeric.sample_string(&mut *lock(&state.dice), 64);
    let mut world = lock(&state.world);
    let place = world.numbers.len();
    let id = signup
        .id
        .clone()
        .unwrap_or_else(|| format!("{}", 109_000_000_000_000 + place));
    let known = world.numbers.get(&id).map(|known| known.number.clone());
    if known.is_none() && place >= NUMBERS_MAX {
        return Err(PlayError(format!(
            "a sim has at most {NUMBERS_MAX} numbers"
        )));
    }
    let known = known.unwrap_or_else(|| {
        let digits = format!("9122555{:05}", 1000 + place);
        Number {
            id: id.clone(),
            display: format!("+{digits}"),
            digits,
            waba: format!("{}", 103_000_000_000_000 + place),
            ..Number::default()
        }
    });
    let number = Number {
        digits: signup.digits.clone().unwrap_or(known.digits),
        display: signup
            .digits
            .as_ref()
            .map_or(known.display, |digits| format!("+{digits}")),
        name: signup.name.clone().unwrap_or(known.name),
        waba: signup.waba.clone().unwrap_or(known.waba),
        ..known
    };
    let waba = number.waba.clone();
    world
        .numbers
        .insert(id.clone(), NumberState::new(number, now_ms));
    while world.codes.len() >= CODES_MAX {
        world.codes.pop_front();
    }
    world.codes.push_back(Code {
        code: code.clone(),
        dies_ms: now_ms.saturating_add(CODE_MS),
        used: false,
    });
    drop(world);
    state.say("meta", &id, "[embedded signup: the number is connected]");
    let session = json!({
        "type": "WA_EMBEDDED_SIGNUP",
        "event": "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING",
        "data": {"waba_id": waba},
        "version": 3,
    });
    Ok(json!({"code": code, "session": session, "number": id}))
}
