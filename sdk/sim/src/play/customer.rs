//! Customers: they write, read, and make up their mind about marketing.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{PhoneMessage, PlayError, number};
use crate::state::{State, lock};
use crate::wamid::{self, Author};
use crate::webhook::Change;
use crate::webhook::status::Subject;
use crate::world::{Customer, NumberState, digits};

/// What a customer sends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CustomerMessage {
    /// Phone number id of the business; the first number if absent.
    pub number: Option<String>,
    /// The customer's phone.
    pub from: String,
    /// Profile name from now on.
    pub name: Option<String>,
    /// Username from now on.
    pub username: Option<String>,
    /// Webhooks leave the phone out from now on, as for a customer with a username.
    pub hide_phone: Option<bool>,
    /// Webhooks leave the user id out from now on, as before April 2026.
    pub hide_user_id: Option<bool>,
    /// The id in the parent portfolio from now on, such as `US.ENT.118157992128868`.
    pub parent_user_id: Option<String>,
    /// A text message, or the caption of media.
    pub text: Option<String>,
    /// Message type, with `body` as the object of that name.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Meta's object for the type.
    pub body: Option<Value>,
    /// Media id of the sim; with `type`, or an image.
    pub media: Option<String>,
    /// The wamid of a message that this one quotes.
    pub reply_to: Option<String>,
    /// `reply_to` is spelled with the user id in place of the phone, as since July 2026; only the stanza is the same.
    pub rescoped: bool,
    /// `context`, such as `{"id": "wamid…"}` for a quoted reply.
    pub context: Option<Value>,
    /// `referral`, for somebody who came through an ad.
    pub referral: Option<Value>,
    /// Further fields of the message, such as `errors` of an unsupported one.
    pub extra: Map<String, Value>,
    /// The wamid to use instead of a new one.
    pub id: Option<String>,
}

impl CustomerMessage {
    /// A text to the first number.
    #[must_use]
    pub fn text(from: &str, text: &str) -> Self {
        Self {
            from: from.to_owned(),
            text: Some(text.to_owned()),
            ..Self::default()
        }
    }
}

/// A customer reads.
#[derive(Clone, Debug, Deserialize)]
pub struct Read {
    /// The customer's phone.
    pub from: String,
    /// The wamid of a message that they got; the last one if absent.
    #[serde(default)]
    pub id: Option<String>,
}

pub(crate) fn write(state: &State, message: CustomerMessage) -> Result<String, PlayError> {
    let phone = phone(&message.from)?;
    let now_ms = state.clock.now_ms();
    let answers_ms = lock(&state.mood).phone_answers_ms;
    let mut content = content(state, &message)?;
    let mut world = lock(&state.world);
    let number = number(&world, message.number.as_deref())?;
    let customer = {
        let customer = world
            .customers
            .meet(&number.number.id, &number.number.waba, &phone);
        customer.wrote_last_ms = Some(now_ms);
        learn(customer, &message);
        customer.clone()
    };
    world.rates.receive(&number.number.id, now_ms);
    drop(world);

    let quoted = match &message.reply_to {
        Some(id) => Some(quote(&number, &customer, id, message.rescoped)?),
        None => None,
    };
    let id = message
        .id
        .unwrap_or_else(|| wamid::new(&phone, Author::Customer, &mut *lock(&state.dice)));
    let mut whole = Map::new();
    if !customer.phone_hidden {
        whole.insert("from".into(), json!(phone));
    }
    whole.extend(customer.user_ids(
        state.config.user_ids,
        ["from_user_id", "from_parent_user_id"],
    ));
    whole.insert("id".into(), json!(id));
    whole.insert("timestamp".into(), json!((now_ms / 1000).to_string()));
    whole.append(&mut content);
    whole.extend(
        quoted
            .or(message.context)
            .map(|context| ("context".to_owned(), context)),
    );
    whole.extend(
        message
            .referral
            .map(|referral| ("referral".to_owned(), referral)),
    );
    whole.extend(message.extra);
    state.say("customer", &phone, super::phone::summary(&whole));
    state.post(
        change(
            state,
            &number,
            &customer,
            "messages",
            "messages",
            json!([whole]),
        ),
        0,
    );
    if let Some(after_ms) = answers_ms {
        let answer = PhoneMessage {
            number: Some(number.number.id),
            ..PhoneMessage::text(&phone, "I am on it.")
        };
        super::phone::write_after(state, answer, after_ms)?;
    }
    Ok(id)
}

