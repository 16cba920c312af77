//! Looks at everything that a number needs at Meta's and here, and judges it by `rules::readiness`. Nothing is changed.

use std::collections::BTreeSet;

use duet_rules::business::OWN;
use duet_rules::coexistence::{Pulse, Stage};
use duet_rules::partner;
use duet_rules::provider::Provider;
use duet_rules::readiness::{self, Finding};

use crate::connecting::Connecting;
use crate::graph::{Client, NO_TOKEN};
use crate::store::StoreError;
use crate::store::syncs::SyncRow;
use crate::store::views::NumberRow;
use crate::store::wall::Wall;

/// Numbers that are looked at.
const NUMBERS_MAX: u32 = 1000;

/// A finding, and the account or number that it is about; none when it is about the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    pub about: Option<String>,
    pub finding: Finding,
}

/// Looks at the gateway, and at every account and number before the wall. Behind one, the token is that business's.
///
/// # Errors
/// When the store cannot be read.
pub async fn examine(house: &Connecting, wall: Wall) -> Result<Vec<Examined>, StoreError> {
    let now_ms = crate::now_ms();
    let asker = wall.business().unwrap_or(OWN).to_owned();
    let numbers = house
        .store
        .numbers(wall, String::new(), NUMBERS_MAX, now_ms)
        .await?;
    let (findings, app_id) = of_app(house, &asker, now_ms).await;
    let mut examined = about(None, findings);
    examined.extend(about(None, [house.can_keep(now_ms).await]));
    if numbers.is_empty() {
        let remedy = "connect those of an account with duet number add; one that is connected already is known from its first webhook on";
        let none = Finding::doubt("numbers", "no number is known yet", remedy);
        examined.extend(about(None, [none]));
    }
    let live = numbers
        .iter()
        .filter(|row| row.stage != Stage::Disconnected);
    let wabas: BTreeSet<_> = live.filter_map(|row| row.waba.clone()).collect();
    for waba in wabas {
        let business = house.store.business_of_account(&waba).await?;
        let business = business.unwrap_or_default();
        // At a partner it is the partner's app that is subscribed.
        if house.has_a_partner(&business) {
            continue;
        }
        let apps = match house.clients.of_account(&business) {
            Some(client) => client.subscribed_apps(&waba).await,
            None => Err(NO_TOKEN.to_owned()),
        };
        let finding = readiness::subscription(&apps, app_id.as_deref(), false);
        examined.extend(about(Some(&waba), [finding]));
    }
    for row in &numbers {
        examined.extend(about(Some(&row.id), number(house, row, now_ms).await));
    }
    Ok(examined)
}

/// What Meta tells of the asker's token, of the app, whose id is the other answer, and of the time. Of a business at a
/// partner it is not asked: that one's key goes to the partner alone.
async fn of_app(house: &Connecting, asker: &str, now_ms: i64) -> (Vec<Finding>, Option<String>) {
    let app = house.app.as_ref();
    let app_id = app.map(|app| app.id.clone());
    if house.has_a_partner(asker) {
        return (Vec::new(), app_id);
    }
    let own = house.clients.of_account(asker);
    let token = match &own {
        Some(own) => own.debug_token(app).await,
        None => Err(NO_TOKEN.to_owned()),
    };
    let app_id = app_id.or_else(|| token.as_ref().ok()?.app.clone());
    let mut findings = readiness::token(&token, None, now_ms);
    findings.push(house.fields().await);
    findings.push(clock(own.as_ref()).await);
    (findings, app_id)
}

fn about(whom: Option<&str>, findings: impl IntoIterator<Item = Finding>) -> Vec<Examined> {
    let of = |finding| Examined {
        about: whom.map(str::to_owned),
        finding,
    };
    findings.into_iter().map(of).collect()
}

async fn clock(own: Option<&Client>) -> Finding {
    let told = match own {
        Some(own) => own.clock().await,
        None => Err(NO_TOKEN.to_owned()),
    };
    match told {
        Ok(metas_ms) => readiness::clock(metas_ms, crate::now_ms()),
        Err(cause) => Finding::problem(
            "meta",
            format!("Meta's API does not answer: {cause}"),
            "look at this machine's network, and at graph_url",
        ),
    }
}

async fn number(house: &Connecting, row: &NumberRow, now_ms: i64) -> Vec<Finding> {
    let mut findings = vec![state(row, now_ms)];
    if row.stage == Stage::Disconnected {
        return findings;
    }
    let told = match house.clients.of(&row.business, &row.id) {
        Some(partner) if partner.provider() != Provider::Meta => {
            let told = partner.webhook().await;
            findings.push(partner::webhook(&row.id, &told, &row.business));
            findings.extend([&row.contacts, &row.history_sync].map(sync));
            return findings;
        }
        Some(client) => client.number(&row.id).await,
        None => Err(NO_TOKEN.to_owned()),
    };
    match told {
        Ok(facts) => {
            findings.extend(readiness::number(&row.id, &facts));
            findings.push(readiness::callback(&row.id, &facts));
        }
        Err(cause) => findings.push(Finding::problem(
            "number",
            format!("Meta does not say what the number is: {cause}"),
            "look whether the token is for its account",
        )),
    }
    findings.extend([&row.contacts, &row.history_sync].map(sync));
    findings
}

fn state(row: &NumberRow, now_ms: i64) -> Finding {
    let word = row.stage.as_str();
    let detail = format!("the number is {word}");
    match (row.stage, row.life.pulse(now_ms)) {
        (Stage::Disconnected, _) => Finding::problem(
            "state",
            detail,
            "connect it anew: the business goes through the signup, then duet number add",
        ),
        (Stage::Offboarded | Stage::Reconnecting, _) => Finding::doubt(
            "state",
            detail,
            "finish the move in the app on the phone; sends wait until then",
        ),
        (_, Pulse::Urgent) => Finding::problem(
            "state",
            "the app on the phone was not used for 13 days; Meta disconnects the number tomorrow",
            "open the app on the phone now",
        ),
        (_, Pulse::AtRisk) => Finding::doubt(
            "state",
            "the app on the phone was not used for 10 days; after 14 Meta disconnects the number",
            "open the app on the phone",
        ),
        _ => Finding::well("state", detail),
    }
}

fn sync(row: &SyncRow) -> Finding {
    let check = row.kind.as_str();
    let (word, summary) = (row.state.as_str(), row.state.summary(row.kind));
    if row.state.has_failed() {
        Finding::doubt(
            check,
            format!("the request for the {check} stands at {word}"),
            summary,
        )
    } else {
        Finding::well(check, summary)
    }
}