/// What the message says about its author holds from now on.
fn learn(customer: &mut Customer, message: &CustomerMessage) {
    let (name, username) = (message.name.clone(), message.username.clone());
    customer.name = name.unwrap_or_else(|| customer.name.clone());
    customer.username = username.or_else(|| customer.username.clone());
    customer.phone_hidden = message.hide_phone.unwrap_or(customer.phone_hidden);
    customer.user_id_hidden = message.hide_user_id.unwrap_or(customer.user_id_hidden);
    let parent = message.parent_user_id.clone();
    customer.parent_user_id = parent.or_else(|| customer.parent_user_id.clone());
}

/// `context` of a message that quotes another one.
fn quote(
    number: &NumberState,
    customer: &Customer,
    id: &str,
    rescoped: bool,
) -> Result<Value, PlayError> {
    let id = if rescoped {
        wamid::rescoped(id, &customer.user_id).ok_or_else(|| {
            PlayError(format!(
                "reply_to {id:?} is no wamid that can be read, so it has no second spelling"
            ))
        })?
    } else {
        id.to_owned()
    };
    Ok(json!({"from": number.number.digits, "id": id}))
}

/// `type` and the object that it names.
fn content(state: &State, message: &CustomerMessage) -> Result<Map<String, Value>, PlayError> {
    let kind = message
        .kind
        .as_deref()
        .unwrap_or(if message.media.is_some() {
            "image"
        } else {
            "text"
        });
    let body = match (&message.body, &message.media, &message.text) {
        (Some(body), _, _) => Some(body.clone()),
        (None, Some(id), caption) => Some(super::raw::media_object(state, id, caption.as_deref())?),
        (None, None, Some(text)) => Some(json!({ "body": text })),
        (None, None, None) if kind == "unsupported" => None,
        (None, None, None) => return Err(PlayError("a message needs text, body or media".into())),
    };
    let mut content = Map::from_iter([("type".to_owned(), json!(kind))]);
    content.extend(body.map(|body| (kind.to_owned(), body)));
    Ok(content)
}

pub(super) fn change(
    state: &State,
    number: &NumberState,
    customer: &Customer,
    field: &'static str,
    name: &str,
    elements: Value,
) -> Change {
    let contacts = json!([customer.contact(state.config.user_ids)]);
    let value = Map::from_iter([
        ("contacts".to_owned(), contacts),
        (name.to_owned(), elements),
    ]);
    Change::of(number, field, &customer.phone, state.clock.now_ms(), value)
}

pub(crate) fn read(state: &State, read: &Read) -> Result<(), PlayError> {
    let phone = phone(&read.from)?;
    let wanted = read.id.as_deref();
    let sent = state
        .sent
        .find(|sent| sent.to == phone && wanted.is_none_or(|id| sent.id == id));
    let sent = sent.ok_or_else(|| PlayError(format!("{phone} got no such message")))?;
    let subject =
        Subject::of_sent(state, &sent).ok_or_else(|| PlayError("the number is gone".into()))?;
    state.say("customer", &phone, "[read]");
    state.post(
        subject.status(state.config.user_ids, state.clock.now_ms(), "read"),
        0,
    );
    Ok(())
}

/// A customer's marketing choice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preference {
    #[serde(default)]
    number: Option<String>,
    from: String,
    /// `stop` or `resume`.
    preference: String,
}

pub(crate) fn prefer(state: &State, wish: &Preference) -> Result<(), PlayError> {
    if !matches!(wish.preference.as_str(), "stop" | "resume") {
        return Err(PlayError("preference is stop or resume".into()));
    }
    let phone = phone(&wish.from)?;
    let mut world = lock(&state.world);
    let number = number(&world, wish.number.as_deref())?;
    let customer = world
        .customers
        .meet(&number.number.id, &number.number.waba, &phone);
    customer.marketing_stopped = wish.preference == "stop";
    let customer = customer.clone();
    drop(world);
    // Here Meta gives the time as a number.
    let preference = json!([{
        "wa_id": phone,
        "detail": format!("User requested to {} marketing messages", wish.preference),
        "category": "marketing_messages",
        "value": wish.preference,
        "timestamp": state.clock.now_ms() / 1000,
    }]);
    state.say(
        "customer",
        &phone,
        format!("[marketing: {}]", wish.preference),
    );
    state.post(
        change(
            state,
            &number,
            &customer,
            "user_preferences",
            "user_preferences",
            preference,
        ),
        0,
    );
    Ok(())
}

pub(crate) fn phone(text: &str) -> Result<String, PlayError> {
    let digits = digits(text);
    if (5..=15).contains(&digits.len()) {
        Ok(digits)
    } else {
        Err(PlayError(format!(
            "{text:?} is no phone number with country code"
        )))
    }
}
